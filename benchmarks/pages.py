"""How many GETs a long stream takes, by what the server does when larger pages are asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fixture import LARGEST_PAGE, PAGE, RESOURCE
from limited_run import RATE, run_limited
from readers import TAP_JETTI, Job, Reader
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CAPACITY = 2.0
LATENCY = 0.5
"""Seconds of real time."""

FAILING_REQUEST = 4
"""The request that fails where one does: the pages of tap-jetti grow at that time."""


@dataclass(frozen=True)
class PageServer:
    """What a server does with pages of more rows than 100.

    Attributes:
        title: Its name in the tables.
        largest: Rows of the largest page that it gives.
        options: Those of the sandbox.
        failing_request: The request that fails once with 503; 0: none.
    """

    title: str
    largest: int = LARGEST_PAGE
    options: Mapping[str, object] = field(default_factory=dict)
    failing_request: int = 0

    @property
    def all_options(self) -> dict[str, object]:
        """The options of the sandbox, those that other servers set included."""
        return {"page_cap": 1_000_000, "refuse_limit": 0, "refuse_limit_status": "400", **self.options}


PAGE_SERVERS = (
    PageServer("gives any page"),
    PageServer("caps pages at 250 rows", 250, {"page_cap": 250}),
    PageServer("caps pages at 100 rows", 100, {"page_cap": 100}),
    PageServer("refuses more than 100 (400)", 100, {"refuse_limit": 100}),
    PageServer("fails on more than 250 (500)", 250, {"refuse_limit": 250, "refuse_limit_status": "500"}),
    PageServer("gives any page, one 503 while pages grow", failing_request=FAILING_REQUEST),
)


def measure(readers: Sequence[Reader], *, rows: int, scale: float) -> list[dict[str, Any]]:
    """Let each reader read one stream from each server."""
    found: list[dict[str, Any]] = []
    with Server.sandbox() as server:
        server.ask("fill", rows={RESOURCE: rows}, wide=False)
        job = Job(server.api_url, (RESOURCE,), RATE * scale, CAPACITY, scale)
        server.ask("options", options={"rate": job.rate, "capacity": CAPACITY, "latency": LATENCY / scale})
        for kind in PAGE_SERVERS:
            server.ask("options", options=kind.all_options)
            for title, reader, asked in _variants(readers, job):
                server.ask("fail_once", at=kind.failing_request)
                one = run_limited(server, reader, asked, least_gets=rows // PAGE, latency=LATENCY / scale)
                failure = one.run.failure
                given = one.run.rows.get(RESOURCE, 0)
                if failure is None and given != rows:
                    failure = f"gave {given:,} of {rows:,} rows and exit code 0"
                figures = {
                    "failure": failure,
                    "gets": one.gets,
                    "refused": one.refused,
                    "seconds": one.seconds,
                    "rows": rows,
                    "least_gets": math.ceil(rows / kind.largest),
                }
                found.append({"server": kind.title, "reader": title, **figures})
                failed = f", FAILED: {failure}" if failure else ""
                print(f"  {kind.title}, {title}: {one.gets} GETs, {one.seconds:.1f} s{failed}", flush=True)
    return found


def _variants(readers: Sequence[Reader], job: Job) -> Iterator[tuple[str, Reader, Job]]:
    """tap-jetti with its default settings; each other reader with pages of 100 rows, and of 1,000."""
    for reader in readers:
        if reader is TAP_JETTI:
            yield reader.title, reader, replace(job, is_adaptive=True)
        else:
            yield f"{reader.title}, {PAGE} rows", reader, job
            yield f"{reader.title}, {LARGEST_PAGE:,} rows", reader, replace(job, page_size=LARGEST_PAGE)
