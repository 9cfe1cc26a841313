"""Random schedules: runs of one stream on a server that lives, cuts, lies and fails, killed and resumed anywhere.

Run as a script it replays seeds by range: ``python tests/simulation/schedules.py honest --first 0 --count 1000``.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from dataclasses import dataclass, field
from multiprocessing import Pool
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from jetti_model import Freedoms, JettiModel, Version, shown

from tap_jetti.errors import IncompleteReadError, JettiError
from tap_jetti.reading.id_read import IdRead
from tap_jetti.reading.keyset import IncrementalRead
from tap_jetti.reading.page_limit import PageLimit
from tap_jetti.reading.pages import Projection, ResourcePages
from tap_jetti.reading.proof import Proof
from tap_jetti.reading.resource_facts import BOOKMARK_KEY, ResourceFacts
from tap_jetti.reading.server_profile import ServerProfile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_jetti.reading.page import Page

RESOURCE = "sales"
LAG = 10.0
"""Seconds of `bookmark_lag`: more than the latest commit, the replica's delay and the skew together."""

LOGGER = logging.getLogger("simulation")
LOGGER.setLevel(logging.CRITICAL)

DAY = 86_400.0


class Violation(AssertionError):  # noqa: N818 - it is what a schedule shows, not an error of a program
    """An invariant is broken."""


class Killed(Exception):  # noqa: N818 - the same
    """The process ended here."""


@dataclass
class Tally:
    """What the schedules of one kind came to.

    Attributes:
        failed: Runs that ended with an error.
        by_proof: Runs by how far they were proven.
        late: Rows that a trusted end left for a later run.
    """

    schedules: int = 0
    runs: int = 0
    killed: int = 0
    failed: int = 0
    gets: int = 0
    late: int = 0
    by_proof: dict[str, int] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add what another one counted."""
        for name in ("schedules", "runs", "killed", "failed", "gets", "late"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for proof, runs in other.by_proof.items():
            self.by_proof[proof] = self.by_proof.get(proof, 0) + runs


def freedoms_of(kind: str, chance: random.Random) -> Freedoms:
    """The server of a schedule.

    Args:
        kind: ``honest``: the count is right, pages are any; ``lies``: any count, pages are honest, capped, or refused;
            ``mixed``: both.
        chance: What decides.
    """
    options: dict[str, Any] = {
        "micros": chance.random() < 0.5,
        "mass": chance.choice([0.0, 0.05, 0.3]),
        "churn": chance.choice([0.0, 0.1, 0.3, 0.6]),
        "late": chance.choice([0.0, 0.0, 4.0]),
        "skew": chance.choice([0.0, 0.0, -40.0, 40.0]),
        "no_date": chance.random() < 0.1,
        "replica_lag": chance.choice([0.0, 0.0, 0.0, 3.0]) if kind != "lies" else 0.0,
        "busy": chance.choice([0.0, 0.05]),
        "ignores_descending": chance.random() < 0.2,
    }
    if options["no_date"]:
        options["skew"] = 0.0
    pages = chance.choice(
        ["whole", "cap", "bytes", "begins", "refuse", "fail", *(["cut"] * 3 if kind != "lies" else [])]
    )
    if pages in {"cap", "begins"}:
        options["cap"] = chance.randrange(2, 31)
        options["cap_from"] = chance.randrange(1, 5) if pages == "begins" else 0
    if pages == "bytes":
        options["cap_bytes"] = chance.randrange(100, 1500)
    if pages == "cut":
        options["cut"] = chance.choice([0.02, 0.1, 0.3])
    if pages == "refuse":
        options["refuse_above"] = chance.randrange(8, 65)
    if pages == "fail":
        options["fail_above"] = chance.randrange(8, 65)
    if kind != "honest":
        options["count"] = chance.choice(["right", "missing", "low", "zero", "high", "stale"])
    return Freedoms(**options)


class Stream:
    """One stream from run to run: its warehouse, and the state that its runs print.

    Args:
        model: The server.
        verify_counts: The setting.
    """

    def __init__(self, model: JettiModel, limit: int, *, verify_counts: str) -> None:
        self.model = model
        self.warehouse: dict[int, set[tuple[str, int]]] = {}
        self.latest: dict[int, int] = {}
        self.bookmark: dict[str, Any] = {}
        self.printed: list[dict[str, Any]] = [{}]
        self._limit = limit
        self.verify_counts = verify_counts

    def run(self, *, stop_after: int | None) -> IncrementalRead:
        """One run, killed before some effect."""
        model = self.model
        model.restart()
        facts = ResourceFacts.from_bookmark(RESOURCE, self.bookmark)
        profile = ServerProfile(page_limit=PageLimit(maximum=self._limit, first=8))
        pages = ResourcePages(
            model,
            RESOURCE,
            projection=Projection(),
            profile=profile,
            facts=facts,
            logger=LOGGER,
        )
        read = IncrementalRead(
            pages,
            start=self.bookmark.get("replication_key_value"),
            end=None,
            bookmark_lag=LAG,
            verify_counts=self.verify_counts,
            clock=model.clock,
            logger=LOGGER,
        )
        left = stop_after if stop_after is not None else 1 << 40

        def effect() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        bookmark = self.bookmark.get("replication_key_value")
        most = 60 + 12 * (len(model.rows) + 60)
        first = model.gets
        try:
            for page in read.pages():
                if model.gets - first > most:
                    raise Violation(f"I3: no end after {most} requests")
                for number, row in enumerate(page.rows):
                    effect()
                    self.emit(row)
                    key = read.bookmark(page.keys[number])
                    if key > (bookmark or ""):
                        bookmark = key
                effect()
                self.print_state(bookmark, None)
            effect()
            final = read.final_bookmark
            if final is not None and final > (bookmark or ""):
                bookmark = final
            self.print_state(bookmark, facts)
        except JettiError:
            self.print_state(bookmark, facts)
            raise
        return read

    def emit(self, row: dict[str, Any]) -> None:
        """Load a row: the last one loaded is what the warehouse shows."""
        self.warehouse.setdefault(row["id"], set()).add((row["updatedAt"], row["write"]))
        self.latest[row["id"]] = row["write"]

    def print_state(self, bookmark: str | None, facts: ResourceFacts | None) -> None:
        """Write a STATE message."""
        state = dict(self.bookmark)
        if bookmark is not None:
            state["replication_key_value"] = bookmark
        if facts is not None:
            state[BOOKMARK_KEY] = facts.to_bookmark()
        self.bookmark = state
        self.printed.append(state)


def check_nothing_lost(stream: Stream) -> None:
    """I1: every committed row up to the bookmark, and those that it says were given at it, was emitted."""
    bookmark = stream.bookmark.get("replication_key_value")
    if bookmark is None:
        return
    known = ResourceFacts.from_bookmark(RESOURCE, stream.bookmark).ids_given_at(bookmark) or ()
    for row_id, version in stream.model.rows.items():
        key = shown(version)
        if (key < bookmark or (key == bookmark and row_id in known)) and not has(stream, row_id, version):
            raise Violation(f"I1: row {row_id} of {key} is not there, and the bookmark is {bookmark}")


def has(stream: Stream, row_id: int, version: Version) -> bool:
    """Whether a version of a row was emitted."""
    return (shown(version), version.write) in stream.warehouse.get(row_id, ())


def check_proven(stream: Stream, before: dict[int, Version], upper: str, name: str) -> int:
    """I5, I6: rows from before the read, up to U - lag and unchanged, were emitted; returns how many were not."""
    rows = stream.model.rows
    missing = [
        row_id
        for row_id, version in before.items()
        if shown(version) < upper and rows.get(row_id) == version and not has(stream, row_id, version)
    ]
    if missing and name:
        raise Violation(f"{name}: rows {missing[:5]} are missing")
    return len(missing)


def play_incremental(kind: str, seed: int) -> Tally:
    """A schedule of four to nine runs by ``updatedAt``.

    Raises:
        Violation: An invariant is broken.
    """
    chance = random.Random(f"{kind} {seed}")
    freedoms = freedoms_of(kind, chance)
    model = JettiModel(random.Random(chance.random()), freedoms)
    model.fill(chance.randrange(61), days=chance.choice([0.001, 1, 30]))
    stream = Stream(model, chance.randrange(8, 65), verify_counts=chance.choice(["auto"] * 6 + ["always", "never"]))
    tally = Tally(schedules=1)
    last = chance.randrange(4, 10)
    for number in range(last):
        is_last = number == last - 1
        model.pass_time(chance.choice([1, 30, 0.5 * DAY, DAY, 3 * DAY]), writes=chance.choice([0, 1, 5, 20]))
        if is_last:
            model.is_quiet = True
            model.settle()
            model.clock.advance(60)
            model.is_honest = kind == "honest" or chance.random() < 0.5
        before, gets, counts = dict(model.rows), model.gets, model.counts
        stop_after = None if is_last or chance.random() < 0.7 else chance.randrange(80)
        tally.runs += 1
        try:
            read = stream.run(stop_after=stop_after)
        except Killed:
            tally.killed += 1
            stream.bookmark = chance.choice(stream.printed[-3:])
        except JettiError as error:
            if not isinstance(error, IncompleteReadError):
                raise Violation(f"unexpected: {error!r}") from error
            tally.failed += 1
        else:
            tally.by_proof[read.proof] = tally.by_proof.get(read.proof, 0) + 1
            if read.proof is Proof.PROVEN and freedoms.count == "right":
                check_proven(stream, before, read.range.ceiling, "I5")
            elif model.counts == counts and not model.has_cut and freedoms.count == "right":
                check_proven(stream, before, read.range.ceiling, "I6")
            else:
                tally.late += check_proven(stream, before, read.range.ceiling, "")
        tally.gets += model.gets - gets
        check_nothing_lost(stream)
    check_warehouse(kind, model, stream)
    return tally


def check_warehouse(kind: str, model: JettiModel, stream: Stream) -> None:
    """I4: once the server is quiet, runs make the warehouse equal to it; within the days in which ends are trusted."""
    if kind != "honest" or stream.verify_counts == "never":
        return
    for _ in range(3):
        model.clock.advance(8 * DAY)
        try:
            stream.run(stop_after=None)
        except IncompleteReadError:
            continue
        check_nothing_lost(stream)
    wrong = [row_id for row_id, version in model.rows.items() if not has(stream, row_id, version)]
    if wrong:
        raise Violation(f"I4: rows {wrong[:5]} never came")
    stale = [row_id for row_id, version in model.rows.items() if stream.latest[row_id] != version.write]
    if stale:
        raise Violation(f"I4: rows {stale[:5]} are not as they are in Jetti")


def play_by_id(kind: str, seed: int) -> Tally:
    """A read by ``id`` while rows are added, changed and deleted.

    Raises:
        Violation: An invariant is broken.
    """
    chance = random.Random(f"by id {kind} {seed}")
    freedoms = freedoms_of(kind, chance)
    model = JettiModel(random.Random(chance.random()), freedoms)
    model.fill(chance.randrange(121), days=1)
    for row_id in [row_id for row_id in model.rows if chance.random() < 0.2]:
        del model.rows[row_id]
    profile = ServerProfile(page_limit=PageLimit(maximum=chance.randrange(8, 65), first=8))
    pages = ResourcePages(model, RESOURCE, projection=Projection(), profile=profile, logger=LOGGER)
    read = IdRead(pages, verify_counts="auto", logger=LOGGER)
    tally = Tally(schedules=1, runs=1)
    before, given = set(model.rows), set[int]()
    stayed = set(before)
    most = 100 + 12 * len(before)
    try:
        for page in within(read.pages(), model, most):
            given.update(page.ids)
            stayed &= set(model.rows)
    except IncompleteReadError:
        tally.failed += 1
    else:
        tally.by_proof[read.proof] = 1
        stayed &= set(model.rows)
        missing = stayed - given
        if missing and freedoms.count == "right" and read.proof is Proof.PROVEN:
            raise Violation(f"I2: ids {sorted(missing)[:5]} are missing")
    tally.gets = model.gets
    return tally


def within(pages: Iterator[Page], model: JettiModel, most: int) -> Iterator[Page]:
    """The pages, as long as they take no more requests than any such read needs."""
    for page in pages:
        if model.gets > most:
            raise Violation(f"I3: no end after {most} requests")
        yield page


PLAYS: dict[str, Callable[[int], Tally]] = {
    "honest": lambda seed: play_incremental("honest", seed),
    "lies": lambda seed: play_incremental("lies", seed),
    "mixed": lambda seed: play_incremental("mixed", seed),
    "by-id": lambda seed: play_by_id("honest", seed),
}


def _try(job: tuple[str, int]) -> Tally | str:
    name, seed = job
    try:
        return PLAYS[name](seed)
    except Violation as violation:
        return f"{name} --first {seed} --count 1: {violation}"
    except Exception as error:  # noqa: BLE001 - a schedule must tell its seed whatever it meets
        return f"{name} --first {seed} --count 1: {error!r}"


def main() -> None:
    """Play schedules and print what they came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=[*PLAYS, "all"])
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1000, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    chosen = parser.parse_args()
    started = time.monotonic()
    broken = 0
    for name in PLAYS if chosen.kind == "all" else [chosen.kind]:
        tally = Tally()
        jobs = [(name, seed) for seed in range(chosen.first, chosen.first + chosen.count)]
        with Pool(chosen.jobs) as pool:
            for result in pool.imap_unordered(_try, jobs, chunksize=50):
                if isinstance(result, Tally):
                    tally.add(result)
                else:
                    broken += 1
                    print(result, flush=True)
        print(f"{name}: {tally}", flush=True)
    print(f"{broken} broken, {time.monotonic() - started:.0f} s")
    sys.exit(broken > 0)


if __name__ == "__main__":
    main()
