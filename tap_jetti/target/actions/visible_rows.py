"""Where it shows that something took effect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tap_jetti.client.query import encode, select
from tap_jetti.facts.resources import api_name
from tap_jetti.reading.pages import LONGEST_QUERY
from tap_jetti.target.fields import comparable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_jetti.client.session import JettiSession
    from tap_jetti.target.delivery.operations import Key, Record, WriteOperation

MOST_KEYS = 100
"""Values that are asked for at once: a page."""


class Visibility(Hashable, Protocol):
    """Where it shows that items took effect; those of equal effects are looked for together."""

    def key_of(self, operation: WriteOperation) -> Key:
        """What an item is looked for by; a later one of the same key overwrites it."""
        ...

    def shown(self, expected: Mapping[Key, Record]) -> Iterable[Key]:
        """Those that show now, of the keys that something was sent to, in the order it was sent.

        Raises:
            RequestError: A look failed.
        """
        ...


@dataclass(frozen=True)
class InOneRow:
    """It shows in the one row of a resource that a column tells from the others.

    Attributes:
        session: What reads.
        resource: The resource of that row.
        column: What has the last part of the item's key for its value.
        where: What else the row has, by column.
        kinds: The kinds of the fields that must show what was sent, by name; without any, the
            row's being there is all that is asked.
    """

    session: JettiSession = field(compare=False)
    resource: str
    column: str
    where: tuple[tuple[str, Hashable], ...] = ()
    kinds: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def key_of(self, operation: WriteOperation) -> Key:
        """See `Visibility.key_of`."""
        return operation.key

    def shown(self, expected: Mapping[Key, Record]) -> Iterator[Key]:
        """See `Visibility.shown`."""
        keys: defaultdict[str, list[Key]] = defaultdict(list)
        for key in expected:
            keys[str(key[-1])].append(key)
        for values in in_lists(self.column, keys):
            missing = set(values)
            while missing:
                found = self._rows(missing)
                there = missing & found.keys()
                for value in there:
                    for key in keys[value]:
                        if self._shows(expected[key], found[value]):
                            yield key
                if not there:
                    break
                missing -= there  # a server that caps its pages gives the rest when asked for it alone

    def _rows(self, values: Iterable[str]) -> dict[str, Record]:
        where = {**dict(self.where), self.column: {"$in": sorted(values)}}
        rows = self.session.get(
            f"{api_name(self.resource)}.json", select(where=where, order="id", limit=MOST_KEYS)
        ).body
        return {str(row.get(self.column)): row for row in rows} if isinstance(rows, list) else {}

    def _shows(self, payload: Record, row: Record) -> bool:
        return all(
            comparable(kind, payload[name]) == comparable(kind, row.get(name))
            for name, kind in self.kinds
            if name in payload
        )


def in_lists(column: str, values: Iterable[str]) -> Iterator[Sequence[str]]:
    """Values of a column in lists that fit in a query each; one that fits in none is left out, and never found."""
    chunk: list[str] = []
    length = 0
    for value in sorted(values):
        own = len(encode([(f"where[{column}][$in][]", value)])) + 1
        if own > LONGEST_QUERY:
            continue
        if chunk and (len(chunk) == MOST_KEYS or length + own > LONGEST_QUERY):
            yield chunk
            chunk, length = [], 0
        chunk.append(value)
        length += own
    if chunk:
        yield chunk
