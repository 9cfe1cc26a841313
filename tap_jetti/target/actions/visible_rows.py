"""Checks whether writes are visible, by reading the rows that they wrote."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_jetti.client.query import encode, select
from tap_jetti.facts.resources import api_name
from tap_jetti.reading.pages import LONGEST_QUERY
from tap_jetti.target.fields import comparable

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from tap_jetti.client.session import JettiSession
    from tap_jetti.target.delivery.operations import OperationKey, Record, WriteOperation

VALUES_PER_QUERY = 100
"""The largest number of values in one query: a page of rows."""


@dataclass(frozen=True)
class RowVisibility:
    """A write is visible in the one row that has the sent value in a given field.

    Attributes:
        session: Reads the rows.
        resource: The resource of the row.
        column: The field of the payload and of the row that identifies the row.
        where: Other conditions that the row meets, as pairs of field and value.
        kinds: The kinds of the fields that must have the sent values, as pairs of field and kind. If there are none,
            the write is visible as soon as the row exists.
    """

    session: JettiSession = field(compare=False)
    resource: str
    column: str
    where: tuple[tuple[str, Hashable], ...] = ()
    kinds: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def key_of(self, operation: WriteOperation) -> OperationKey:
        """See `Visibility.key_of`."""
        return operation.key

    def visible(self, expected: Mapping[Hashable, Record]) -> Iterator[Hashable]:
        """See `Visibility.visible`."""
        keys: defaultdict[str, list[Hashable]] = defaultdict(list)
        for key, payload in expected.items():
            keys[str(payload[self.column])].append(key)
        for values in query_chunks(self.column, keys):
            missing = set(values)
            while missing:
                rows = self._rows(missing)
                found = missing & rows.keys()
                for value in found:
                    for key in keys[value]:
                        if self._has_values(rows[value], expected[key]):
                            yield key
                if not found:
                    break
                missing -= found  # a server with a smaller page size gives the rest when only that is asked for

    def _rows(self, values: Iterable[str]) -> dict[str, Record]:
        where = {**dict(self.where), self.column: {"$in": sorted(values)}}
        rows = self.session.get(
            f"{api_name(self.resource)}.json", select(where=where, order="id", limit=VALUES_PER_QUERY)
        ).body
        return {str(row.get(self.column)): row for row in rows} if isinstance(rows, list) else {}

    def _has_values(self, row: Record, payload: Record) -> bool:
        return all(
            comparable(kind, payload[name]) == comparable(kind, row.get(name))
            for name, kind in self.kinds
            if name in payload
        )


def query_chunks(column: str, values: Iterable[str]) -> Iterator[Sequence[str]]:
    """Split values of a column into lists that fit into one query each.

    A value that is too long for a query is left out, so it is never found.
    """
    chunk: list[str] = []
    length = 0
    for value in sorted(values):
        own = len(encode([(f"where[{column}][$in][]", value)])) + 1
        if own > LONGEST_QUERY:
            continue
        if chunk and (len(chunk) == VALUES_PER_QUERY or length + own > LONGEST_QUERY):
            yield chunk
            chunk, length = [], 0
        chunk.append(value)
        length += own
    if chunk:
        yield chunk
