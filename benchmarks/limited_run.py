"""One run of a reader against the sandbox, which limits the rate: what the server saw of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from measuring import Process, Run

if TYPE_CHECKING:
    from pathlib import Path

    from readers import Job, Reader
    from servers import Server

RATE = 2.0
"""Requests per second that Jetti allows."""

REFUSED = 429

MOST_TIMES_IDEAL = 6
"""A read that takes longer than so many times the ideal is stopped."""


@dataclass(frozen=True)
class LimitedRun:
    """A run, and what the server saw of it.

    Attributes:
        run: The process.
        seconds: From when the first request left to when the last response was back.
        gets: Requests.
        refused: How many of them were answered 429.
    """

    run: Run
    seconds: float
    gets: int
    refused: int


def run_limited(
    server: Server, reader: Reader, job: Job, *, least_gets: int, latency: float, folder: Path | None = None
) -> LimitedRun:
    """Run a reader.

    Args:
        server: A sandbox.
        reader: The reader.
        job: What it is asked to read.
        least_gets: The GETs that an ideal reader would send.
        latency: Seconds that the server takes for a request.
        folder: The folder of an earlier run that this one goes on from.
    """
    ideal = least_gets / (job.rate or RATE)
    server.ask("reset")
    patience = 30 + MOST_TIMES_IDEAL * (ideal + least_gets * latency)
    with Process(seconds=patience, keep_rows=True, folder=folder) as process:
        reader.start(process, job)
        run = process.finish()
    arrived = server.ask("look")
    times = [when for when, _, _ in arrived] or [run.started]
    refused = sum(status == REFUSED for _, _, status in arrived)
    return LimitedRun(run, times[-1] - times[0] + latency, len(arrived), refused)
