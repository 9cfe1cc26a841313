"""How long a read within the rate limit takes compared with the ideal, and how often it is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from fixture import BUSINESS, PAGE, RESOURCE
from measuring import Process
from readers import Job, Reader
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

RATE = 2.0
"""Requests per second that Jetti allows."""

REFUSED = 429

MOST_TIMES_IDEAL = 6
"""A read that takes longer than so many times the ideal is stopped."""


@dataclass(frozen=True)
class Shape:
    """What there is to read.

    Attributes:
        title: Its name in the tables.
        rows: Rows of each stream.
    """

    title: str
    rows: dict[str, int]

    @property
    def least_gets(self) -> int:
        """The smallest number of pages that hold all rows."""
        return sum(math.ceil(rows / PAGE) for rows in self.rows.values())


def shapes(pages: int) -> tuple[Shape, ...]:
    """One large stream; many small ones; many with only a few rows; many of medium size."""
    return (
        Shape(f"1 stream of {pages} pages", {RESOURCE: pages * PAGE}),
        Shape("25 streams of 60 rows", dict.fromkeys(BUSINESS, 60)),
        Shape("25 streams of 5 rows", dict.fromkeys(BUSINESS, 5)),
        Shape("25 streams of 120 to 700 rows", dict(zip(BUSINESS, cycle((250, 480, 120, 700, 330)), strict=False))),
    )


def measure(
    readers: Sequence[Reader], *, pages: int, latencies: Sequence[float], capacities: Sequence[float], scale: float
) -> list[dict[str, Any]]:
    """Measure each reader once with each shape, capacity and latency."""
    found: list[dict[str, Any]] = []
    with Server.sandbox() as server:
        for shape in shapes(pages):
            server.ask("fill", rows=shape.rows, wide=False)
            for capacity in capacities:
                for latency in latencies:
                    options = {"rate": RATE * scale, "capacity": capacity, "latency": latency / scale}
                    server.ask("options", options=options)
                    job = Job(server.api_url, tuple(shape.rows), RATE * scale, capacity, scale)
                    for reader in readers:
                        one = _read(server, reader, job, shape, latency / scale)
                        where = {"shape": shape.title, "capacity": capacity, "latency": latency}
                        found.append({"reader": reader.title, **where, **one})
                        about = f"{shape.title}, capacity {capacity:g}, {latency:g} s"
                        print(f"  {about}: {_line(reader, one)}", flush=True)
    return found


def _read(server: Server, reader: Reader, job: Job, shape: Shape, latency: float) -> dict[str, Any]:
    ideal = shape.least_gets / (job.rate or RATE)
    server.ask("reset")
    with Process(seconds=30 + MOST_TIMES_IDEAL * (ideal + shape.least_gets * latency), keep_rows=True) as process:
        reader.start(process, job)
        run = process.finish()
    arrived = server.ask("look")
    times = [when for when, _, _ in arrived] or [run.started]
    failure = run.failure
    if failure is None and run.rows != shape.rows:
        failure = f"gave {sum(run.rows.values())} of {sum(shape.rows.values())} rows"
    return {
        "failure": failure,
        # From when the first request left to when the last answer was back.
        "over_ideal": (times[-1] - times[0] + latency) / ideal,
        "over_own": (times[-1] - times[0] + latency) / (len(times) / (job.rate or RATE)),
        "process_over_ideal": run.wall / ideal,
        "least_gets": shape.least_gets,
        "gets": len(arrived),
        "refused": sum(status == REFUSED for _, _, status in arrived),
    }


def _line(reader: Reader, one: dict[str, Any]) -> str:
    text = f"{reader.title} {one['over_ideal']:.2f} of ideal, {one['gets']} GETs, {one['refused']} refused"
    return f"{text}, FAILED: {one['failure']}" if one["failure"] else text
