"""How time and memory grow with the number of rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from fixture import RESOURCE
from readers import Job, Reader
from servers import Server
from throughput import read

if TYPE_CHECKING:
    from collections.abc import Sequence


def measure(readers: Sequence[Reader], *, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Measure each reader once with each number of rows."""
    found: list[dict[str, Any]] = []
    with Server.fixture() as server:
        job = Job(server.api_url, (RESOURCE,))
        for rows in sizes:
            server.ask("fill", rows=rows)
            for reader in readers:
                one = read(server, partial(reader.start, job=job), rows=rows)
                figures = {"seconds": one.seconds, "cpu": one.run.cpu, "peak": one.run.peak}
                found.append({"reader": reader.title, "rows": rows, "failure": one.run.failure, **figures})
                print(f"  {rows:,} rows, {reader.title}: {one.seconds:.1f} s, {one.run.peak:.0f} MB", flush=True)
    return found
