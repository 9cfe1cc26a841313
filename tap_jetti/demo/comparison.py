"""Compares the sandbox with the warehouse, value by value, and measures the requests of the sync."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb

from tap_jetti.facts import resources
from tap_jetti.facts.kinds import Kind, kind_of
from tap_jetti.facts.secret_fields import mask_deep

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tap_jetti.sandbox import LoggedRequest, Sandbox

    Row = dict[str, Any]

_RESOURCE = re.compile(r"/api/([a-z-]+)(?:/count)?\.json")
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True)
class Comparison:
    """One stream after a sync."""

    stream: str
    changed: int
    """Rows that were changed before the sync."""
    in_jetti: int
    in_warehouse: int
    wrong: int
    """Rows that are missing, that should not be there, or that have a different value."""
    requests: int
    seconds: float
    """Seconds from its first request to its last."""
    refused: int
    """Requests that were refused with 429."""

    @property
    def is_equal(self) -> bool:
        """Whether the warehouse holds exactly what Jetti holds."""
        return self.in_jetti == self.in_warehouse and not self.wrong


def compare(
    sandbox: Sandbox, warehouse: Path, streams: Iterable[str], *, since: float, changed: Mapping[str, int]
) -> list[Comparison]:
    """Compare all rows of some streams.

    Args:
        sandbox: The source.
        warehouse: The DuckDB file that it was synced into.
        streams: The streams.
        since: When the sync began, by the sandbox's clock.
        changed: How many rows were changed before the sync, by stream.
    """
    requests = _requests_by_stream(sandbox.requests.entries(since))
    with duckdb.connect(str(warehouse), read_only=True) as database:
        return [
            _compare_stream(
                name, sandbox.rows(name), _stored(database, name), requests.get(name, []), changed.get(name, 0)
            )
            for name in streams
        ]


def _compare_stream(
    name: str, rows: list[Row], stored: list[Row], entries: list[LoggedRequest], changed: int
) -> Comparison:
    fields = resources.schema(name)["properties"]
    wanted = {row["id"]: {field: _expected(row.get(field), fields[field]) for field in fields} for row in rows}
    found = {row["id"]: {field: _found(row.get(field), fields[field]) for field in fields} for row in stored}
    return Comparison(
        stream=name,
        changed=changed,
        in_jetti=len(rows),
        in_warehouse=len(stored),
        wrong=sum(wanted.get(key) != found.get(key) for key in wanted.keys() | found.keys()),
        requests=len(entries),
        seconds=entries[-1].time - entries[0].time if entries else 0.0,
        refused=sum(entry.status == _TOO_MANY_REQUESTS for entry in entries),
    )


def _requests_by_stream(entries: Iterable[LoggedRequest]) -> dict[str, list[LoggedRequest]]:
    """The requests of each stream, in the order in which they arrived."""
    requests: dict[str, list[LoggedRequest]] = {}
    for entry in entries:
        resource = _RESOURCE.fullmatch(entry.path)
        if resource:
            requests.setdefault(resource[1].replace("-", "_"), []).append(entry)
    return requests


def _stored(database: duckdb.DuckDBPyConnection, name: str) -> list[Row]:
    known = database.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [name]).fetchone()
    if known is None:
        return []
    cursor = database.execute(f'SELECT * FROM "{name}"')  # noqa: S608 - the name of a stream
    columns = [column[0] for column in cursor.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def _expected(value: Any, facts: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """Convert a value of the API to the form in which both sides are compared."""
    if value is None:
        return None
    kind = kind_of(facts)
    if kind is Kind.NUMBER:
        return Decimal(str(value))
    return int(value) if kind is Kind.INTEGER else mask_deep(value)


def _found(value: Any, facts: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any value of a warehouse
    """Convert a value of the warehouse to the form in which both sides are compared."""
    if value is None:
        return None
    kind = kind_of(facts)
    if kind is Kind.JSON:
        return json.loads(value)
    if kind is Kind.DATE:
        return value.isoformat(timespec="milliseconds") + "Z"
    return value
