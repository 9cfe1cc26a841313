"""Reads back what went inbound, where every answer is 200, and rejects what did not take effect."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_jetti.client.query import encode, select
from tap_jetti.delivery.failures import RefusedError
from tap_jetti.delivery.fields import comparable
from tap_jetti.resources import api_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import JettiSession
    from tap_jetti.delivery.items import Item, Lane, Origin, Record

MOST_KEYS = 100
"""Keys that are asked for at once: a page."""

LONGEST_QUERY = 6_000
"""Characters of a query at most."""

LONGEST_PAUSE = 10.0
"""Seconds between two looks at most."""


@dataclass(frozen=True)
class Effect:
    """Where the effect of an item shows: in the row of its external id.

    Attributes:
        resource: The resource of that row.
        where: What it has besides its external id.
        kinds: The kinds of the fields that must show what was sent; without any, the row's
            being there is all that is asked.
    """

    resource: str
    where: Mapping[str, Any]
    kinds: Mapping[str, str]

    def shows(self, payload: Record, row: Record) -> bool:
        """Whether a row shows what was sent."""
        return all(
            comparable(self.kinds[name], value) == comparable(self.kinds[name], row.get(name))
            for name, value in payload.items()
            if name in self.kinds
        )


class _Expected:
    def __init__(self) -> None:
        self.payload: Record = {}
        self.origins: list[Origin] = []


@dataclass(eq=False)
class _Group:
    action: str
    effect: Effect
    expected: dict[str, _Expected] = field(default_factory=dict)


class Confirmation:
    """Holds what was sent inbound until it was read back, and STATE with it.

    All of it stays in memory until the end of the input: with confirm_seconds, plan for about
    two kilobytes for each record that is sent. What a later record of the same key overwrote is
    confirmed by that one.

    Args:
        session: What reads.
        seconds: How long after the last one was sent an effect may take to show.
        clock: What waits are measured and slept by.
        confirmed: Told of each one that shows, with its action and origins.
        rejected: Told of each one that does not, with origins, reason and key.
    """

    def __init__(
        self,
        session: JettiSession,
        *,
        seconds: float,
        clock: Clock,
        confirmed: Callable[[str, Sequence[Origin]], None],
        rejected: Callable[..., None],
    ) -> None:
        self._session = session
        self._seconds = seconds
        self._clock = clock
        self._confirmed = confirmed
        self._rejected = rejected
        self._groups: dict[Lane, _Group] = {}
        self._lock = threading.Lock()

    def expect(self, items: Sequence[Item], effect: Effect) -> None:
        """Hold items of one lane that were accepted."""
        with self._lock:
            for item in items:
                group = self._groups.setdefault(item.lane, _Group(item.action.name, effect))
                expected = group.expected.setdefault(str(item.key[-1]), _Expected())
                expected.payload = {**expected.payload, **item.payload}
                expected.origins += item.origins

    def run(self) -> None:
        """Look until everything shows or the time is over.

        Raises:
            RequestError: A look failed.
            RefusedError: Something did not take effect, and the run is to stop at a reject.
        """
        deadline = self._clock.monotonic() + self._seconds
        pause = 0.5
        while True:
            for group in self._groups.values():
                for key in list(self._shown(group)):
                    self._confirmed(group.action, group.expected.pop(key).origins)
            if not any(group.expected for group in self._groups.values()):
                return
            left = deadline - self._clock.monotonic()
            if left <= 0:
                break
            self._clock.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)
        refusal = RefusedError(
            "unconfirmed", f"it was accepted, but did not take effect within {self._seconds:g} s; see Jetti's own log"
        )
        for group in self._groups.values():
            for key in list(group.expected):
                self._rejected(group.expected.pop(key).origins, refusal, which=key)

    def _shown(self, group: _Group) -> Iterator[str]:
        effect = group.effect
        for keys in _chunks(sorted(group.expected)):
            missing = set(keys)
            while missing:
                where = {**effect.where, "externalId": {"$in": sorted(missing)}}
                query = select(where=where, order="id", limit=MOST_KEYS)
                rows = self._session.get(f"{api_name(effect.resource)}.json", query).body
                found = {str(row.get("externalId")): row for row in rows} if isinstance(rows, list) else {}
                for key in missing & found.keys():
                    if effect.shows(group.expected[key].payload, found[key]):
                        yield key
                # A server that caps its pages gives the rest when asked for it alone.
                before = len(missing)
                missing -= found.keys()
                if len(missing) == before:
                    break


def _chunks(keys: Sequence[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    length = 0
    for key in keys:
        own = len(encode([("where[externalId][$in][]", key)])) + 1
        if chunk and (len(chunk) == MOST_KEYS or length + own > LONGEST_QUERY):
            yield chunk
            chunk, length = [], 0
        chunk.append(key)
        length += own
    if chunk:
        yield chunk
