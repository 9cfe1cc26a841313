"""Throughput without a rate limit: rows per second, processor time, peak memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from fixture import KINDS, PAGE, RESOURCE, wide_row
from measuring import Process, Run
from readers import Job, Reader, start_raw
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHECKED_ROWS = 1_234
"""Rows of the run before the measurement, which checks that every row arrives."""

SLOWEST = 1_000
"""Rows per second: a slower reader is stopped."""

SANDBOX_ROWS = 10_000

ROWS_OF_A_FIGURE = 100_000


@dataclass(frozen=True)
class Read:
    """One run, and what the server saw of it.

    Attributes:
        run: The process.
        seconds: From the first request to the end of the process: without its start.
        gets: Requests.
        rows: Rows that the server sent.
    """

    run: Run
    seconds: float
    gets: int
    rows: int


def read(server: Server, start: Callable[[Process], None], *, rows: int, keep_rows: bool = False) -> Read:
    """Let a reader read all rows of the fixture server."""
    server.ask("reset")
    with Process(seconds=30 + rows / SLOWEST, keep_rows=keep_rows) as process:
        start(process)
        run = process.finish()
    seen = server.ask("look")
    return Read(run, run.ended - (seen["first"] or run.started), seen["gets"], seen["rows"])


def measure(readers: Sequence[Reader], *, rows: int, repeat: int) -> dict[str, Any]:
    """Measure all readers in turns."""
    reads: dict[str, list[Read]] = {}
    failures: dict[str, str] = {}
    with Server.fixture() as server:
        job = Job(server.api_url, (RESOURCE,))
        server.ask("fill", rows=CHECKED_ROWS)
        for reader in readers:
            check = read(server, partial(reader.start, job=job), rows=CHECKED_ROWS, keep_rows=True)
            fault = check.run.failure or _fault(check.run)
            if fault:
                failures[reader.title] = fault
        server.ask("fill", rows=rows)
        ceiling = read(server, partial(start_raw, job=job, pages=rows // PAGE), rows=rows)
        for turn in range(repeat):
            for reader in readers:
                if reader.title in failures:
                    continue
                one = read(server, partial(reader.start, job=job), rows=rows)
                reads.setdefault(reader.title, []).append(one)
                if one.run.failure or one.rows < rows:
                    failures[reader.title] = one.run.failure or f"asked for {one.rows} of {rows} rows"
                print(f"  {turn + 1}/{repeat} {reader.title}: {rows / one.seconds:,.0f} rows/s", flush=True)
    return {
        "rows": rows,
        "repeat": repeat,
        "ceiling": {"fixture": rows / ceiling.seconds, "sandbox": _sandbox_ceiling()},
        "readers": [
            {"reader": reader.title, "failure": failures[reader.title]}
            if reader.title in failures
            else {"reader": reader.title, **_figures(reads[reader.title], rows)}
            for reader in readers
        ],
    }


def _fault(run: Run) -> str | None:
    """What a reader left out in the checking run, or None: no reader may be fast because it skips something."""
    given = run.rows.get(RESOURCE, 0)
    if given != CHECKED_ROWS:
        return f"gave {given} of {CHECKED_ROWS} rows"
    filled = min(sum(value is not None for value in wide_row(kind).values()) for kind in range(KINDS))
    if run.fields is not None and run.fields < filled:
        return f"gave rows of {run.fields} instead of {filled} fields"
    return None


def _figures(reads: Sequence[Read], rows: int) -> dict[str, Any]:
    share = ROWS_OF_A_FIGURE / rows
    speeds = [rows / one.seconds for one in reads]
    return {
        "failure": None,
        "slowest": min(speeds),
        "fastest": max(speeds),
        "rows_per_second": median(speeds),
        "seconds": median(one.seconds for one in reads),
        "process_seconds": median(one.run.wall for one in reads),
        "cpu": median(one.run.cpu for one in reads) * share,
        "peak": median(one.run.peak for one in reads),
        "gets": reads[0].gets,
    }


def _sandbox_ceiling() -> float:
    """Rows per second that the sandbox can give: too few to measure throughput with."""
    with Server.sandbox() as server:
        server.ask("fill", rows={RESOURCE: SANDBOX_ROWS}, wide=True)
        server.ask("options", options={"rate": 0})
        with Process(seconds=60, keep_rows=False) as process:
            start_raw(process, Job(server.api_url, (RESOURCE,)), SANDBOX_ROWS // PAGE)
            run = process.finish()
        first: float = server.ask("look")[0][0]
    return SANDBOX_ROWS / (run.ended - first)
