"""Schedules of one stream, whose requests reach the model without a session."""

from __future__ import annotations

import contextlib
import logging
import random
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from invariants import Killed, Violation, Warehouse
from jetti_model import Freedoms, JettiModel
from tally import Tally
from tap_jetti.errors import IncompleteReadError, JettiError
from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.reading.id_read import IdRead
from tap_jetti.reading.keyset import IncrementalRead
from tap_jetti.reading.page_limit import PageLimit
from tap_jetti.reading.pages import Projection, ResourcePages
from tap_jetti.reading.proof import Proof
from tap_jetti.reading.resource_facts import BOOKMARK_KEY, ResourceFacts
from tap_jetti.reading.server_profile import ServerProfile
from tap_jetti.tap.snapshot_stream import SnapshotStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tap_jetti.reading.page import Page
    from tap_jetti.reading.pages import Reads

LAG = 10.0
"""Seconds of `bookmark_lag`: more than the latest commit, the replica's delay and the skew together."""

LOGGER = logging.getLogger("simulation")
LOGGER.setLevel(logging.CRITICAL)

DAY = 86_400.0


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
        "frozen_date": chance.choice([0.0, 0.0, 0.0, 0.3]),
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


class StreamRuns:
    """The runs of one stream, one after another.

    Args:
        model: The server.
        limit: Rows asked for per page at most.
        verify_counts: The setting.
        session: What sends the requests; by default they reach the model at once.
        resource: The resource.
    """

    def __init__(
        self,
        model: JettiModel,
        limit: int,
        *,
        verify_counts: str,
        session: Callable[[], Reads] | None = None,
        resource: str = "sales",
    ) -> None:
        self.model = model
        self.warehouse = Warehouse(resource)
        self.verify_counts = verify_counts
        self._limit = limit
        self._session = session or (lambda: model)
        self._resource = resource

    def profile(self) -> ServerProfile:
        """What a new process knows of the server."""
        return ServerProfile(page_limit=PageLimit(maximum=self._limit, first=8))

    def run(
        self, *, stop_after: int | None = None, end: str | None = None, profile: ServerProfile | None = None
    ) -> IncrementalRead:
        """One run, killed before some effect.

        Raises:
            Killed: It was.
            Violation: It does not end.
            JettiError: It failed.
        """
        model, warehouse = self.model, self.warehouse
        model.restart()
        profile = profile or self.profile()
        facts = ResourceFacts.from_bookmark(self._resource, warehouse.bookmark)
        profile.page_limit.recall(warehouse.bookmark.get(BOOKMARK_KEY, {}), now=from_epoch(model.clock.time()))
        pages = ResourcePages(
            self._session(), self._resource, projection=Projection(), profile=profile, facts=facts, logger=LOGGER
        )
        read = IncrementalRead(
            pages,
            start=warehouse.position,
            end=end,
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

        began, position = warehouse.position, warehouse.position or ""
        most = model.gets + 60 + 12 * (len(model.rows) + 60)
        try:
            for page in read.pages():
                if model.gets > most:
                    raise Violation("I3: this run does not end")
                for number, row in enumerate(page.rows):
                    effect()
                    warehouse.load(row)
                    position = max(position, read.bookmark(page.keys[number]))
                effect()
                warehouse.print_state(position or None)
            effect()
            position = max(position, read.final_bookmark or "")
        except IncompleteReadError as error:
            position = (began or "") if error.refutes_bookmark else position
            warehouse.print_state(position or None, self._learnt(facts, profile))
            raise
        except JettiError:
            warehouse.print_state(position or None, self._learnt(facts, profile))
            raise
        warehouse.print_state(position or None, self._learnt(facts, profile))
        return read

    def _learnt(self, facts: ResourceFacts, profile: ServerProfile) -> dict[str, Any]:
        return {**facts.to_bookmark(), **profile.page_limit.to_bookmark()}

    def judge(self, read: IncrementalRead, before: dict[int, Any], *, counts: int) -> int:
        """Check what a run that ended well has promised; returns the rows that it left for a later one.

        Raises:
            Violation: I5 or I6.
        """
        model, freedoms = self.model, self.model.freedoms
        upto = min(read.range.ceiling, read.range.bound or read.range.ceiling)
        missing = self.warehouse.missing(model, before, upto=upto)
        if missing and freedoms.count == "right":
            if read.proof is Proof.PROVEN and model.shows_one_past:
                raise Violation(f"I5: rows {missing[:5]} are missing")
            if model.counts == counts and not model.has_cut:
                raise Violation(f"I6: rows {missing[:5]} are missing")
            if read.proof is Proof.TRUSTED and freedoms.is_capped_by_rows_only:
                raise Violation(f"I6: rows {missing[:5]} are missing where all pages are capped at {freedoms.cap}")
        return len(missing)

    def settle(self) -> None:
        """I4: let runs make the warehouse equal to the quiet, honest server, though ends are trusted for a week."""
        for _ in range(3):
            self.model.clock.advance(8 * DAY)
            try:
                self.run()
            except IncompleteReadError:
                continue
            self.warehouse.check_nothing_lost(self.model)
        self.warehouse.check_equal(self.model)


def play_incremental(kind: str, seed: int) -> Tally:
    """A schedule of four to nine runs by ``updatedAt``.

    Raises:
        Violation: An invariant is broken.
    """
    chance = random.Random(f"{kind} {seed}")
    freedoms = freedoms_of(kind, chance)
    model = JettiModel(random.Random(chance.random()), freedoms)
    model.fill(chance.randrange(61), days=chance.choice([0.001, 1, 30]))
    stream = StreamRuns(model, chance.randrange(8, 65), verify_counts=chance.choice(["auto"] * 6 + ["always", "never"]))
    warehouse = stream.warehouse
    tally = Tally(schedules=1)
    last = chance.randrange(4, 10)
    for number in range(last):
        is_last = number == last - 1
        model.pass_time(chance.choice([1, 30, 0.5 * DAY, DAY, 3 * DAY]), writes=chance.choice([0, 1, 5, 20]))
        if chance.random() < 0.2 and not freedoms.no_date:
            model.clock.step(chance.choice([-3 * DAY, -3600, -5, 5, 3600, 3 * DAY]))
        if is_last:
            model.is_quiet = True
            model.settle()
            model.clock.advance(60)
            model.is_honest = kind == "honest" or chance.random() < 0.5
        before, gets, counts = dict(model.rows), model.gets, model.counts
        stop_after = None if is_last or chance.random() < 0.7 else chance.randrange(80)
        ago = chance.choice([0.0, LAG / 2, 60.0, 0.5 * DAY, 2 * DAY])
        end = None if is_last or chance.random() < 0.8 else from_epoch(model.now() - ago)
        tally.runs += 1
        try:
            read = stream.run(stop_after=stop_after, end=end)
        except Killed:
            tally.killed += 1
            warehouse.bookmark = chance.choice(warehouse.printed[-3:])
        except JettiError as error:
            if not isinstance(error, IncompleteReadError):
                raise Violation(f"unexpected: {error!r}") from error
            tally.failed += 1
        else:
            tally.note_proof(read.proof.value)
            tally.late += stream.judge(read, before, counts=counts)
        tally.gets += model.gets - gets
        warehouse.check_nothing_lost(model)
    if kind == "honest" and stream.verify_counts != "never":
        stream.settle()
    return tally


def _read_by_id(model: JettiModel, limit: int, *, verify_counts: str = "auto") -> IdRead:
    profile = ServerProfile(page_limit=PageLimit(maximum=limit, first=8))
    pages = ResourcePages(model, "sales", projection=Projection(), profile=profile, logger=LOGGER)
    return IdRead(pages, verify_counts=verify_counts, logger=LOGGER)


def _within(pages: Iterable[Page], model: JettiModel) -> Iterator[Page]:
    """The pages, as long as they take no more requests than any such read needs."""
    most = model.gets + 100 + 12 * (len(model.rows) + 60)
    for page in pages:
        if model.gets > most:
            raise Violation("I3: this read does not end")
        yield page


def _filled(chance: random.Random, freedoms: Freedoms) -> JettiModel:
    """A model with up to 120 rows, and gaps between their ids."""
    model = JettiModel(random.Random(chance.random()), freedoms)
    model.fill(chance.randrange(121), days=1)
    for row_id in [row_id for row_id in model.rows if chance.random() < 0.2]:
        del model.rows[row_id]
    return model


def play_by_id(kind: str, seed: int) -> Tally:
    """A full-table read by ``id`` while rows are added, changed and deleted.

    Raises:
        Violation: An invariant is broken.
    """
    chance = random.Random(f"by id {kind} {seed}")
    model = _filled(chance, freedoms_of(kind, chance))
    read = _read_by_id(model, chance.randrange(8, 65))
    tally = Tally(schedules=1, runs=1)
    given, stayed = set[int](), set(model.rows)
    try:
        for page in _within(read.pages(), model):
            given.update(page.ids)
            stayed &= set(model.rows)
    except IncompleteReadError:
        tally.failed += 1
    else:
        tally.note_proof(read.proof.value)
        missing = (stayed & set(model.rows)) - given
        if missing and model.freedoms.count == "right" and read.proof is Proof.PROVEN:
            raise Violation(f"I2: ids {sorted(missing)[:5]} are missing")
    tally.gets = model.gets
    return tally


def play_snapshots(kind: str, seed: int) -> Tally:
    """Snapshots of ids, one per run, by the tap's own stream.

    Raises:
        Violation: A snapshot shows rows as deleted that are not, or is not whole.
    """
    chance = random.Random(f"snapshots {kind} {seed}")
    model = _filled(chance, freedoms_of(kind, chance))
    settings = {"bookmark_lag": LAG}
    tally = Tally(schedules=1)
    for _ in range(chance.randrange(2, 6)):
        model.pass_time(chance.choice([1, 30, DAY]), writes=chance.choice([0, 5, 20]))
        model.restart()
        read = _read_by_id(model, chance.randrange(8, 65), verify_counts="always")
        stream = _snapshot_stream(model, read, settings)
        rows = list[dict[str, Any]]()
        tally.runs += 1
        try:
            for page in SnapshotStream.read_pages(stream):
                rows += page.rows
        except IncompleteReadError as error:
            tally.failed += 1
            if rows:
                raise Violation(f"I2: {len(rows)} rows of a snapshot left that is not whole") from error
            continue
        tally.note_proof(read.proof.value)
        if read.proof is not Proof.PROVEN:
            raise Violation("I2: a snapshot left that is not proven")
        if not rows or model.freedoms.count != "right":
            continue
        snapshot_at = rows[0]["snapshotAt"]
        given = {row["id"] for row in rows}
        gone = [
            row_id for row_id in model.rows if from_epoch(model.created[row_id]) <= snapshot_at and row_id not in given
        ]
        if gone:
            raise Violation(f"I2: rows {gone[:5]} look deleted, and are not")
    tally.gets = model.gets
    return tally


def _snapshot_stream(model: JettiModel, read: IdRead, settings: dict[str, Any]) -> Any:
    """What `SnapshotStream` needs of itself and of a run, with the model in place of the session."""
    stream = SimpleNamespace(
        name="sales_ids",
        run=SimpleNamespace(
            clock=model.clock, session=model, settings=settings, deferred_interrupts=contextlib.nullcontext
        ),
        logger=LOGGER,
        open_pages=lambda _decode: _within(read.pages(), model),
        _reader=read,
        _resource="sales",
        _columns={name: name for name in ("id", "snapshotAt")},
    )
    stream._snapshot_at = partial(SnapshotStream._snapshot_at, cast("SnapshotStream", stream))
    return stream
