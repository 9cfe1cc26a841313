"""The rows of the sandbox in SQLite: the JSON text of each, and the columns that queries go by."""

# ruff: noqa: S608 - table names come from the schemas and parameters are bound

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_jetti.sandbox.data import timestamps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_CACHED_STATEMENTS = 512


class Row(NamedTuple):
    """One row as it is stored."""

    id: int
    updated: int | None
    """Microseconds since the epoch."""
    created: int | None
    external: str | None
    """The externalId, which is the key of most upserts."""
    body: str
    """The JSON text that the API returns."""


COLUMNS = {"id": "id", "updatedAt": "updated", "createdAt": "created", "externalId": "external"}
"""Fields that have a column; timestamps in columns are in microseconds since the epoch."""


class Database:
    """One table per resource, created at its first use. Safe to use from several threads."""

    def __init__(self, path: str) -> None:
        """Open or create the file; ``:memory:`` is a database in memory."""
        self.lock = threading.RLock()
        self._connection = sqlite3.connect(
            path, check_same_thread=False, isolation_level=None, cached_statements=_CACHED_STATEMENTS
        )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.create_function("micros", 1, _micros, deterministic=True)
        self._next_ids: dict[str, int] = {}
        self._indexed: set[tuple[str, str]] = set()
        self._depth = 0
        for (name,) in self.fetch("SELECT name FROM sqlite_master WHERE type = 'table'"):
            self._read_next_id(name)

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Apply all changes made inside, or none if an error leaves it; may be nested."""
        with self.lock:
            outermost = self._depth == 0
            if outermost:
                self._connection.execute("BEGIN")
            # A rollback also undoes the tables and indexes that were created inside.
            known = (dict(self._next_ids), set(self._indexed))
            self._depth += 1
            try:
                yield
            except BaseException:
                if outermost:
                    self._connection.execute("ROLLBACK")
                    self._next_ids, self._indexed = known
                raise
            else:
                if outermost:
                    self._connection.execute("COMMIT")
            finally:
                self._depth -= 1

    @property
    def resources(self) -> list[str]:
        """The resources that have a table."""
        return sorted(self._next_ids)

    def fetch(self, statement: str, parameters: Sequence[object] = ()) -> list[Any]:
        """The rows of a SELECT; its tables must exist, see `ensure`."""
        with self.lock:
            return self._connection.execute(statement, parameters).fetchall()

    def ensure(self, resource: str) -> None:
        """Create the table of a resource if it does not exist."""
        if resource in self._next_ids:
            return
        with self.lock:
            self._connection.execute(
                f'CREATE TABLE IF NOT EXISTS "{resource}" '
                "(id INTEGER PRIMARY KEY, updated INTEGER, created INTEGER, external TEXT, body TEXT NOT NULL)"
            )
            for column in ("updated", "external"):
                self._connection.execute(f'CREATE INDEX IF NOT EXISTS "{resource}.{column}" ON "{resource}" ({column})')
            self._read_next_id(resource)

    def index(self, resource: str, attribute: str) -> None:
        """Create an index on one field of the JSON text, unless there is one."""
        self.ensure(resource)
        if attribute in COLUMNS or (resource, attribute) in self._indexed:
            return
        with self.lock:
            self._connection.execute(
                f'CREATE INDEX IF NOT EXISTS "{resource}.{attribute}" '
                f'ON "{resource}" ({expression(attribute)}, updated)'
            )
            self._indexed.add((resource, attribute))

    def put(self, resource: str, rows: Iterable[Row]) -> None:
        """Add rows, or replace those with the same id."""
        self.ensure(resource)
        with self.lock:
            rows = list(rows)
            self._connection.executemany(f'INSERT OR REPLACE INTO "{resource}" VALUES (?, ?, ?, ?, ?)', rows)
            highest = max((row.id for row in rows), default=0)
            self._next_ids[resource] = max(self._next_ids[resource], highest + 1)

    def stamp(self, resource: str, ids: Sequence[int], updated: int) -> int:
        """Set the updatedAt of many rows; returns how many of them exist."""
        self.ensure(resource)
        with self.lock:
            return self._connection.execute(
                f'UPDATE "{resource}" SET updated = ?, '
                "body = json_set(body, '$.updatedAt', ?) "
                "WHERE id IN (SELECT value FROM json_each(?))",
                (updated, timestamps.format_millis(updated), json.dumps(list(ids))),
            ).rowcount

    def delete(self, resource: str, row_id: int | None = None) -> int:
        """Delete one row, or all rows of a resource; returns how many there were."""
        self.ensure(resource)
        with self.lock:
            statement = f'DELETE FROM "{resource}"'
            if row_id is None:
                return self._connection.execute(statement).rowcount
            return self._connection.execute(f"{statement} WHERE id = ?", (row_id,)).rowcount

    def row(self, resource: str, row_id: int) -> Row | None:
        """One row by its id."""
        self.ensure(resource)
        found = self.fetch(f'SELECT * FROM "{resource}" WHERE id = ?', (row_id,))
        return Row(*found[0]) if found else None

    def bodies(self, resource: str) -> list[str]:
        """The JSON texts of all rows of a resource, ordered by id."""
        self.ensure(resource)
        return [text for (text,) in self.fetch(f'SELECT body FROM "{resource}" ORDER BY id')]

    def ids(self, resource: str) -> list[int]:
        """The ids of all rows of a resource, in ascending order."""
        self.ensure(resource)
        return [row_id for (row_id,) in self.fetch(f'SELECT id FROM "{resource}" ORDER BY id')]

    def count(self, resource: str) -> int:
        """The number of rows of a resource."""
        self.ensure(resource)
        return int(self.fetch(f'SELECT COUNT(*) FROM "{resource}"')[0][0])

    def find(self, resource: str, **values: str | int | None) -> list[Row]:
        """The rows whose fields have these values, ordered by id; the first field gets an index."""
        self.index(resource, next(iter(values)))
        condition = " AND ".join(f"{expression(name)} IS ?" for name in values)
        return [
            Row(*found)
            for found in self.fetch(
                f'SELECT * FROM "{resource}" WHERE {condition} ORDER BY id',
                tuple(values.values()),
            )
        ]

    def find_id(self, resource: str, **values: str | int | None) -> int | None:
        """The lowest id of the rows whose fields have these values, or None."""
        self.index(resource, next(iter(values)))
        condition = " AND ".join(f"{expression(name)} IS ?" for name in values)
        found = self.fetch(
            f'SELECT id FROM "{resource}" WHERE {condition} ORDER BY id LIMIT 1',
            tuple(values.values()),
        )
        return found[0][0] if found else None

    def patch(self, resource: str, row_id: int, fields: Mapping[str, Any], updated: int) -> None:
        """Change some fields of a row inside the database, without reading it."""
        changes = {**fields, "updatedAt": timestamps.format_millis(updated)}
        texts = "".join(f", '$.{name}', json(?)" for name in changes)
        external = ", external = ?" if "externalId" in fields else ""
        parameters = [updated, *(json.dumps(value) for value in changes.values())]
        if external:
            parameters.append(fields["externalId"])
        with self.lock:
            self._connection.execute(
                f'UPDATE "{resource}" SET updated = ?, body = json_set(body{texts}){external} WHERE id = ?',
                [*parameters, row_id],
            )

    def next_id(self, resource: str) -> int:
        """A new id, greater than all ids so far."""
        self.ensure(resource)
        with self.lock:
            self._next_ids[resource] += 1
            return self._next_ids[resource] - 1

    def _read_next_id(self, resource: str) -> None:
        highest = self.fetch(f'SELECT MAX(id) FROM "{resource}"')[0][0]
        self._next_ids[resource] = (highest or 0) + 1


def expression(attribute: str) -> str:
    """The SQL expression of a field. SQLite uses an index only if a query has the same text as the index."""
    return COLUMNS.get(attribute) or f"json_extract(body, '$.{attribute}')"


def _micros(text: object) -> int | None:
    try:
        return timestamps.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None
