"""The command ``jetti doctor``: looks at an account before the first run, without writing anything."""

from __future__ import annotations

import signal
import sys
from contextlib import closing
from urllib.parse import urlsplit

import click

from tap_jetti.doctor.check import exit_code_of
from tap_jetti.doctor.examination import Examination
from tap_jetti.doctor.report import as_json, show
from tap_jetti.process.settings import open_session
from tap_jetti.tap.tap import TapJetti

RETRY_SECONDS = 10
"""Seconds for which a request that fails is retried, at most: somebody waits for the report."""


@click.command()
@click.option(
    "--config",
    "configs",
    multiple=True,
    default=("ENV",),
    help="A settings file of tap-jetti, or ENV for the environment variables TAP_JETTI_*.  [default: ENV]",
)
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object instead of a table.")
def doctor(configs: tuple[str, ...], *, is_json: bool) -> None:
    """Check what this account's Jetti does where its documentation leaves it open.

    Sends at most 20 GETs within the rate limit, and writes nothing. The exit code is 0 unless something is broken; then
    it says what a retry can do, as that of tap-jetti does.
    """
    given = TapJetti.cb_config(click.get_current_context(), click.Option(["--config"]), configs)
    tap = TapJetti(config=given.config, parse_env_config=given.parse_env)
    for number in (signal.SIGINT, signal.SIGTERM):  # the tap has set its own; here a signal just ends the command
        signal.signal(number, signal.SIG_DFL)
    settings = {**tap.config, "retry_seconds": min(RETRY_SECONDS, tap.config["retry_seconds"])}
    session = open_session(settings, clock=tap.clock, logger=tap.logger, redactor=tap.redactor)
    with closing(session):
        began = tap.clock.monotonic()
        examination = Examination(session, clock=tap.clock, settings=tap.config)
        checks = examination.checks()
    host, gets = urlsplit(tap.config["api_url"]).hostname or "", session.stats.gets
    if is_json:
        click.echo(as_json(checks, host=host, company=examination.company, gets=gets))
    else:
        seconds = tap.clock.monotonic() - began
        show(checks, host=host, company=examination.company, gets=gets, seconds=seconds)
    sys.exit(exit_code_of(checks))
