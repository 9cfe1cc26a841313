"""The report of all checks, for people and as JSON."""

from __future__ import annotations

import json
import shutil
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tap_jetti.doctor.check import exit_code_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_jetti.doctor.check import Check

_STYLES = {"ok": "green", "differs": "yellow", "broken": "red", "unknown": "cyan"}
_NAME, _VERDICT = 16, 9
_WIDEST = 110


def account_of(company: str | None) -> str | None:
    """What to set `account` to, so that all API users of a company share its rate limit."""
    return None if company is None else f"company-{company}"


def as_json(checks: Sequence[Check], *, host: str, company: str | None, gets: int) -> str:
    """The report as one JSON object."""
    shown = [{key: value for key, value in asdict(check).items() if key != "exit_code"} for check in checks]
    report = {"host": host, "company": company, "account": account_of(company), "gets": gets, "checks": shown}
    return json.dumps({**report, "exit_code": exit_code_of(checks)}, ensure_ascii=False, indent=2)


def show(checks: Sequence[Check], *, host: str, company: str | None, gets: int, seconds: float) -> None:
    """Print the report: a line per check, and under it what follows from it. Colours appear on a terminal only."""
    click.echo(f"{host}: company {company or 'unknown'}\n")
    width = min(_WIDEST, max(60, shutil.get_terminal_size().columns))
    for check in checks:
        click.echo(
            f"{check.name:<{_NAME}}{click.style(f'{check.verdict:<{_VERDICT}}', fg=_STYLES[check.verdict], bold=True)}"
            f"{check.found}"
        )
        if check.verdict != "ok" and check.detail:
            margin = " " * (_NAME + _VERDICT)
            click.secho(textwrap.fill(check.detail, width, initial_indent=margin, subsequent_indent=margin), dim=True)
    click.echo(f"\n{_conclusion(checks)} {gets} GETs, {seconds:.1f} s, nothing was written.")
    account = account_of(company)
    if account is not None:
        click.echo(f"If several API users of this company are used, set account to {account} for all of them.")


def _conclusion(checks: Sequence[Check]) -> str:
    def number(verdict: str) -> int:
        return sum(check.verdict == verdict for check in checks)

    if number("broken"):
        return click.style(f"{number('broken')} broken: mend that first.", fg="red", bold=True)
    if number("differs"):
        return f"Ready. {number('differs')} of {len(checks)} differ, and are dealt with as said."
    return "Ready."
