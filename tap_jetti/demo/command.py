"""The command ``jetti demo``: shows on one screen that no row is lost between Jetti and a warehouse."""

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
"""The options of the sandbox. No injected fault is a 429, so every 429 in the table is an error of the limiter."""

INTRODUCTION = f"""\
This demo syncs a sandbox of Jetti into a DuckDB file through Meltano, twice, and compares both, value by value.
Then it changes stock in the warehouse and writes it back.
The sandbox is difficult on purpose: at most {PAGE_CAP} rows per page, hidden microseconds, rows with equal
dates in any order, decimals as text, and {FAULTS:.0%} of all requests fail. Its rate limit is {RATE} requests per
second, ten times that of Jetti, so that the demo takes about a minute.
"""

_STEPS = 9


class Progress:
    """Prints one line per step: what it does, and at its end the outcome and the duration."""

    def __init__(self) -> None:
        self._done = 0
        self.outcome = ""

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Run one step. It sets `outcome`."""
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
@click.option("--seed", default=1, show_default=True, help="Seed of the random company.")
@click.option("--scale", default=0.4, show_default=True, help="Size of the company; 1 is 3,000 sales.")
def demo(directory: Path, seed: int, scale: float) -> None:
    """Sync a sandbox into a warehouse, twice, compare both, and write stock back.

    The exit code is 1 if any row differs.
    """
    missing = [name for name in ("duckdb", "meltano") if find_spec(name) is None]
    if missing:
        raise click.ClickException(
            f"jetti demo needs {' and '.join(missing)}. Install with: pip install {' '.join(missing)}"
        )
    click.echo(INTRODUCTION)
    progress = Progress()
    with progress.step("Create the company"):
        sandbox = Sandbox(Options(seed=seed, scale=scale, **AWKWARD))
        streams = list(resources.selected_by_default())
        progress.outcome = f"{sum(map(sandbox.count, streams)):,} rows in {len(streams)} streams"
    try:
        with sandbox:
            project = _project(sandbox, directory)
            is_equal = _extract(sandbox, project, streams, progress) and _push_back(sandbox, project, progress)
    except OSError as error:
        raise click.ClickException(f"Cannot use {directory}: {error}. Choose another --directory.") from error
    if not is_equal:
        click.echo("The warehouse and Jetti differ, see above.", err=True)
        sys.exit(1)
    click.echo(f"The warehouse holds exactly what Jetti holds: {directory / 'jetti.duckdb'}")


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
    """Sync all rows, change some, sync those. Returns whether both sides were equal both times."""
    full = _read(sandbox, project, streams, progress, "Sync all rows through Meltano", changed={})
    with progress.step("Add, edit and mass-update rows"):
        changed = change(sandbox)
        progress.outcome = f"{sum(changed.values()):,} rows in {len(changed)} streams"
    incremental = _read(sandbox, project, streams, progress, "Sync the changes through Meltano", changed=changed)
    return all(one.is_equal for one in (*full, *incremental))


def _push_back(sandbox: Sandbox, project: Project, progress: Progress) -> bool:
    """Change stock in the warehouse, write it to Jetti, sync again. Returns whether both sides are equal."""
    from tap_jetti.demo import stock  # noqa: PLC0415 - only now it is known that DuckDB is installed

    with progress.step("Change stock in the warehouse"):
        changed = stock.change(project.warehouse)
        progress.outcome = f"{changed:,} variants changed"
    with progress.step("Send all stock through target-jetti"):
        summary = project.push(stock.messages(project.warehouse))
        done = summary["actions"][stock.STREAM]
        progress.outcome = f"{done['unchanged']:,} unchanged, {done['accepted']:,} sent in {done['calls']:,} calls"
    with progress.step("Sync the stock again and compare"):
        sandbox.settle()
        wrong = stock.differing(sandbox, project.warehouse)
        project.run(TAP, WAREHOUSE)
        wrong = max(wrong, stock.differing(sandbox, project.warehouse))
        progress.outcome = f"{sandbox.count(stock.STREAM):,} variants, {wrong:,} wrong"
    click.echo(
        f"\n  target-jetti found the {changed:,} changes among {done['received']:,} records with {summary['gets']:,}"
        f" GETs, and made {summary['writes']:,} writes.\n"
    )
    return not wrong and done["accepted"] == changed


def _read(
    sandbox: Sandbox,
    project: Project,
    streams: Sequence[str],
    progress: Progress,
    text: str,
    *,
    changed: Mapping[str, int],
) -> list[Comparison]:
    """Sync the new rows into the warehouse, compare all streams, and print the comparison."""
    from tap_jetti.demo.comparison import compare  # noqa: PLC0415 - only now it is known that DuckDB is installed

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
