"""Schedules of several streams through the real prefetcher, whose threads run one at a time, chosen by the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from account_plays import opened
from cooperative_threads import Clock, Deadlock, Threads
from invariants import Killed, Violation, Warehouse
from jetti_model import START, Freedoms, JettiModel
from model_network import Conditions, ModelNetwork
from stream_plays import LAG, LOGGER, freedoms_of
from tally import Tally
from tap_jetti.client.clock import VirtualClock
from tap_jetti.errors import IncompleteReadError, JettiError, NotFoundError, RetriableError
from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.reading.id_read import IdRead
from tap_jetti.reading.keyset import IncrementalRead
from tap_jetti.reading.page import decode_objects
from tap_jetti.reading.page_limit import PageLimit
from tap_jetti.reading.pages import Projection, ResourcePages
from tap_jetti.reading.prefetch import Prefetcher, StreamRead
from tap_jetti.reading.proof import Proof
from tap_jetti.reading.resource_facts import ResourceFacts
from tap_jetti.reading.server_profile import ServerProfile

RESOURCES = ("sales", "variants", "products", "customers", "prices")


@dataclass
class Plan:
    """How one stream is read.

    Attributes:
        rows: Its rows when the read begins.
        seed: What decides about them.
        by_id: Whether it is read by id, otherwise by date.
    """

    resource: str
    freedoms: Freedoms
    rows: int
    seed: float
    by_id: bool

    def model(self, clock: VirtualClock) -> JettiModel:
        """The resource as it is before the read."""
        model = JettiModel(random.Random(self.seed), self.freedoms, clock=clock)
        model.is_quiet = self.freedoms.churn == 0
        model.fill(self.rows, days=1)
        return model

    def stream_read(self, profile: ServerProfile, clock: VirtualClock) -> StreamRead:
        """How the real reader reads it."""
        facts = ResourceFacts(self.resource)

        def pages_from(session: Any, decode: Any) -> ResourcePages:
            return ResourcePages(
                session,
                self.resource,
                projection=Projection(),
                profile=profile,
                facts=None if self.by_id else facts,
                logger=LOGGER,
                decode=decode,
            )

        def reader(pages: Any) -> Any:
            if self.by_id:
                return IdRead(pages, verify_counts="auto", logger=LOGGER)
            return IncrementalRead(
                pages, start=None, end=None, bookmark_lag=LAG, verify_counts="auto", clock=clock, logger=LOGGER
            )

        return StreamRead(pages_from, reader)


def _plans(kind: str, chance: random.Random, *, first: int, is_fixed: bool) -> list[Plan]:
    plans = []
    for name in RESOURCES[: chance.randrange(1, 6)]:
        if kind == "quiet":
            freedoms = Freedoms(
                micros=chance.random() < 0.5,
                mass=chance.choice([0.0, 0.3, 0.9]),
                churn=0.0,
                cap=chance.choice([0, 0, 0, chance.randrange(8, 40)]),
                reorders=False,
            )
            if is_fixed and not freedoms.cap and chance.random() < 0.2:
                freedoms = replace(freedoms, gone_after=from_epoch(START - chance.random() * 86_400))
        else:
            freedoms = replace(freedoms_of("honest", chance), skew=0.0, no_date=False, frozen_date=0.0)
            # The size that reads begin with is not refused.
            refused, failing = (
                0 if is_fixed or not above else above + first for above in (freedoms.refuse_above, freedoms.fail_above)
            )
            freedoms = replace(freedoms, refuse_above=refused, fail_above=failing)
        freedoms = replace(freedoms, from_means=chance.choice(["offset", "page", "nothing"]))
        rows = chance.choice([0, 5, 40, 150, 400])
        plans.append(Plan(name, freedoms, rows, chance.random(), by_id=chance.random() < 0.3))
    return plans


def _limits(chance: random.Random) -> dict[str, Any]:
    size = chance.randrange(10, 31)
    return {"fixed": size} if chance.random() < 0.7 else {"maximum": 8 * size, "first": size, "concurrency": 4}


def serial(plans: list[Plan], limits: dict[str, Any]) -> list[tuple[list[dict[str, Any]], str | None]]:
    """The rows of each stream, and its bookmark or how it failed, read one after another."""
    clock = VirtualClock(wall=START)
    profile = ServerProfile(page_limit=PageLimit(**limits))
    found: list[tuple[list[dict[str, Any]], str | None]] = []
    for plan in plans:
        read = plan.stream_read(profile, clock)
        reader = read.reader(read.pages_from(plan.model(clock), decode_objects))
        rows: list[dict[str, Any]] = []
        try:
            for page in reader.pages():
                rows += page.rows
        except NotFoundError as error:
            found.append((rows, type(error).__name__))
        else:
            found.append((rows, getattr(reader, "final_bookmark", None)))
    return found


class Run:
    """One run of all streams through a prefetcher.

    Args:
        kind: ``quiet`` or ``busy``.
        chance: What decides.
        threads: What chooses which thread runs.
    """

    def __init__(self, kind: str, chance: random.Random, threads: Threads) -> None:
        self.kind = kind
        self.limits = _limits(chance)
        is_fixed = "fixed" in self.limits
        self.plans = _plans(kind, chance, first=self.limits.get("first", 0), is_fixed=is_fixed)
        self.threads = threads
        self.clock = Clock(self.threads, wall=START)
        self.models = {plan.resource: plan.model(self.clock) for plan in self.plans}
        self.network = ModelNetwork(
            models=self.models,
            conditions=Conditions(
                rate=chance.choice([2.0, 10.0, 50.0]),
                burst=chance.choice([5.0, 40.0]),
                latency=chance.choice([0.05, 0.5, 2.0]),
                fails=chance.choice([0.0, 0.0, 0.03]),
                storms=chance.choice([0.0, 0.0, 0.05]),
            ),
            clock=self.clock,
            chance=random.Random(chance.random()),
        )
        self.profile = ServerProfile(page_limit=PageLimit(**self.limits))
        self.session = opened(self.network, chance)
        self.concurrency = chance.choice([2, 4, 8])
        self.places = chance.choice([60, 200, 5000])
        self.ahead = Prefetcher(
            self.session,
            concurrency=self.concurrency,
            clock=self.clock,
            logger=LOGGER,
            min_latency=0,
            min_gain=chance.choice([0.0, 1.05]),
            places=self.places,
        )
        self.left = 1 << 40 if chance.random() < 0.7 else chance.randrange(400)
        self.found: list[tuple[list[dict[str, Any]], str | None]] = []
        self.tally = Tally(schedules=1, runs=1)

    def play(self) -> None:
        """Read all streams, and close the prefetcher whatever happens.

        Raises:
            Violation: An invariant is broken.
        """
        reads = [plan.stream_read(self.profile, self.clock) for plan in self.plans]
        self.ahead.follow(reads)
        try:
            for plan, read in zip(self.plans, reads, strict=True):
                self._read(plan, read)
        except Killed:
            self.tally.killed += 1
        finally:
            self._close()
        self.tally.gets = self.network.sent
        self.tally.switches = self.threads.switched

    def _read(self, plan: Plan, stream_read: StreamRead) -> None:
        opened_stream = self.ahead.open(stream_read)
        rows: list[dict[str, Any]] = []
        reader = opened_stream.reader
        try:
            for page in opened_stream.hand_over(decode_objects):
                for row in page.rows:
                    self._effect()
                    rows.append(row)
        except (IncompleteReadError, RetriableError):
            self.tally.failed += 1
            return
        except NotFoundError as error:
            self.found.append((rows, type(error).__name__))
            return
        self.found.append((rows, getattr(reader, "final_bookmark", None)))
        self.tally.note_proof(reader.proof.value)
        if self.kind == "busy":
            _check(plan, self.models[plan.resource], reader, rows, self.network.before.get(plan.resource, {}))

    def _effect(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def _close(self) -> None:
        self.ahead.close()
        self.clock.stop()  # as a signal does: it ends the wait for a permit
        give_up = self.threads.now + 1
        self.threads.wait(lambda: self.threads.alive == 0, give_up)
        if self.threads.alive:
            raise Violation(f"{self.threads.alive} threads outlive the prefetcher")
        memory = self.ahead.memory
        page = max(self.limits.values())
        if memory.most_held > self.places + 3 * page:
            raise Violation(f"memory: {memory.most_held} places of {self.places} are held")
        if self.network.most_in_flight > self.concurrency:
            raise Violation(f"{self.network.most_in_flight} requests are in flight, not {self.concurrency}")


def _check(plan: Plan, model: JettiModel, reader: Any, rows: list[dict[str, Any]], before: dict[int, Any]) -> None:
    if plan.by_id:
        missing = set(before) & set(model.rows) - {row["id"] for row in rows}
        if missing and reader.proof is Proof.PROVEN:
            raise Violation(f"I2: ids {sorted(missing)[:5]} of {plan.resource} are missing")
        return
    warehouse = Warehouse(plan.resource)
    for row in rows:
        warehouse.load(row)
    warehouse.print_state(reader.final_bookmark)
    warehouse.check_nothing_lost(model)
    missing_rows = warehouse.missing(model, before, upto=reader.range.ceiling)
    if missing_rows and reader.proof is Proof.PROVEN and model.shows_one_past:
        raise Violation(f"I5: rows {missing_rows[:5]} of {plan.resource} are missing")


def play_prefetch(kind: str, seed: int) -> Tally:
    """One run of up to five streams, read ahead.

    Raises:
        Violation: An invariant is broken.
    """
    chance = random.Random(f"prefetch {kind} {seed}")
    threads = Threads(random.Random(chance.random()))
    try:
        with threads.replaced():
            run = Run(kind, chance, threads)
            run.play()
    except Deadlock:
        raise Violation("all threads wait for each other") from None
    except JettiError as error:
        raise Violation(f"unexpected: {error!r}") from error
    if kind == "quiet" and not run.tally.killed and not run.tally.failed:
        for plan, alone, found in zip(run.plans, serial(run.plans, run.limits), run.found, strict=True):
            # Where a serial read cannot begin a page, a window may have read on.
            together = (found[0][: len(alone[0])], alone[1]) if alone[1] == NotFoundError.__name__ else found
            if alone != together:
                raise Violation(
                    f"{plan.resource}: {len(alone[0])} rows to {alone[1]}, not {len(found[0])} to {found[1]}"
                )
    return run.tally
