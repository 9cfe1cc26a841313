"""The command ``jetti sandbox``: serves a sandbox until SIGINT or SIGTERM."""

# ruff: noqa: ANN401 - the value of a flag is of any type

from __future__ import annotations

import json
import signal
import threading
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any

import click

from tap_jetti.sandbox.options import Options
from tap_jetti.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

_PORT = 8765


def _flags(command: Callable[..., None]) -> Callable[..., None]:
    """Add one flag for each field of `Options`."""
    for field in reversed(fields(Options)):
        if field.metadata["flag"]:
            command = click.option(_flag(field.name, field.default), **_settings(field))(command)
    return command


def _flag(name: str, default: object) -> str:
    flag = f"--{name.replace('_', '-')}"
    return f"{flag}/--no-{name.replace('_', '-')}" if isinstance(default, bool) else flag


def _settings(field: Field[Any]) -> dict[str, Any]:
    default = _PORT if field.name == "port" else field.default
    several = isinstance(default, tuple)
    kind: Any = str if several else type(default)
    if field.metadata["choices"]:
        kind = click.Choice(field.metadata["choices"])
    settings = {"default": default, "help": field.metadata["help"], "show_default": True}
    return settings if kind is bool else {**settings, "type": kind, "multiple": several}


@click.command()
@_flags
def sandbox(**chosen: Any) -> None:
    """Serve a simulated Jetti account on this machine, for reads and writes.

    Each option sets a behaviour of the API that is not documented, or a failure to simulate.
    """
    try:
        running = Sandbox(Options(**chosen))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with running:
            click.echo(_greeting(running), err=True)
            stop.wait()
    except OSError as error:
        address = f"{running.options.host}:{running.options.port}"
        msg = f"The sandbox cannot listen on {address}: {error.strerror}. Choose another --port or --host."
        raise click.ClickException(msg) from error
    click.echo("The sandbox has stopped.", err=True)


def _greeting(running: Sandbox) -> str:
    config = {"api_url": running.api_url, "api_token": running.token}
    both = {**config, "inbound_url": running.inbound_url}
    return (
        f"The sandbox listens on {running.url} and accepts the token {running.token}\n"
        f"Config for tap-jetti:    {json.dumps(config)}\n"
        f"Config for target-jetti: {json.dumps(both)}\n"
        f"Counts and requests:     {running.url}_sandbox/counts {running.url}_sandbox/requests\n"
        "Press Ctrl-C to stop it."
    )
