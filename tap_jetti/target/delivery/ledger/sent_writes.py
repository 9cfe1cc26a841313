"""The ledger: what this machine has sent, and whether Jetti has shown it since."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from tap_jetti.client.sqlite_transaction import writing
from tap_jetti.target.delivery.ledger.databases import close_with
from tap_jetti.target.delivery.ledger.decisions import IN_FLIGHT_MS
from tap_jetti.target.delivery.ledger.sent_write import Form, Sending, SentField, SentWrite, State

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Iterator

KEYS_PER_QUERY = 500
"""Keys bound in one SELECT."""

ORDERS_PER_BLOCK = 1_000_000
"""Orders that a process reserves at once, in microseconds of the clock that they follow."""


_Change = Callable[[], object]


@dataclass(eq=False)
class _Waiting:
    """A change that a thread waits for."""

    change: _Change
    is_done: bool = False
    error: sqlite3.Error | None = None


class SentWrites:
    """What was sent, in the ledger's file. Thread-safe.

    Threads that write at the same time share one transaction, since each has to wait for the disk.

    Args:
        connection: The ledger's file.
        now: The server's clock in milliseconds.
        logger: For messages.
    """

    def __init__(self, connection: sqlite3.Connection, now: Callable[[], int], logger: logging.Logger) -> None:
        self.is_kept = False
        """Whether the file outlives the process."""
        self.connection = connection
        close_with(self, connection)
        self._now = now
        self._logger = logger
        self._is_readable = True
        self.lock = threading.RLock()
        self._queue_lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._late: list[_Change] = []
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._orders = iter(range(0))
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(dict[int, SentField]).decode

    def next_order(self) -> int:
        """Return an order that is larger than every earlier one of this ledger, whatever the clock does."""
        with self.lock:
            order = next(self._orders, None)
            if order is None:
                first = self.reserve_orders(ORDERS_PER_BLOCK)
                self._orders = iter(range(first, first + ORDERS_PER_BLOCK))
                order = next(self._orders)
        return order

    def reserve_orders(self, number: int) -> int:
        """Reserve orders that no other process gets, and return the first of them."""
        with self.lock, writing(self.connection):
            found = self.connection.execute("SELECT value FROM meta WHERE name = 'last_order'").fetchone()
            first: int = max((found[0] if found else 0) + 1, self._now() * 1000)
            self.connection.execute("INSERT OR REPLACE INTO meta VALUES ('last_order', ?)", (first + number - 1,))
        return first

    def number_of(self, name: str) -> int:
        """Return the number of a field; it stays the same for good."""
        with self.lock:
            return self._number_of(name)

    def find(self, keys: Sequence[int]) -> dict[int, SentWrite]:
        """Return the last write of each key that was ever written."""
        with self.lock:
            try:
                return self._find(keys)
            except sqlite3.Error as error:
                self._give_up(error)
                return {}

    def begin(self, sendings: Sequence[Sending]) -> int:
        """Write down what is about to be sent. When this returns, it is on disk.

        Returns:
            The order of these writes, for `accept` and `refuse`.
        """
        order = self.next_order()
        at = self._now()

        def change() -> None:
            known = self._find([one.key for one in sendings])
            rows: list[tuple[object, ...]] = []
            for one in sendings:
                before = known.get(one.key)
                tries = before.tries if before is not None else 0
                if one.digests is None:
                    rows.append((one.key, one.feed, at, order, State.SETTLED, tries, None, None))
                    continue
                is_recent = before is not None and abs(at - before.at) < IN_FLIGHT_MS
                fields = dict(before.fields) if before is not None and is_recent else {}
                for name, digest in one.digests.items():
                    fields[name] = fields[name].replaced_by(digest) if name in fields else SentField(digest)
                rows.append((one.key, one.feed, at, order, State.BEGUN, tries, one.label, self._encoded(fields)))
            self.connection.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

        self.commit(change)
        return order

    def accept(self, sendings: Sequence[Sending], order: int) -> None:
        """Take note that Jetti accepted writes. It may be lost if the process is killed: they are sent again then."""

        def change() -> None:
            for one, write in self._still_last(sendings, order):
                for name in one.digests or ():
                    write.fields[name] = SentField(write.fields[name].digest, is_accepted=True)
                write.state = State.ACCEPTED
                self._store(write)

        with self._queue_lock:
            self._late.append(change)

    def refuse(self, sendings: Sequence[Sending], order: int) -> None:
        """Take note that Jetti refused writes: nothing of them is under way."""

        def change() -> None:
            for one, write in self._still_last(sendings, order):
                for name in one.digests or ():
                    del write.fields[name]
                if not write.fields:
                    write.state, write.label = State.SETTLED, None
                self._store(write)

        with self._queue_lock:
            self._late.append(change)

    def forms(self, keys: Sequence[int], since: int) -> dict[int, set[Form]]:
        """Return the normalisations of keys that were learnt at an instant (ms) or later."""
        found: dict[int, set[Form]] = {}
        with self.lock:
            try:
                for chunk, marks in _chunks(keys):
                    query = f"SELECT h, id, field, sent, shown FROM norm WHERE h IN ({marks}) AND at >= ?"  # noqa: S608
                    for key, row_id, number, sent, shown in self.connection.execute(query, (*chunk, since)).fetchall():
                        found.setdefault(key, set()).add(Form(row_id, self._name_of(number), sent, shown))
            except sqlite3.Error as error:
                self._give_up(error)
        return found

    def learn(self, key: int, forms: Iterable[Form]) -> None:
        """Take note of normalisations of a key."""
        learnt, at = list(forms), self._now()

        def change() -> None:
            self.connection.executemany(
                "INSERT OR REPLACE INTO norm VALUES (?, ?, ?, ?, ?, ?)",
                [(key, self._number_of(one.field), one.sent, one.shown, one.row_id, at) for one in learnt],
            )

        if learnt:
            with self._queue_lock:
                self._late.append(change)

    def settle(self, writes: Iterable[SentWrite]) -> None:
        """Store writes whose state or fields have changed, unless a newer one of the key has begun."""
        settled = list(writes)

        def change() -> None:
            known = self._find([write.key for write in settled])
            for write in settled:
                if write.key in known and known[write.key].order == write.order:
                    self._store(write)

        if settled:
            with self._queue_lock:
                self._late.append(change)

    def overdue(self, feed: int, before: int) -> list[SentWrite]:
        """Return the writes of a feed that are still open and were sent before an instant (ms)."""
        with self.lock:
            try:
                self.flush()
                rows = self.connection.execute(
                    "SELECT * FROM sent WHERE state IN (1, 2) AND at < ? AND feed = ?", (before, feed)
                ).fetchall()
                return [self._write_of(row) for row in rows]
            except sqlite3.Error as error:
                self._give_up(error)
                return []

    def flush(self) -> None:
        """Write what was only noted so far."""
        with self._queue_lock:
            has_late = bool(self._late)
        if has_late:
            self.commit(lambda: None)

    def commit(self, change: _Change) -> None:
        """Run a change in a transaction, together with those of other threads. When this returns, it is on disk.

        Raises:
            sqlite3.Error: The file cannot be written.
        """
        own = _Waiting(change)
        with self._queue_lock:
            self._waiting.append(own)
        with self.lock:
            if not own.is_done:  # otherwise another thread has committed it meanwhile
                self._commit_all()
        if own.error is not None:
            raise own.error

    def _commit_all(self) -> None:
        with self._queue_lock:
            waiting, self._waiting = self._waiting, []
            late, self._late = self._late, []
        try:
            with writing(self.connection):
                for change in (*late, *(one.change for one in waiting)):
                    change()
        except sqlite3.Error as error:
            with self._queue_lock:
                self._late[:0] = late
            for one in waiting:
                one.error = error
        finally:
            for one in waiting:
                one.is_done = True

    def close(self) -> None:
        """Write what was noted, and close the file."""
        with self.lock:
            self.flush()
            self.connection.close()

    def _find(self, keys: Sequence[int]) -> dict[int, SentWrite]:
        found: dict[int, SentWrite] = {}
        for chunk, marks in _chunks(keys):
            rows = self.connection.execute(f"SELECT * FROM sent WHERE h IN ({marks})", chunk).fetchall()  # noqa: S608
            found |= {row[0]: self._write_of(row) for row in rows}
        return found

    def _give_up(self, error: sqlite3.Error) -> None:
        if self._is_readable:
            self._is_readable = False
            self._logger.warning(
                "The ledger cannot be read: %s. This run goes on without it: some records may be sent again, and"
                " max_updates begins with those that arrive first.",
                error,
            )

    def _still_last(self, sendings: Sequence[Sending], order: int) -> Iterable[tuple[Sending, SentWrite]]:
        known = self._find([one.key for one in sendings if one.digests is not None])
        return [(one, known[one.key]) for one in sendings if one.key in known and known[one.key].order == order]

    def _store(self, write: SentWrite) -> None:
        fields = self._encoded(write.fields) if write.fields else None
        self.connection.execute(
            "UPDATE sent SET state = ?, tries = ?, label = ?, fields = ? WHERE h = ?",
            (write.state, write.tries, write.label, fields, write.key),
        )

    def _write_of(self, row: tuple[int, int, int, int, int, int, str | None, bytes | None]) -> SentWrite:
        key, feed, at, order, state, tries, label, fields = row
        sent = {self._name_of(number): one for number, one in self._decode(fields).items()} if fields else {}
        return SentWrite(key, feed, at, order, State(state), tries, label, sent)

    def _encoded(self, fields: dict[str, SentField]) -> bytes:
        return self._encode({self._number_of(name): one for name, one in fields.items()})

    def _number_of(self, name: str) -> int:
        """Return the number of a field; it stays the same for good."""
        number = self._numbers.get(name)
        if number is None:
            self.connection.execute("INSERT OR IGNORE INTO names (name) VALUES (?)", (name,))
            (number,) = self.connection.execute("SELECT no FROM names WHERE name = ?", (name,)).fetchone()
            if not self.connection.in_transaction:  # otherwise it could still be rolled back
                self._numbers[name] = number
        return int(number)

    def _name_of(self, number: int) -> str:
        if number not in self._names:
            self._names.update(self.connection.execute("SELECT no, name FROM names").fetchall())
        return self._names[number]


def _chunks(keys: Sequence[int]) -> Iterator[tuple[Sequence[int], str]]:
    """Split keys into as many as one SELECT binds, each with its question marks."""
    for start in range(0, len(keys), KEYS_PER_QUERY):
        chunk = keys[start : start + KEYS_PER_QUERY]
        yield chunk, ",".join("?" * len(chunk))
