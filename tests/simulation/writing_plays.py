"""Schedules of writing: the real target from the record on, its threads under control, killed and resumed anywhere."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import random
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from typing_extensions import override

from cooperative_threads import MODULES, Clock, Deadlock, Threads
from invariants import Violation
from jetti_model import START
from tally import Tally
from tap_jetti.client.hosts import Host
from tap_jetti.client.rate_limit import MemoryStore, RateLimiter
from tap_jetti.client.retry import RetryPolicy
from tap_jetti.client.session import JettiSession
from tap_jetti.errors import JettiError, RecordError, RetriableError
from tap_jetti.process.settings import settings_schema
from tap_jetti.target.actions import action_named, endpoint_fallback, webhook_hashes
from tap_jetti.target.delivery import (
    checkpoints,
    departures,
    dispatcher,
    outcomes,
    read_back,
    rejects,
    summary,
    write_path,
)
from tap_jetti.target.delivery.ledger import account_ledger, once, sent_writes
from tap_jetti.target.delivery.operations import InputStream
from tap_jetti.target.pipeline import Pipeline
from tap_jetti.target.settings import TARGET_SETTINGS
from writing_input import (
    STREAMS,
    Message,
    check_arrived,
    check_final,
    check_order,
    draw_messages,
    is_invalid,
    may_be_refused,
)
from writing_model import FEED, Dead, Freedoms, WritingJetti, WritingNetwork, check_shipped_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

TARGET_MODULES = (
    *MODULES,
    account_ledger,
    checkpoints,
    dispatcher,
    endpoint_fallback,
    once,
    outcomes,
    read_back,
    rejects,
    sent_writes,
    summary,
    webhook_hashes,
    write_path,
)
DEFAULTS = {name: facts.get("default") for name, facts in settings_schema(TARGET_SETTINGS)["properties"].items()}
BOUNDS: list[tuple[ModuleType, str, list[int]]] = [
    (checkpoints, "MAX_STATE_BYTES", [0, 60, 1 << 22]),
    (departures, "MAX_HELD", [2, 5_000, 5_000]),
    (dispatcher, "MAX_OPEN_OPERATIONS", [2, 5_000]),
]
"""Bounds on memory, and what they are in a schedule: small ones are reached by few records."""

MOST_RUNS = 40
LONGEST_DELAY = 20.0
MEMORY = "/dev/shm"


class Told(logging.Logger):
    """Takes note of the warnings of a run, whatever else becomes of them."""

    def __init__(self) -> None:
        super().__init__("simulation.writing")
        self.addHandler(logging.NullHandler())
        self.texts: list[str] = []

    @override
    def warning(self, msg: object, *args: object, **_options: Any) -> None:
        self.texts.append(str(msg) % args)


@dataclass
class Output:
    """Where STATE goes.

    Attributes:
        write_state: Called with each value.
    """

    write_state: Callable[[Any], None]

    def write(self, lines: bytes) -> None:
        """Write a line."""
        self.write_state(json.loads(lines))


class Schedule:
    """One input, delivered by as many runs as it takes.

    Args:
        chance: What decides.
        threads: What chooses which thread runs.
        folder: Where the rejects and the ledger are.
    """

    def __init__(self, chance: random.Random, threads: Threads, folder: Path) -> None:
        self.chance, self.threads, self.folder = chance, threads, folder
        self.clock = Clock(threads, wall=START)
        self.freedoms = Freedoms(
            delay=chance.choice([0.0, 2.0, LONGEST_DELAY]),
            reorders=chance.random() < 0.5,
            fails=chance.choice([0.0, 0.0, 0.05, 0.2]),
            latency=chance.choice([0.01, 0.3]),
            refuses=chance.random() < 0.3,
            page=chance.choice([5, 100]),
            counts=chance.random() < 0.8,
        )
        self.jetti = WritingJetti(self.freedoms, random.Random(chance.random()), self.clock)
        self.rate, self.burst = chance.choice([(2.0, 2.0), (20.0, 10.0), (1000.0, 1000.0)])
        self.network = self._new_network(self.jetti)
        self.store = MemoryStore(self.clock)
        self.patience = chance.choice([1.0, 60.0])
        self.config = self._draw_config()
        self.messages = draw_messages(chance, self.config["max_updates"])
        self.told = Told()
        # With a limit, all records of a key must be compared together: each run would send the older ones again.
        self.decided_together = chance.choice([1, 4, 10_000]) if self.config["max_updates"] is None else 10_000
        self.state = 0
        self.left = 1 << 40
        self.violation: Violation | None = None
        self.tally = Tally(schedules=1)

    def play(self) -> None:
        """Run until all is done.

        Raises:
            Violation: An invariant is broken.
        """
        kills = self.chance.choice([0, 0, 1, 3])
        for attempt in range(MOST_RUNS):
            if attempt > 10:
                self.freedoms.fails = 0.0
            self.left = self.chance.randrange(1, 60) if attempt < kills else 1 << 40
            error = self._run_once()
            if self.violation is not None:
                raise self.violation
            check_order(self.jetti)
            check_shipped_once(self.jetti)
            self.threads.now += LONGEST_DELAY + self.chance.choice([1, 1000])
            self.jetti.settle()
            if error is None and self.state == self.messages[-1].number:
                self._check_end()
                return
            if isinstance(error, RecordError):
                self._check_stop(error)
                return
        raise Violation(f"not done after {MOST_RUNS} runs: {error!r}, STATE {self.state}")

    def _run_once(self) -> BaseException | None:
        """Run the target from the last STATE; returns how it failed."""
        self.jetti.run += 1
        self.tally.runs += 1
        self.network.effect = self._effect
        start = next(
            (place for place, one in enumerate(self.messages) if not one.stream and one.number == self.state), -1
        )
        pipeline, clock = self._new_pipeline(self.network, self.config)
        error: BaseException | None = None
        try:
            self._deliver(pipeline, self.messages[start + 1 :])
        except Dead as end:
            self.tally.killed += 1
            error = end
        except RecordError as end:
            error = end
        except JettiError as end:
            self.tally.failed += 1
            if not isinstance(end, RetriableError):
                raise Violation(f"a run failed: {end!r}") from end
            error = end
        finally:
            pipeline.close()
            clock.stop()
            self.threads.wait(lambda: self.threads.alive == 0, self.threads.now + 600)
        if self.threads.alive:
            raise Violation(f"{self.threads.alive} threads outlive the run")
        if error is None:
            self._check_figures(pipeline)
        return error

    def _deliver(self, pipeline: Pipeline, messages: list[Message]) -> None:
        """Do what the target does with its input."""
        streams = {}
        for name in STREAMS:
            action = action_named(name)(pipeline.context)
            columns = action.columns(())
            streams[name] = InputStream(name, {"type": "SCHEMA"}, (), action, pipeline.summary.of(name), columns)
            pipeline.add_stream()
        try:
            for message in messages:
                if self.chance.random() < 0.02:
                    self.threads.wait(
                        None, self.threads.now + self.chance.choice([0.5, 2.0, 40.0])
                    )  # the input is silent
                if message.stream:
                    record = dict(message.record)
                    pipeline.processor.process(streams[message.stream], record, record, line=message.number, size=100)
                else:
                    pipeline.checkpoints.add_state(message.number, size=20)
            pipeline.finish()
        except RecordError:
            pipeline.deliver_received()
            raise

    def _new_pipeline(self, network: WritingNetwork, config: dict[str, Any]) -> tuple[Pipeline, Clock]:
        clock = Clock(self.threads, wall=self.clock.time())
        limiter = RateLimiter(self.store, rate=self.rate, burst=self.burst, clock=clock)
        inbound = RateLimiter(MemoryStore(clock), rate=20, burst=4, clock=clock)
        session = JettiSession(
            Host("http://jetti.invalid/api/", limiter),
            Host("http://jetti.invalid/webhooks/", inbound),
            clock=clock,
            transport=network,
            dry_run=config["dry_run"],
            logger=self.told,
        )
        session._retry = RetryPolicy(self.patience, random.Random(self.chance.random()))
        pipeline = Pipeline(config, session=session, clock=clock, logger=self.told)
        pipeline.output = Output(self._write_state)  # type: ignore[assignment]
        pipeline.prepare(None)
        return pipeline, clock

    def _new_network(self, jetti: WritingJetti) -> WritingNetwork:
        return WritingNetwork(jetti, random.Random(self.chance.random()), rate=self.rate, burst=self.burst)

    def _draw_config(self) -> dict[str, Any]:
        chance = self.chance
        limit = chance.choice([None, None, 5, 20])
        return {
            **DEFAULTS,
            "api_token": "t",
            "api_url": "http://jetti.invalid/api/",
            "inventory_feed_id": FEED,
            "delivery": chance.choice(["inbound", "inbound", "api"]),
            "concurrency": chance.choice([1, 2, 4]),
            "batch_size": chance.choice([1, 3, 50]),
            # Without a comparison nothing tells what an earlier run has sent, so the rest is left for ever.
            "skip_unchanged": chance.random() < 0.6 or limit is not None,
            "ledger": str(self.folder / "ledger") if chance.random() < 0.3 else "none",
            "confirm_seconds": chance.choice([0, 0, 3 * LONGEST_DELAY]),
            "max_updates": limit,
            "max_updates_order": chance.choice(["arrival", "largest_change"]),
            "on_reject": chance.choice(["set_aside", "set_aside", "set_aside", "stop"]),
            "rejects_path": str(self.folder / "rejects"),
        }

    def _effect(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Dead

    def _write_state(self, value: Any) -> None:
        self._effect()
        try:
            check_arrived(self.jetti, self.messages, self._aside(), value)
        except Violation as violation:
            self.violation = self.violation or violation
        if value < self.state:
            self.violation = Violation(f"STATE goes back from {self.state} to {value}")
        self.state = value

    def _aside(self) -> set[int]:
        """The numbers of the records in the rejects file."""
        path = self.folder / "rejects"
        lines = path.read_text().splitlines() if path.exists() else []
        return {one["record"]["_n"] for one in map(json.loads, lines) if one["type"] == "RECORD"}

    def _check_figures(self, pipeline: Pipeline) -> None:
        limit = self.config["max_updates"]
        if limit is not None:
            sent = {
                (one.key, *sorted(one.values.items()))
                for one in self.jetti.arrivals
                if one.run == self.jetti.run and one.kind == "set"
            }
            if len(sent) > limit:
                raise Violation(f"{len(sent)} updates were sent, not {limit}")
        if not pipeline.summary.total("left") and self.state != self.messages[-1].number:
            raise Violation(f"nothing is left, and STATE is {self.state}")

    def _check_end(self) -> None:
        aside = self._aside()
        may_refuse = self.freedoms.refuses and self.config["delivery"] == "api"
        is_unordered = any("more than once" in text for text in self.told.texts)
        for number in aside:
            message = next(one for one in self.messages if one.stream and one.number == number)
            is_uncertain = message.stream == "shipments" or is_unordered
            if not (is_invalid(message) or is_uncertain or may_refuse):
                raise Violation(f"record {number} is set aside without a reason")
        check_arrived(self.jetti, self.messages, aside, self.messages[-1].number)
        self.jetti.settle(all_of_it=True)
        if is_unordered:
            self.tally.late += 1
            return
        try:
            check_final(self.jetti, self.messages, aside)
        except Violation:
            if not may_refuse:  # what was refused together with a merged record is set aside with it
                raise

    def _check_stop(self, error: RecordError) -> None:
        may_refuse = self.freedoms.refuses and self.config["delivery"] == "api"
        if self.config["on_reject"] != "stop":
            raise Violation(f"a rejected record stopped the run: {error!r}")
        bad = [
            one.number
            for one in self.messages
            if one.stream and (is_invalid(one) or (may_refuse and may_be_refused(one)) or one.stream == "shipments")
        ]
        if not bad:
            raise Violation(f"no record is bad, but: {error!r}")
        first = min(bad)
        states = [one.number for one in self.messages if not one.stream and one.number < first]
        is_exact = self.config["max_updates"] is None and not may_refuse  # records that are merged are refused together
        if states and self.state < max(states) and is_exact:
            raise Violation(f"STATE is {self.state}, though all before {first} could be delivered")

    def check_plan(self) -> None:
        """A dry run, then the run on a copy of the account, without faults; in one schedule of four.

        Raises:
            Violation: Their figures differ, or the dry run writes.
        """
        if self.chance.random() < 0.75:
            return
        figures = []
        for dry_run in (True, False):
            jetti = copy.deepcopy(self.jetti, {id(self.clock): self.clock})
            jetti.freedoms = Freedoms(page=self.freedoms.page, counts=self.freedoms.counts)
            network = self._new_network(jetti)
            config = {
                **self.config, "dry_run": dry_run, "ledger": "none", "on_reject": "set_aside", "confirm_seconds": 0,
                "rejects_path": str(self.folder / "plan"),
            }  # fmt: skip
            pipeline, clock = self._new_pipeline(network, config)
            pipeline.output = Output(lambda _: None)  # type: ignore[assignment]
            try:
                self._deliver_in_one_go(pipeline)
            finally:
                with contextlib.redirect_stderr(io.StringIO()):  # the table of the dry run
                    pipeline.close()
                clock.stop()
                self.threads.wait(lambda: self.threads.alive == 0, self.threads.now + 600)
            if dry_run and jetti.arrivals:
                raise Violation("a dry run writes")
            shown = {name: asdict(one) for name, one in pipeline.summary.actions.items()}
            figures.append({name: {**one, "seconds": 0, "calls": 0} for name, one in shown.items()})
            self.threads.now += 1000
        if figures[0] != figures[1]:
            raise Violation(f"the plan is {figures[0]}, the run is {figures[1]}")

    def _deliver_in_one_go(self, pipeline: Pipeline) -> None:
        chance, self.chance = self.chance, random.Random("without silence")
        self.chance.random = lambda: 1.0  # type: ignore[method-assign]
        try:
            self._deliver(pipeline, self.messages)
        finally:
            self.chance = chance


def play_writing(seed: int) -> Tally:
    """One input and all the runs that it takes.

    Raises:
        Violation: An invariant is broken.
    """
    chance = random.Random(f"writing {seed}")
    threads = Threads(random.Random(chance.random()))
    with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else None) as folder:
        try:
            with threads.replaced(TARGET_MODULES), contextlib.ExitStack() as stack:
                for module, name, values in BOUNDS:
                    stack.enter_context(mock.patch.object(module, name, chance.choice(values)))
                schedule = Schedule(chance, threads, Path(folder))
                schedule.check_plan()
                with mock.patch.object(write_path, "DECIDED_TOGETHER", schedule.decided_together):
                    schedule.play()
        except Deadlock:
            raise Violation("all threads wait for each other") from None
    schedule.tally.gets = schedule.network.sent
    schedule.tally.switches = threads.switched
    return schedule.tally
