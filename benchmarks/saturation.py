"""How long a read within the rate limit takes compared with the ideal, and how often it is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from fixture import BUSINESS, PAGE, RESOURCE
from limited_run import RATE, run_limited
from readers import Job, Reader
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    one = run_limited(server, reader, job, least_gets=shape.least_gets, latency=latency)
    failure = one.run.failure
    if failure is None and one.run.rows != shape.rows:
        failure = f"gave {sum(one.run.rows.values())} of {sum(shape.rows.values())} rows"
    rate = job.rate or RATE
    return {
        "failure": failure,
        "over_ideal": one.seconds / (shape.least_gets / rate),
        "over_own": one.seconds / (one.gets / rate) if one.gets else 0.0,
        "process_over_ideal": one.run.wall / (shape.least_gets / rate),
        "least_gets": shape.least_gets,
        "gets": one.gets,
        "refused": one.refused,
    }


def _line(reader: Reader, one: dict[str, Any]) -> str:
    text = f"{reader.title} {one['over_ideal']:.2f} of ideal, {one['gets']} GETs, {one['refused']} refused"
    return f"{text}, FAILED: {one['failure']}" if one["failure"] else text
