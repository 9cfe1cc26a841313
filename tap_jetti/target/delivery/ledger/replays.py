"""Keeps records of a rejects file from putting an older value over a newer one."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from typing import TYPE_CHECKING

from tap_jetti.client.sqlite_transaction import writing
from tap_jetti.target.delivery.ledger.write_log import hash_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence

    from tap_jetti.target.delivery.ledger.account_ledger import AccountLedger
    from tap_jetti.target.delivery.operations import OperationKey, Origin, Record, WriteOperation

KEEP_DAYS = 90
"""Days after which it is forgotten that a record was set aside."""

ORDERS_PER_RUN = 1_000_000_000
"""Places in the order of arrival that a run reserves."""

_DAY_MS = 86_400_000


class ReplayGuard:
    """Gives each record its place in the order of arrival, and knows per field which one was the newest.

    That is remembered only for keys of which a record was set aside. Thread-safe.

    Args:
        ledger: Where it is remembered.
        key_of: Returns the key that a rejected record is about, if that is known.
        logger: For messages.
    """

    def __init__(
        self, ledger: AccountLedger, key_of: Callable[[Origin], OperationKey | None], *, logger: logging.Logger
    ) -> None:
        self._ledger = ledger
        self._key_of = key_of
        self._logger = logger
        self._lock = threading.RLock()
        self._keys: set[int] = set()
        self._is_open = False
        self._is_usable = True
        self._first = 0
        self.id = ""
        """The id of the ledger; empty as long as nothing was asked of it."""

    def open(self) -> None:
        """Learn which keys have records that were set aside."""
        with self._lock:
            if self._is_open:
                return
            try:
                self._open()
            except sqlite3.Error as error:
                self._give_up(error)
            self._is_open = True

    def stamp(self, origin: Origin) -> Record:
        """Return what the rejects file says about the place of a record."""
        self.open()
        return {"order": self._order_of(origin), "ledger": self.id} if self._is_usable else {}

    def set_aside(self, origin: Origin, key: OperationKey | None) -> None:
        """Take note that a record is about to be set aside; its key is None if it became no operation."""
        key = key or self._key_of(origin)
        self.open()
        if key is None or not self._is_usable:
            return
        row = (hash_of(key), self._order_of(origin), b"", "", self._ledger.now())
        with self._lock:
            self._write("INSERT OR REPLACE INTO aside VALUES (?, ?, ?, ?, ?)", [row])
            self._keys.add(row[0])

    def is_known(self, origin: Origin) -> bool:
        """Whether the place of a replayed record can be compared with those of other records."""
        self.open()
        return origin.replay is not None and origin.replay.ledger == self.id and origin.replay.order is not None

    def admit(self, operation: WriteOperation) -> bool:
        """Take an operation that has arrived; a replayed one loses the fields that came newer meanwhile.

        Returns:
            Whether there is anything left of it.
        """
        if not self._is_open and operation.action.comparison is None and operation.origins[-1].replay is None:
            return True  # only rows that are compared are worth opening the ledger for every record
        if not self._is_open:  # without the lock, since every record comes here
            self.open()
        if not self._is_usable or not self._keys or (h := hash_of(operation.key)) not in self._keys:
            return True
        order, names = self._order_of(operation.origins[-1]), [*operation.payload.keys() - {operation.key.field}]
        with self._lock:
            try:
                numbers = {name: self._ledger.sent.number_of(name) for name in names}
                newest = dict(
                    self._ledger.sent.connection.execute("SELECT field, ord FROM newest WHERE h = ?", (h,)).fetchall()
                )
            except sqlite3.Error as error:
                self._give_up(error)
                return True
            newer = {name for name in names if newest.get(numbers[name], 0) > order}
            rows = [(h, numbers[name], order) for name in names if name not in newer]
            self._write("INSERT OR REPLACE INTO newest VALUES (?, ?, ?)", rows)
        if newer:
            operation.payload = {name: value for name, value in operation.payload.items() if name not in newer}
        return not newer or len(newer) < len(names)

    def _open(self) -> None:
        sent = self._ledger.sent
        with sent.lock:
            connection = sent.connection
            with writing(connection):
                connection.execute("DELETE FROM aside WHERE at < ?", (self._ledger.now() - KEEP_DAYS * _DAY_MS,))
                connection.execute("DELETE FROM newest WHERE h NOT IN (SELECT h FROM aside)")
                connection.execute("INSERT OR IGNORE INTO meta VALUES ('ledger_id', ?)", (uuid.uuid4().hex,))
            (self.id,) = connection.execute("SELECT value FROM meta WHERE name = 'ledger_id'").fetchone()
            self._keys = {h for (h,) in connection.execute("SELECT DISTINCT h FROM aside")}
        self._first = sent.reserve_orders(ORDERS_PER_RUN)

    def _order_of(self, origin: Origin) -> int:
        replay = origin.replay
        if replay is not None and replay.ledger == self.id and replay.order is not None:
            return replay.order
        return self._first + origin.number

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if rows and self._is_usable:
            try:
                self._ledger.sent.commit(lambda: self._ledger.sent.connection.executemany(statement, rows))
            except sqlite3.Error as error:
                self._give_up(error)

    def _give_up(self, error: sqlite3.Error) -> None:
        if self._is_usable:
            self._is_usable = False
            self._logger.warning(
                "The ledger cannot be used: %s. Check that records of the rejects file are not older than what Jetti"
                " has before they are sent again.",
                error,
            )
