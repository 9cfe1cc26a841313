"""Compares records with the rows that Jetti has, so that only changes are sent."""

from __future__ import annotations

import sqlite3
import weakref
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import msgspec

from tap_jetti.reading.id_read import IdRead
from tap_jetti.reading.pages import Projection, ResourcePages
from tap_jetti.target.delivery.verdict import NOT_COMPARED, Verdict
from tap_jetti.target.fields import OWN_FIELDS, comparable, kinds

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_jetti.client.session import JettiSession
    from tap_jetti.reading.server_profile import ServerProfile
    from tap_jetti.target.delivery.operations import Comparison, OperationKey, WriteOperation

REMOVED = "removed"
"""The status of a row that Jetti keeps although it was removed: to write it again is a change."""

CACHE_KIB = 16_384
"""The largest amount of memory for the table of rows; the rest of it is in a temporary file."""


class ChangeDetector:
    """Reads the rows of each parent once, by keyset, when the first record of that parent arrives.

    A parent is, for instance, an inventory feed. The rows are stored in a temporary SQLite file, which disappears
    with the process however it ends. Only the form given by `comparable` of the compared fields is stored, about 100
    bytes per row, so that a feed of a million variants needs a fixed 16 MiB of memory.

    When an operation is going to be sent, all values of its row but the quantity are forgotten. A later record of
    that row is always sent, whatever became of the first one.

    Args:
        session: Reads the rows.
        comparison: Which rows to read.
        profile: What was learnt about the server.
        logger: For messages.
    """

    def __init__(
        self, session: JettiSession, comparison: Comparison, *, profile: ServerProfile, logger: logging.Logger
    ) -> None:
        self.comparison = comparison
        self._session = session
        self._profile = profile
        self._logger = logger
        self._kinds = kinds(comparison.resource)
        self._announced: set[str] = set()
        self._columns: dict[int, dict[str, int]] = {}
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(list[Any] | str).decode
        # Any thread may be the one that collects it, if nobody closes it.
        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._table.close)
        self._table.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("PRAGMA synchronous = OFF")
        # row_values: an array of all values; after a change, the old quantity as a text; after `forget`, NULL.
        self._table.execute(
            "CREATE TABLE rows (parent INTEGER, key TEXT, row_values BLOB, PRIMARY KEY (parent, key)) WITHOUT ROWID"
        )

    def announce(self, fields: Iterable[str]) -> None:
        """Announce fields that records may have. They are read from now on."""
        self._announced |= set(fields)

    def covers(self, key: OperationKey) -> bool:
        """See `ChangeDetection.covers`."""
        return self.comparison.covers(key)

    def decide(self, operations: Sequence[WriteOperation], *, is_end: bool) -> Iterator[Verdict]:  # noqa: ARG002
        """See `ChangeDetection.decide`."""
        for operation in operations:
            if operation.action.comparison is None:  # it writes to a row that other actions compare
                self.forget(operation.key)
                yield NOT_COMPARED
            else:
                yield self._verdict(operation.key, operation.payload)

    def _verdict(self, key: OperationKey, payload: Mapping[str, Any]) -> Verdict:
        """Compare a payload with its row, and forget the values of the row if they differ."""
        parent, value = _row_of(key)
        columns = self._columns.get(parent)
        if columns is None:
            columns = self._read(parent, {*self._announced, *payload})
        found = self._table.execute(
            "SELECT row_values FROM rows WHERE parent = ? AND key = ?", (parent, value)
        ).fetchone()
        if found is None:
            return Verdict(is_new=True, change=self._change(payload, None))
        (stored,) = found
        values = self._decode(stored) if stored else "0"
        if isinstance(values, str):
            return Verdict(change=self._change(payload, values))
        if all(self._is_same(name, value, columns, values) for name, value in payload.items()):
            return Verdict(is_unchanged=True)
        column = columns.get(self.comparison.quantity_field)
        before = None if column is None else values[column]
        self._table.execute(
            "UPDATE rows SET row_values = ? WHERE parent = ? AND key = ?", (self._encode(str(before)), parent, value)
        )
        return Verdict(change=self._change(payload, before))

    def forget(self, key: OperationKey) -> None:
        """Forget a row that this run changes otherwise: every later record of it is sent.

        Args:
            key: The key of the row, whether its parent's rows were read or not.
        """
        self._table.execute("INSERT OR REPLACE INTO rows VALUES (?, ?, NULL)", _row_of(key))

    def close(self) -> None:
        """Delete the table."""
        self._table.close()

    def _is_same(self, name: str, value: object, columns: Mapping[str, int], values: list[Any]) -> bool:
        column = columns.get(name)
        if column is None:
            is_key = name == self.comparison.key_field
            if not is_key:
                self._profile.warn_once(
                    self._logger,
                    "Field %s was in no SCHEMA when the rows of %s were read, so it cannot be compared."
                    " All records that have it are sent, changed or not.",
                    name,
                    self.comparison.resource,
                )
            return is_key
        return bool(values[column] == comparable(self._kinds[name], value))

    def _read(self, parent: int, fields: Iterable[str]) -> dict[str, int]:
        """Read all rows of a parent; returns the position of each field in `row_values`."""
        resource, key_field, parent_field = (
            self.comparison.resource,
            self.comparison.key_field,
            self.comparison.parent_field,
        )
        wanted = {*fields, self.comparison.quantity_field} & self._kinds.keys()
        names = sorted(wanted - OWN_FIELDS - {key_field, parent_field})
        source = ResourcePages(
            self._session,
            resource,
            projection=Projection(("id", key_field, parent_field, *dict.fromkeys((*names, "status")))),
            profile=self._profile,
            logger=self._logger,
            where={parent_field: parent},
        )
        count = 0
        for rows in IdRead(source, verify_counts="auto", logger=self._logger).pages():
            count += len(rows)
            self._table.execute("BEGIN")
            self._table.executemany(
                # A row that `forget` was called for before it was read stays forgotten.
                "INSERT INTO rows VALUES (?, ?, ?) ON CONFLICT DO"
                " UPDATE SET row_values = excluded.row_values WHERE row_values NOT NULL",
                [
                    (
                        parent,
                        str(row[key_field]),
                        None
                        if row.get("status") == REMOVED
                        else self._encode([comparable(self._kinds[name], row.get(name)) for name in names]),
                    )
                    for row in rows
                    # A server that ignores the filter must not pass the row of another parent for this one's.
                    if row.get(key_field) is not None and str(row.get(parent_field) or parent) == str(parent)
                ],
            )
            self._table.execute("COMMIT")
        self._logger.info(
            "Read %d rows of %s with %s %d; only changes are sent.", count, resource, parent_field, parent
        )
        self._columns[parent] = {name: column for column, name in enumerate(names)}
        return self._columns[parent]

    def _change(self, payload: Mapping[str, Any], before: object) -> Decimal | None:
        field = self.comparison.quantity_field
        return abs(_number(payload[field]) - _number(before)) if field in payload else None


def _row_of(key: OperationKey) -> tuple[int, str]:
    return key.parent_id or 0, str(key.value)


def _number(value: object) -> Decimal:
    try:
        return Decimal(str(value)) if value is not None else Decimal(0)
    except InvalidOperation:
        return Decimal(0)
