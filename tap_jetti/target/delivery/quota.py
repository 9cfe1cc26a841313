"""How many updates a run may send, and which ones if there are more."""

from __future__ import annotations

import heapq
from decimal import Decimal
from enum import Enum, auto
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_jetti.target.delivery.operations import OperationKey
    from tap_jetti.target.delivery.verdict import Verdict

_NO_CHANGE = Decimal(0)

_Rank = tuple[Any, ...]


class Admission(Enum):
    """What becomes of an operation that the quota was asked about."""

    SEND = auto()
    """It is sent now."""

    HOLD = auto()
    """It waits for the end of the input, and so does everything else of its key."""

    LEAVE = auto()
    """It is left for the next run."""


class Quota(Protocol):
    """Decides which operations are sent. It knows keys only: `WritePath` holds the operations."""

    def offer(self, key: OperationKey, verdict: Verdict) -> Admission:
        """Ask about an operation whose key is not held."""
        ...

    def update(self, key: OperationKey, verdict: Verdict) -> None:
        """Take note of a later operation of a key that is held."""
        ...

    def drop(self, key: OperationKey) -> None:
        """Forget a key that is held: nothing that counts is left of it."""
        ...

    def evicted(self) -> Iterator[OperationKey]:
        """Return held keys that have lost their place since the last call, and are left for the next run.

        It is called after each operation that is held, and after `drain`.
        """
        ...

    def drain(self) -> Iterator[OperationKey]:
        """Return the held keys at the end of the input, in the order of sending."""
        ...

    def give_back(self) -> None:
        """Return one unit: an operation was merged into one that has a unit already."""
        ...


class FirstComeQuota:
    """Admits the first operations to arrive whose keys were not sent lately. See `Quota` for the methods.

    The others are held to the end of the input and go then, those first that were sent least recently. So a row that
    is sent every time, without effect, does not keep the others waiting for ever.

    Args:
        limit: How many; None for no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self._available = limit
        self._held = _Ranking(limit or 0)
        self._arrivals = count(0, -1)
        self._surplus: list[OperationKey] = []

    def offer(self, key: OperationKey, verdict: Verdict) -> Admission:
        """See `Quota.offer`."""
        if self._available is None:
            return Admission.SEND
        if verdict.last_sent is not None and self._available > 0:
            self._held.push(key, (-verdict.last_sent, next(self._arrivals)))
            return Admission.HOLD
        if self._available <= 0:
            return Admission.LEAVE
        self._available -= 1
        return Admission.SEND

    def update(self, key: OperationKey, verdict: Verdict) -> None:
        """See `Quota.update`. The place of a key does not depend on what it writes."""

    def drop(self, key: OperationKey) -> None:
        """See `Quota.drop`."""
        self._held.drop(key)

    def evicted(self) -> Iterator[OperationKey]:
        """See `Quota.evicted`."""
        surplus, self._surplus = self._surplus, []
        yield from surplus
        yield from self._held.evicted(self._available or 0)

    def drain(self) -> Iterator[OperationKey]:
        """See `Quota.drain`: the least recently sent first."""
        held = self._held.take_all()
        available = self._available or 0
        self._surplus += held[available:]
        yield from held[:available]

    def give_back(self) -> None:
        """See `Quota.give_back`."""
        if self._available is not None:
            self._available += 1


class LargestChangeQuota:
    """Holds the operations with the largest changes, to be sent at the end of the input. See `Quota` for the methods.

    A quarter of the quota goes to the keys that were sent least recently, so that small changes have their turn, too.
    Behind all others are keys whose last write had no effect. Memory is bounded by the limit. Of equal changes the
    earlier operation wins. Of several operations of one key the change of the latest quantity counts.

    Args:
        limit: The number of keys to send.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._oldest = _Ranking(max(limit // 4, 1) if limit > 1 else 0)
        self._largest = _Ranking(limit)
        self._arrivals = count(0, -1)  # of equal changes the earlier one has the larger rank
        self._verdicts: dict[OperationKey, tuple[Verdict, int]] = {}
        self._surplus: list[OperationKey] = []

    def offer(self, key: OperationKey, verdict: Verdict) -> Admission:
        """See `Quota.offer`."""
        self._push(key, verdict, next(self._arrivals))
        return Admission.HOLD

    def update(self, key: OperationKey, verdict: Verdict) -> None:
        """See `Quota.update`."""
        if verdict.change is not None:
            self._push(key, verdict, self._verdicts[key][1])

    def drop(self, key: OperationKey) -> None:
        """See `Quota.drop`."""
        del self._verdicts[key]
        self._oldest.drop(key)
        self._largest.drop(key)

    def evicted(self) -> Iterator[OperationKey]:
        """See `Quota.evicted`."""
        surplus, self._surplus = self._surplus, []
        yield from surplus
        for own, other in ((self._oldest, self._largest), (self._largest, self._oldest)):
            for key in own.evicted(own.limit):
                if key not in other:
                    del self._verdicts[key]
                    yield key

    def drain(self) -> Iterator[OperationKey]:
        """See `Quota.drain`: the least recently sent quarter, then the largest changes."""
        held = list(dict.fromkeys([*self._oldest.take_all(), *self._largest.take_all()]))
        self._verdicts = {}
        self._surplus += held[self._limit :]
        yield from held[: self._limit]

    def give_back(self) -> None:
        """See `Quota.give_back`. Operations are merged while they are held, where a key has one unit."""

    def _push(self, key: OperationKey, verdict: Verdict, arrival: int) -> None:
        self._verdicts[key] = verdict, arrival
        change = _NO_CHANGE if verdict.change is None else verdict.change
        self._oldest.push(key, (-(verdict.last_sent or 0.0), change, arrival))
        self._largest.push(key, (not verdict.had_no_effect, change, arrival))


class _Ranking:
    """The keys with the highest ranks.

    Args:
        limit: How many keys to keep.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._heap: list[tuple[_Rank, int, OperationKey]] = []
        self._ranks: dict[OperationKey, _Rank] = {}
        self._pushes = count()  # so that the heap never compares keys

    def __contains__(self, key: OperationKey) -> bool:
        """Whether a key is kept."""
        return key in self._ranks

    def push(self, key: OperationKey, rank: _Rank) -> None:
        """Add a key, or change its rank: an earlier entry of it stays in the heap and is skipped when it comes out."""
        self._ranks[key] = rank
        heapq.heappush(self._heap, (rank, next(self._pushes), key))
        if len(self._heap) > 2 * self.limit + 16:
            self._heap = [(rank, next(self._pushes), key) for key, rank in self._ranks.items()]
            heapq.heapify(self._heap)

    def drop(self, key: OperationKey) -> None:
        """Remove a key, if it is there."""
        self._ranks.pop(key, None)

    def evicted(self, limit: int) -> Iterator[OperationKey]:
        """Remove the keys with the lowest ranks, as long as there are more than `limit`, and return them."""
        while len(self._ranks) > limit:
            rank, _, key = heapq.heappop(self._heap)
            if self._ranks.get(key) == rank:
                del self._ranks[key]
                yield key

    def take_all(self) -> list[OperationKey]:
        """Remove all keys, and return them, the highest rank first."""
        ranks, self._ranks, self._heap = self._ranks, {}, []
        return sorted(ranks, key=ranks.__getitem__, reverse=True)
