"""Checks whether writes are visible, by reading the rows that they wrote."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_jetti.client.query import encode, select
from tap_jetti.facts.resources import api_name
from tap_jetti.facts.timestamps import normalise, to_epoch
from tap_jetti.reading.pages import LONGEST_QUERY
from tap_jetti.target.delivery.ledger.values import is_likely_form, short_form
from tap_jetti.target.fields import comparable

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from tap_jetti.client.session import JettiSession
    from tap_jetti.target.delivery.operations import OperationKey, Record, WriteOperation

VALUES_PER_QUERY = 100
"""The largest number of values in one query."""

ROWS_PER_QUERY = 50
"""The largest number of rows in one query. It is the documented default, so no server refuses it."""


@dataclass(frozen=True)
class RowVisibility:
    """A write is visible in the one row that has the sent value in a given field.

    Attributes:
        session: Reads the rows.
        resource: The resource of the row.
        column: The field of the payload and of the row that identifies the row.
        where: Other conditions that the row meets, as pairs of field and value.
        kinds: The kinds of the fields that must have the sent values, as pairs of field and kind. If there are none,
            the write is visible as soon as the row exists. In a row that has changed since, a value may also be a
            likely form of the sent one, such as a trimmed text: Jetti normalises some values.
        began: The monotonic clock, in seconds, before the values were sent first.
    """

    session: JettiSession = field(compare=False)
    resource: str
    column: str
    where: tuple[tuple[str, Hashable], ...] = ()
    kinds: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    began: float = 0.0

    def key_of(self, operation: WriteOperation) -> OperationKey:
        """See `Visibility.key_of`."""
        return operation.key

    def visible(self, expected: Mapping[Hashable, Record]) -> Iterator[Hashable]:
        """See `Visibility.visible`."""
        keys: defaultdict[str, list[Hashable]] = defaultdict(list)
        for key, payload in expected.items():
            keys[str(payload[self.column])].append(key)
        for value, row in shown_rows(self.session, self.resource, self.column, keys, where=dict(self.where)):
            for key in keys[value]:
                if self._has_values(row, expected[key]):
                    yield key

    def _has_values(self, row: Record, payload: Record) -> bool:
        differing = [
            (kind, payload[name], row.get(name))
            for name, kind in self.kinds
            if name in payload and comparable(kind, payload[name]) != comparable(kind, row.get(name))
        ]
        if not differing:
            return True
        return self._was_changed(row) and all(
            is_likely_form(kind, short_form(kind, sent), short_form(kind, shown)) for kind, sent, shown in differing
        )

    def _was_changed(self, row: Record) -> bool:
        """Whether a row has changed since the values were sent, or a little earlier."""
        began = self.session.server_clock.at(self.began)
        try:
            changed = to_epoch(normalise(str(row.get("updatedAt"))))
        except ValueError:
            return False
        return began is not None and changed >= began


def shown_rows(
    session: JettiSession,
    resource: str,
    column: str,
    values: Iterable[str],
    *,
    where: Mapping[str, Any] | None = None,
) -> Iterator[tuple[str, Record]]:
    """Read the rows that have given values in a column, and yield each value with its row.

    A row that does not come need not be missing: the server may cut any page.

    Args:
        session: Sends the requests.
        resource: The resource in snake_case.
        column: A field that identifies a row.
        values: Its values, as text.
        where: Other conditions.
    """
    for chunk in query_chunks(column, values, limit=ROWS_PER_QUERY):
        missing = set(chunk)
        while missing:
            query = select(where={**(where or {}), column: {"$in": sorted(missing)}}, order="id", limit=ROWS_PER_QUERY)
            rows = session.get(f"{api_name(resource)}.json", query).body
            shown = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            found = {str(row.get(column)): row for row in shown}
            given = missing & found.keys()
            if not given:
                break
            yield from ((value, found[value]) for value in given)
            missing -= given  # a server with a smaller page size gives the rest when only that is asked for


def query_chunks(column: str, values: Iterable[str], *, limit: int = VALUES_PER_QUERY) -> Iterator[Sequence[str]]:
    """Split values of a column into lists that fit into one query each.

    A value that is too long for a query is left out, so it is never found.
    """
    chunk: list[str] = []
    length = 0
    for value in sorted(values):
        own = len(encode([(f"where[{column}][$in][]", value)])) + 1
        if own > LONGEST_QUERY:
            continue
        if chunk and (len(chunk) == limit or length + own > LONGEST_QUERY):
            yield chunk
            chunk, length = [], 0
        chunk.append(value)
        length += own
    if chunk:
        yield chunk
