"""The rows of the sandbox in SQLite: finished JSON text and the columns it is read by."""

# ruff: noqa: S608 - table names come from the schemas and parameters are bound

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_jetti.sandbox.data import timestamps as instants

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_STATEMENTS = 512


class Row(NamedTuple):
    """One row as it is stored."""

    id: int
    updated: int | None
    """Microseconds since the epoch."""
    created: int | None
    external: str | None
    """The externalId, which most upserts go by."""
    body: str
    """The JSON text that the API sends."""


COLUMNS = {"id": "id", "updatedAt": "updated", "createdAt": "created", "externalId": "external"}
"""The fields that have a column of their own; dates there are in microseconds."""


class Database:
    """One table a resource, made when it is first used. Safe to use from several threads."""

    def __init__(self, path: str) -> None:
        """Open the file, or a database in memory for ``:memory:``."""
        self.lock = threading.RLock()
        self._connection = sqlite3.connect(
            path, check_same_thread=False, isolation_level=None, cached_statements=_STATEMENTS
        )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.create_function("instant", 1, _instant, deterministic=True)
        self._next_ids: dict[str, int] = {}
        self._indexed: set[tuple[str, str]] = set()
        self._depth = 0
        for (name,) in self.fetch("SELECT name FROM sqlite_master WHERE type = 'table'"):
            self._learn(name)

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside, or none; may be nested."""
        with self.lock:
            outermost = self._depth == 0
            if outermost:
                self._connection.execute("BEGIN")
            # Tables and indexes made inside go with the rest of it.
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
        """The rows of a SELECT; the tables it names must exist (see `ensure`)."""
        with self.lock:
            return self._connection.execute(statement, parameters).fetchall()

    def ensure(self, resource: str) -> None:
        """Make the table of a resource if it does not exist."""
        if resource in self._next_ids:
            return
        with self.lock:
            self._connection.execute(
                f'CREATE TABLE IF NOT EXISTS "{resource}" '
                "(id INTEGER PRIMARY KEY, updated INTEGER, created INTEGER, external TEXT, body TEXT NOT NULL)"
            )
            for column in ("updated", "external"):
                self._connection.execute(f'CREATE INDEX IF NOT EXISTS "{resource}.{column}" ON "{resource}" ({column})')
            self._learn(resource)

    def index(self, resource: str, attribute: str) -> None:
        """Make filters on one field of the JSON text fast."""
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
        """Give many rows one updatedAt; answers how many there were."""
        self.ensure(resource)
        with self.lock:
            return self._connection.execute(
                f'UPDATE "{resource}" SET updated = ?, '
                "body = json_set(body, '$.updatedAt', ?) "
                "WHERE id IN (SELECT value FROM json_each(?))",
                (updated, instants.shown(updated), json.dumps(list(ids))),
            ).rowcount

    def delete(self, resource: str, row_id: int | None = None) -> int:
        """Delete one row, or all of a resource; answers how many there were."""
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
        """The JSON texts of a resource by id."""
        self.ensure(resource)
        return [text for (text,) in self.fetch(f'SELECT body FROM "{resource}" ORDER BY id')]

    def ids(self, resource: str) -> list[int]:
        """The ids of a resource, ascending."""
        self.ensure(resource)
        return [row_id for (row_id,) in self.fetch(f'SELECT id FROM "{resource}" ORDER BY id')]

    def count(self, resource: str) -> int:
        """The number of rows of a resource."""
        self.ensure(resource)
        return int(self.fetch(f'SELECT COUNT(*) FROM "{resource}"')[0][0])

    def find(self, resource: str, **wanted: str | int | None) -> list[Row]:
        """The rows whose fields have these values; the first field named is indexed."""
        self.index(resource, next(iter(wanted)))
        condition = " AND ".join(f"{expression(name)} IS ?" for name in wanted)
        return [
            Row(*found)
            for found in self.fetch(
                f'SELECT * FROM "{resource}" WHERE {condition} ORDER BY id',
                tuple(wanted.values()),
            )
        ]

    def find_id(self, resource: str, **wanted: str | int | None) -> int | None:
        """The lowest id of the rows whose fields have these values, or None."""
        self.index(resource, next(iter(wanted)))
        condition = " AND ".join(f"{expression(name)} IS ?" for name in wanted)
        found = self.fetch(
            f'SELECT id FROM "{resource}" WHERE {condition} ORDER BY id LIMIT 1',
            tuple(wanted.values()),
        )
        return found[0][0] if found else None

    def patch(self, resource: str, row_id: int, fields: Mapping[str, Any], updated: int) -> None:
        """Change some fields of a row inside the database, which spares reading it."""
        changes = {**fields, "updatedAt": instants.shown(updated)}
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
        """An id that no row has or had."""
        self.ensure(resource)
        with self.lock:
            self._next_ids[resource] += 1
            return self._next_ids[resource] - 1

    def _learn(self, resource: str) -> None:
        highest = self.fetch(f'SELECT MAX(id) FROM "{resource}"')[0][0]
        self._next_ids[resource] = (highest or 0) + 1


def expression(attribute: str) -> str:
    """The SQL expression of a field: the same text wherever it is used, so that indexes serve."""
    return COLUMNS.get(attribute) or f"json_extract(body, '$.{attribute}')"


def _instant(text: object) -> int | None:
    try:
        return instants.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None
