"""The command ``jetti demo``: shows on one screen that nothing is lost between Jetti and a warehouse."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tap_jetti.demo.changes import change
from tap_jetti.demo.project import TAP, WAREHOUSE, Project
from tap_jetti.demo.table import show
from tap_jetti.facts import resources
from tap_jetti.sandbox import Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_jetti.demo.comparison import Comparison

RATE = 20
BURST = 4
PAGE_CAP = 50
FAULTS = 0.02
FAULT_KINDS = ("500", "502-html", "503", "reset-before", "reset-after", "truncated", "html-200")

AWKWARD: dict[str, Any] = {
    "rate": RATE,
    "capacity": BURST,
    "page_cap": PAGE_CAP,
    "unstable_ties": True,
    "decimals": "mixed",
    "faults": FAULTS,
    "fault_kinds": FAULT_KINDS,
}
"""What the sandbox is like; no fault is a 429, so that each one in the table is the limiter's."""

INTRODUCTION = f"""\
A sandbox company is read through Meltano into a DuckDB file, twice, and compared value by value;
then stock that was changed in the warehouse goes back to it.
The server is awkward on purpose: {PAGE_CAP} rows a page at most, hidden microseconds, ties in any
order, decimals as text, and {FAULTS:.0%} of all requests fail. It allows {RATE} requests a second, ten times
what Jetti does, so that this takes a minute.
"""

_STEPS = 9


class Progress:
    """Prints one line a step: what it does, and at its end what came of it and how long it took."""

    def __init__(self) -> None:
        self._done = 0
        self.outcome = ""

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Do one step; `outcome` is what came of it."""
        self._done += 1
        self.outcome = ""
        click.echo(f"[{self._done}/{_STEPS}] {text:<38}", nl=False)
        begin = time.monotonic()
        try:
            yield
        except BaseException:
            click.echo("failed")
            raise
        click.echo(f"{self.outcome:<42}{time.monotonic() - begin:6.1f} s")


@click.command()
@click.option("--directory", default="output/demo", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", default=1, show_default=True, help="Another seed makes another company.")
@click.option("--scale", default=0.4, show_default=True, help="Size of the company; 1 is 3,000 sales.")
def demo(directory: Path, seed: int, scale: float) -> None:
    """Read a sandbox into a warehouse, twice, compare all they hold, and push stock back.

    It ends with 1 if a single row differs.
    """
    missing = [name for name in ("duckdb", "meltano") if find_spec(name) is None]
    if missing:
        raise click.ClickException(f"jetti demo needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    click.echo(INTRODUCTION)
    progress = Progress()
    with progress.step("Found the company"):
        sandbox = Sandbox(Options(seed=seed, scale=scale, **AWKWARD))
        streams = list(resources.selected_by_default())
        progress.outcome = f"{sum(map(sandbox.count, streams)):,} rows in {len(streams)} streams"
    try:
        with sandbox:
            project = _project(sandbox, directory)
            is_equal = _extract(sandbox, project, streams, progress) and _push_back(sandbox, project, progress)
    except OSError as error:
        raise click.ClickException(f"{error}. Choose another --directory.") from error
    if not is_equal:
        click.echo("The warehouse and Jetti differ.", err=True)
        sys.exit(1)
    click.echo(f"Everything that Jetti holds is in the warehouse. Look into it: {directory / 'jetti.duckdb'}")


def _project(sandbox: Sandbox, directory: Path) -> Project:
    return Project(
        directory,
        {
            "api_url": sandbox.api_url,
            "api_token": sandbox.token,
            "rate_limit": RATE,
            "rate_limit_burst": BURST,
            "retry_seconds": 60,
        },
        inbound_url=sandbox.inbound_url,
    )


def _extract(sandbox: Sandbox, project: Project, streams: Sequence[str], progress: Progress) -> bool:
    """Read everything, change something, read what changed; answers whether all was equal both times."""
    full = _read(sandbox, project, streams, progress, "Read everything through Meltano", changed={})
    with progress.step("Add, edit and mass-update rows"):
        changed = change(sandbox)
        progress.outcome = f"{sum(changed.values()):,} rows in {len(changed)} streams"
    incremental = _read(sandbox, project, streams, progress, "Read what changed through Meltano", changed=changed)
    return all(one.is_equal for one in (*full, *incremental))


def _push_back(sandbox: Sandbox, project: Project, progress: Progress) -> bool:
    """Change stock in the warehouse, send it to Jetti, read it again; answers whether both hold the same."""
    from tap_jetti.demo import stock  # noqa: PLC0415 - DuckDB was looked for before

    with progress.step("Count stock anew in the warehouse"):
        counted = stock.count_anew(project.warehouse)
        progress.outcome = f"{counted:,} variants changed"
    with progress.step("Push it all through target-jetti"):
        summary = project.push(stock.messages(project.warehouse))
        done = summary["actions"][stock.STREAM]
        progress.outcome = f"{done['unchanged']:,} unchanged, {done['sent']:,} sent in {done['calls']:,} calls"
    with progress.step("Read the stock again, compare"):
        sandbox.settle()
        wrong = stock.differing(sandbox, project.warehouse)
        project.run(TAP, WAREHOUSE)
        wrong = max(wrong, stock.differing(sandbox, project.warehouse))
        progress.outcome = f"{sandbox.count(stock.STREAM):,} variants, {wrong:,} wrong"
    click.echo(
        f"\n  target-jetti read {summary['gets']:,} pages to find the {counted:,} changes among"
        f" {done['received']:,} records, and made {summary['writes']:,} writes.\n"
    )
    return not wrong and done["sent"] == counted


def _read(
    sandbox: Sandbox,
    project: Project,
    streams: Sequence[str],
    progress: Progress,
    text: str,
    *,
    changed: Mapping[str, int],
) -> list[Comparison]:
    """Read what is new into the warehouse, compare all streams, and show that."""
    from tap_jetti.demo.comparison import compare  # noqa: PLC0415 - DuckDB was looked for before

    since = sandbox.now()
    with progress.step(text):
        project.run(TAP, WAREHOUSE)
        entries = sandbox.requests.entries(since)
        progress.outcome = f"{len(entries):,} requests"
    with progress.step("Compare every value"):
        comparisons = compare(sandbox, project.warehouse, streams, since=since, changed=changed)
        rows, wrong = (sum(counts) for counts in zip(*((one.in_jetti, one.wrong) for one in comparisons), strict=True))
        progress.outcome = f"{rows:,} rows, {wrong:,} wrong"
    show(comparisons)
    return comparisons
