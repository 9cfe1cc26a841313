"""Nights of a target that remembers: what it calls unchanged must be so, whatever others, the queue and kills do."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from ledger_world import FEED, HOUR, MINUTE, SECOND, KilledError, Traits, World, WorldReader
from runs import LOGGER
from tap_jetti.client.clock import VirtualClock
from tap_jetti.target.delivery.ledger import mirror as mirrors
from tap_jetti.target.delivery.ledger import sent_write
from tap_jetti.target.delivery.ledger.feed_comparison import FeedComparison
from tap_jetti.target.delivery.ledger.feed_facts import FeedFacts
from tap_jetti.target.delivery.ledger.feed_reader import RowForm
from tap_jetti.target.delivery.ledger.sent_writes import SentWrites
from tap_jetti.target.delivery.ledger.write_log import WriteLog
from tap_jetti.target.delivery.operations import Comparison, OperationKey, Route, WriteOperation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_jetti.target.delivery.ledger.account_ledger import AccountLedger
    from tap_jetti.target.delivery.ledger.feed_reader import JettiFeedReader
    from tap_jetti.target.delivery.operations import WriteAction

COMPARISON = Comparison("inventory_feed_variants", "inventoryFeedId", "externalId", "inventoryQuantity")
NAMES = ("Cup", "cup", " CUP", "Jug", "jug ")


class KeptConnection(sqlite3.Connection):
    """A file that outlives the runs: closing it does nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass
class Writing:
    """The part of an action that the ledger needs."""

    name: str = "inventory_feed_variants"
    resource: str = "inventory_feed_variants"
    is_limited: bool = True
    comparison: Comparison = COMPARISON


@dataclass
class Files:
    """What the write log needs of `AccountLedger`."""

    sent: SentWrites


@dataclass
class Played:
    """What a play has done.

    Attributes:
        violations: What should never happen.
        nights: Runs, also those that were killed.
        killed: Runs that were killed.
        unchanged: Records that were called unchanged.
        under_way: Records that were called under way.
        sent: Records that were sent.
        needless: Of these, those that Jetti had shown all the time.
        mistaken: Records that were called unchanged though Jetti showed another spelling and does not change any: the
            write was lost or late, and somebody else changed the row after it.
        overtaken: Records that were called unchanged though an earlier value still waits in the queue: the write after
            it was lost, or the same value was sent twice, and somebody else changed the row between.
        gets: Requests.
    """

    violations: list[str] = field(default_factory=list)
    nights: int = 0
    killed: int = 0
    unchanged: int = 0
    under_way: int = 0
    sent: int = 0
    needless: int = 0
    mistaken: int = 0
    overtaken: int = 0
    gets: int = 0


class Play:
    """Some nights on one feed. Everything is decided by the seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        chance = self._random.random
        self._world = World(
            self._random,
            Traits(
                late=self._random.choice([0, 60, 500]) * SECOND,
                delay=self._random.choice([0, 5 * MINUTE, 3 * HOUR]),
                loss=self._random.choice([0.0, 0.0, 0.3]),
                is_normalising=chance() < 0.5,
                counts=chance() < 0.85,
                is_cutting=chance() < 0.3,
                busy=self._random.choice([0.0, 0.1, 0.5]),
                kills=self._random.choice([0.0, 0.0, 0.03]),
            ),
        )
        self._form = RowForm(COMPARISON)
        self._mirror_file = _file(mirrors.LAYOUT.tables)
        self._ledger_file = _file(sent_write.LAYOUT.tables)
        self._source: dict[str, dict[str, object]] = {}
        self._last_sent: dict[str, dict[str, object]] = {}
        self._clock = VirtualClock()
        self._action = cast("WriteAction", Writing())
        self.played = Played()

    def run(self, nights: int = 6) -> Played:
        """Play, and return what happened."""
        for number in range(self._random.choice([5, 25])):
            self._world.add_now(f"k{number}", {"inventoryQuantity": self._random.randrange(4), "cachedName": "cup"})
        self._world.pass_time(self._random.choice([MINUTE, 24 * HOUR]))
        for _ in range(nights):
            self._change_source()
            self._night()
            self._rest()
        self.played.gets = self._world.gets
        return self.played

    def _change_source(self) -> None:
        for number in range(30):
            if self._random.random() < 0.3:
                quantity, name = self._random.randrange(4), self._random.choice(NAMES)
                self._source[f"k{number}"] = {"inventoryQuantity": quantity, "cachedName": name}

    def _rest(self) -> None:
        """The time until the next night, in which others go on."""
        rest = self._random.choice([MINUTE, 20 * MINUTE, 5 * HOUR, 24 * HOUR])
        for _ in range(self._random.randrange(1, 4)):
            self._world.pass_time(rest // 3)
            if self._random.random() < self._world.traits.busy * 2:
                self._world.foreign_change()

    def _night(self) -> None:
        self.played.nights += 1
        self._world.start_run()
        try:
            self._push()
        except KilledError:
            self.played.killed += 1

    def _push(self) -> None:
        world = self._world
        sent = SentWrites(self._ledger_file, lambda: world.time, LOGGER)
        log = WriteLog(cast("AccountLedger", Files(sent)), COMPARISON, is_limited=True, logger=LOGGER)
        reader = cast("JettiFeedReader", WorldReader(world, self._form, self._step))
        facts = FeedFacts(
            FEED,
            reader,
            mirrors.Mirror(self._mirror_file, self._form.fields),
            None,
            make_temporary=lambda: mirrors.Mirror(_file(mirrors.LAYOUT.tables), self._form.fields),
            clock=self._clock,
            logger=LOGGER,
        )
        compared = FeedComparison(self._form, sent, logger=LOGGER)
        if self._random.random() < 0.8:
            facts.refresh()  # as if there were too many keys to look them up
        keys = [key for key in self._source if self._random.random() < 0.8]
        self._random.shuffle(keys)
        operations = [self._operation(key) for key in keys]
        try:
            for start in range(0, len(operations), 10):
                self._send(operations[start : start + 10], compared, facts, log)
            compared.find_overdue(FEED, facts, now=world.time)
        finally:
            compared.close()
        sent.flush()

    def _send(
        self, operations: Sequence[WriteOperation], compared: FeedComparison, facts: FeedFacts, log: WriteLog
    ) -> None:
        world = self._world
        verdicts = compared.compare(operations, facts, now=world.time, is_end=False)
        needed = []
        for operation, verdict in zip(operations, verdicts, strict=True):
            self._check(operation, is_unchanged=verdict.is_unchanged, is_under_way=verdict.is_under_way)
            if not verdict.is_needless:
                needed.append(operation)
        if not needed:
            return
        call = log.begin(needed)
        self._step()
        for operation in needed:
            world.accept(str(operation.key.value), _values_of(operation))
            self._last_sent[str(operation.key.value)] = _values_of(operation)
            self.played.sent += 1
            shown = world.shown_of(str(operation.key.value))
            self.played.needless += all(one is not None and self._is_same(_values_of(operation), one) for one in shown)
        self._step()
        log.accepted(call)

    def _check(self, operation: WriteOperation, *, is_unchanged: bool, is_under_way: bool) -> None:
        """Nothing that is not sent may be missing in Jetti: it was shown in this run, or is on its way."""
        key, payload = str(operation.key.value), _values_of(operation)
        waiting = [values for _, other, values in sorted(self._world.queue, key=itemgetter(0)) if other == key]
        self.played.unchanged += is_unchanged
        self.played.under_way += is_under_way
        if is_unchanged:
            shown = [one for one in self._world.shown_of(key) if one is not None]
            if any(_is_same(payload, one, plainly=True) for one in shown):
                self.played.mistaken += not any(self._is_same(payload, one) for one in shown)
            else:
                self.played.violations.append(f"{key} is unchanged as {payload}, but Jetti showed {shown}")
            is_overtaken = bool(waiting) and waiting[-1] != payload
            traits = self._world.traits
            if is_overtaken and (traits.loss or (traits.busy and traits.delay > 15 * MINUTE)):
                self.played.overtaken += 1
            elif is_overtaken:
                self.played.violations.append(f"{key} is unchanged as {payload}, but {waiting} is under way")
        if is_under_way and self._last_sent.get(key) != payload:
            self.played.violations.append(f"{key} is under way as {payload}, but {self._last_sent.get(key)} was sent")

    def _is_same(self, payload: dict[str, Any], shown: dict[str, Any]) -> bool:
        return _is_same(payload, shown, plainly=self._world.traits.is_normalising)

    def _operation(self, key: str) -> WriteOperation:
        return WriteOperation(
            self._action,
            Route("inventory_feed_variants", "inbound", FEED),
            OperationKey("inventory_feed_variants", FEED, "externalId", key),
            {"externalId": key, **self._source[key]},
        )

    def _step(self) -> None:
        """A request, or another moment at which the run may be killed."""
        before = self._world.time
        self._world.step()
        self._clock.advance((self._world.time - before) / SECOND)
        if self._random.random() < self._world.traits.kills:
            raise KilledError


def _is_same(payload: dict[str, Any], shown: dict[str, Any], *, plainly: bool) -> bool:
    def plain(value: object) -> object:
        return " ".join(str(value).split()).lower() if plainly and isinstance(value, str) else value

    return all(plain(value) == plain(shown.get(name)) for name, value in payload.items())


def _values_of(operation: WriteOperation) -> dict[str, object]:
    return {name: value for name, value in operation.payload.items() if name != "externalId"}


def _file(tables: str) -> sqlite3.Connection:
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False, factory=KeptConnection)
    connection.execute("PRAGMA journal_mode = MEMORY")
    connection.execute("PRAGMA synchronous = OFF")
    for statement in tables.split(";"):
        connection.execute(statement)
    return connection


def play(seed: int, nights: int = 6) -> Played:
    """Play one seed."""
    return Play(seed).run(nights)
