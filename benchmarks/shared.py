"""Several processes that use one token: how much of the rate limit they use, and how fairly."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fixture import PAGE, RESOURCE, SECOND_RESOURCES
from limited_run import MOST_TIMES_IDEAL, RATE, REFUSED
from measuring import Process
from readers import TAP_JETTI, Job, Reader
from servers import Redis, Server

if TYPE_CHECKING:
    from collections.abc import Sequence

CAPACITY = 2.0
LATENCY = 0.05
"""Seconds of real time."""

FOUR = (RESOURCE, *SECOND_RESOURCES)
ACCEPTED = 200


def measure(readers: Sequence[Reader], *, pages: int, scale: float) -> list[dict[str, Any]]:
    """Measure four processes of each reader, and two processes of tap-jetti that share a Redis."""
    found: list[dict[str, Any]] = []
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-home-"))
        server = stack.enter_context(Server.sandbox())
        server.ask("fill", rows=dict.fromkeys(FOUR, pages * PAGE), wide=False)
        server.ask("options", options={"rate": RATE * scale, "capacity": CAPACITY, "latency": LATENCY / scale})
        jobs = [Job(server.api_url, (stream,), RATE * scale, CAPACITY, scale, home) for stream in FOUR]
        for reader in readers:
            found.append({"case": "4 processes, 1 home", "reader": reader.title, **_read(server, reader, jobs, pages)})
            _say(found[-1])
        redis = Redis()
        if TAP_JETTI in readers and redis.is_available:
            stack.enter_context(redis)
            jobs = [
                Job(server.api_url, (stream,), RATE * scale, CAPACITY, scale, store=redis.url) for stream in FOUR[:2]
            ]
            one = _read(server, TAP_JETTI, jobs, pages)
            found.append({"case": "2 processes, 2 homes, Redis", "reader": TAP_JETTI.title, **one})
            _say(found[-1])
        elif TAP_JETTI in readers:
            print("  redis-server is not installed: skipping the case with Redis.", flush=True)
    return found


def _read(server: Server, reader: Reader, jobs: Sequence[Job], pages: int) -> dict[str, Any]:
    rate = jobs[0].rate or RATE
    seconds = 30 + MOST_TIMES_IDEAL * len(jobs) * pages / rate
    server.ask("reset")
    with ExitStack() as stack:
        processes = [stack.enter_context(Process(seconds=seconds, keep_rows=True)) for _ in jobs]
        for process, job in zip(processes, jobs, strict=True):
            reader.start(process, job)
        runs = [process.finish() for process in processes]
    failures = [run.failure for run in runs if run.failure]
    given = sum(sum(run.rows.values()) for run in runs)
    if not failures and given != pages * PAGE * len(jobs):
        failures = [f"gave {given} of {pages * PAGE * len(jobs)} rows"]
    figures = shares(server.ask("look"), processes=len(jobs), rate=rate, latency=LATENCY / jobs[0].scale)
    if failures:  # not all processes were reading until the end
        figures |= {"used": None, "longest_wait": None}
    return {"failure": failures[0] if failures else None, "failed": len(failures), "processes": len(jobs), **figures}


def shares(arrived: list[Any], *, processes: int, rate: float, latency: float) -> dict[str, Any]:
    """How the rate limit was used while all processes were reading.

    Args:
        arrived: Time, path and status of each request; each process reads its own path.
        processes: How many there were.
        rate: Units per second.
        latency: Seconds between a request and its response.
    """
    by_process: dict[str, list[float]] = {}
    for when, path, status in arrived:
        if status == ACCEPTED:
            by_process.setdefault(path.partition("/")[0], []).append(when)
    refused = sum(status == REFUSED for _, _, status in arrived)
    figures: dict[str, Any] = {"gets": len(arrived), "refused": refused, "used": None, "longest_wait": None}
    if len(by_process) < processes:
        return figures
    begin = max(times[0] for times in by_process.values())
    end = min(times[-1] for times in by_process.values())
    if end <= begin:
        return figures
    within = {path: [when for when in times if begin <= when <= end] for path, times in by_process.items()}
    gaps = [later - earlier - latency for times in within.values() for earlier, later in pairwise(times)]
    figures["used"] = sum(begin < when <= end for times in within.values() for when in times) / (rate * (end - begin))
    figures["longest_wait"] = max(gaps) / (processes / rate)
    figures["seconds"] = end - begin
    return figures


def _say(one: dict[str, Any]) -> None:
    used = "not measured" if one["used"] is None else f"{one['used']:.1%} used, longest wait {one['longest_wait']:.2f}"
    failed = f", {one['failed']} FAILED: {one['failure']}" if one["failed"] else ""
    print(f"  {one['case']}, {one['reader']}: {used}, {one['refused']} refused{failed}", flush=True)
