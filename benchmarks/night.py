"""Nightly runs of 25 streams after a first load: how many GETs they take when little or much has changed."""

from __future__ import annotations

import json
import math
import random
import shutil
import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from environments import CACHE
from fixture import INCREMENTAL, PAGE, shown
from limited_run import RATE, run_limited
from measuring import state_of
from readers import DLT, TAP_JETTI, Job, Reader
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

LOADED = 400
"""Rows of each stream in the first load."""

CAPACITY = 2.0
LATENCY = 0.5
"""Seconds of real time."""


@dataclass(frozen=True)
class Night:
    """What has changed before a run.

    Attributes:
        title: Its name in the tables.
        rows: Rows that have changed in each stream, or were added where that is more than there were.
        days: Days since the run before: the proofs in the state are made so much older. They are valid for 5 to 7.
    """

    title: str
    rows: tuple[int, ...]
    days: int = 1


NIGHTS = (
    Night("nothing changed", (0,)),
    Night("5 rows of each stream changed", (5,)),
    Night("60 rows of each", (60,)),
    Night("120 to 700 rows of each", (250, 480, 120, 700, 330)),
    Night("60 rows of each, all proofs due", (60,), days=4),
)


def measure(readers: Sequence[Reader], *, scale: float) -> list[dict[str, Any]]:
    """Let each reader live through the first load and all nights, each with the state of the one before."""
    found: list[dict[str, Any]] = []
    with Server.sandbox() as server:
        limit = {"rate": RATE * scale, "capacity": CAPACITY, "latency": LATENCY / scale, "page_cap": PAGE}
        server.ask("options", options=limit)
        job = Job(server.api_url, INCREMENTAL, RATE * scale, CAPACITY, scale, is_adaptive=True)
        for reader in readers:
            found += _live(server, reader, job)
    return found


def _live(server: Server, reader: Reader, job: Job) -> list[dict[str, Any]]:
    """The figures of all runs of a reader."""
    (CACHE / "runs").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE / "runs") as name:
        folder = Path(name)
        server.ask("fill", rows=dict.fromkeys(INCREMENTAL, LOADED), wide=False)
        everything = {stream: set(range(1, LOADED + 1)) for stream in INCREMENTAL}
        found = [
            _run(server, reader, job, folder=folder, title=f"first load, {LOADED} rows of each", changed=everything)
        ]
        for hours, night in zip(range(len(NIGHTS), 0, -1), NIGHTS, strict=True):
            changed = _changes(night)
            server.ask("change", ids={stream: sorted(ids) for stream, ids in changed.items()}, hours_ago=hours)
            _forget_rows(folder)
            state = folder / "state.json"
            found_state = state_of(folder / "output")
            if reader is TAP_JETTI:
                _age(found_state, night.days)
            state.write_text(json.dumps(found_state), encoding="utf-8")
            # The state of dlt stands in the folder itself.
            following = job if reader is DLT else replace(job, state=str(state))
            found.append(_run(server, reader, following, folder=folder, title=night.title, changed=changed))
        return found


def _changes(night: Night) -> dict[str, set[int]]:
    """The ids of the rows that change, the new ones last."""
    chance = random.Random(night.title)  # noqa: S311 - not for secrets
    return {
        stream: {*chance.sample(range(1, LOADED + 1), min(rows, LOADED)), *range(LOADED + 1, rows + 1)}
        for stream, rows in zip(INCREMENTAL, cycle(night.rows), strict=False)
    }


def _age(state: Any, days: int) -> None:  # noqa: ANN401 - any JSON
    """Make the proofs in a state so many days older."""
    for bookmark in state["bookmarks"].values():
        profile = bookmark["server_profile"]
        proven_at = datetime.fromisoformat(profile["proven_at"].replace("Z", "+00:00"))
        profile["proven_at"] = shown(proven_at - timedelta(days=days))


def _forget_rows(folder: Path) -> None:
    """Remove the rows that dlt has loaded, so that those of the next run can be told."""
    for stream in INCREMENTAL:
        shutil.rmtree(folder / "loaded" / "jetti" / stream, ignore_errors=True)


def _run(
    server: Server, reader: Reader, job: Job, *, folder: Path, title: str, changed: dict[str, set[int]]
) -> dict[str, Any]:
    """The figures of one run, which has to give at least the rows that have changed."""
    least_gets = sum(max(1, math.ceil(len(ids) / PAGE)) for ids in changed.values())
    one = run_limited(server, reader, job, least_gets=least_gets, latency=LATENCY / job.scale, folder=folder)
    given = {stream: one.run.ids.get(stream, set()) for stream in changed}
    missing = sum(len(ids - given[stream]) for stream, ids in changed.items())
    failure = one.run.failure or (f"{missing} changed rows did not come" if missing else None)
    figures = {
        "failure": failure,
        "gets": one.gets,
        "refused": one.refused,
        "seconds": one.seconds,
        "least_gets": least_gets,
        "given_again": sum(len(given[stream] - ids) for stream, ids in changed.items()),
    }
    failed = f", FAILED: {failure}" if failure else ""
    print(f"  {title}, {reader.title}: {one.gets} GETs, {one.refused} refused, {one.seconds:.1f} s{failed}", flush=True)
    return {"night": title, "reader": reader.title, **figures}
