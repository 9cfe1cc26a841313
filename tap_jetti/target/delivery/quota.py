"""How many updates a run may send, and which ones if there are more."""

from __future__ import annotations

import heapq
from decimal import Decimal
from enum import Enum, auto
from itertools import count
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_jetti.target.delivery.operations import OperationKey
    from tap_jetti.target.delivery.verdict import Verdict

_NO_CHANGE = Decimal(0)


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
        """Return held keys that have lost their place since the last call, and are left for the next run."""
        ...

    def drain(self) -> Iterator[OperationKey]:
        """Return the held keys at the end of the input, in the order of sending."""
        ...

    def give_back(self) -> None:
        """Return one unit: an operation was merged into one that has a unit already."""
        ...


class FirstComeQuota:
    """Admits the first operations to arrive. See `Quota` for the methods.

    Args:
        limit: How many; None for no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self._available = limit

    def offer(self, key: OperationKey, verdict: Verdict) -> Admission:  # noqa: ARG002 - all are equal
        """See `Quota.offer`."""
        if self._available is None:
            return Admission.SEND
        if self._available <= 0:
            return Admission.LEAVE
        self._available -= 1
        return Admission.SEND

    def update(self, key: OperationKey, verdict: Verdict) -> None:
        """See `Quota.update`. Nothing is held."""

    def drop(self, key: OperationKey) -> None:
        """See `Quota.drop`. Nothing is held."""

    def evicted(self) -> Iterator[OperationKey]:
        """See `Quota.evicted`."""
        return iter(())

    def drain(self) -> Iterator[OperationKey]:
        """See `Quota.drain`."""
        return iter(())

    def give_back(self) -> None:
        """See `Quota.give_back`."""
        if self._available is not None:
            self._available += 1


class LargestChangeQuota:
    """Holds the operations with the largest changes, to be sent at the end of the input. See `Quota` for the methods.

    Memory is bounded by the limit. Of equal changes the earlier operation wins. Of several operations of one key the
    change of the latest quantity counts.

    Args:
        limit: The number of keys to hold.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[Decimal, int, int, OperationKey]] = []
        self._kept: dict[OperationKey, tuple[Decimal, int]] = {}
        self._arrivals = count(0, -1)  # of equal changes the earlier one is the larger entry
        self._pushes = count()  # so that the heap never compares keys

    def offer(self, key: OperationKey, verdict: Verdict) -> Admission:
        """See `Quota.offer`."""
        self._push(_NO_CHANGE if verdict.change is None else verdict.change, next(self._arrivals), key)
        return Admission.HOLD

    def update(self, key: OperationKey, verdict: Verdict) -> None:
        """See `Quota.update`."""
        if verdict.change is not None:
            _, number = self._kept[key]
            self._push(verdict.change, number, key)

    def drop(self, key: OperationKey) -> None:
        """See `Quota.drop`."""
        del self._kept[key]  # its entry in the heap is skipped when it comes out

    def evicted(self) -> Iterator[OperationKey]:
        """See `Quota.evicted`."""
        while len(self._kept) > self._limit:
            smallest, number, _, key = heapq.heappop(self._heap)
            if self._kept.get(key) == (smallest, number):
                del self._kept[key]
                yield key

    def drain(self) -> Iterator[OperationKey]:
        """See `Quota.drain`: the largest change first."""
        kept, self._kept, self._heap = self._kept, {}, []
        yield from sorted(kept, key=kept.__getitem__, reverse=True)

    def give_back(self) -> None:
        """See `Quota.give_back`. Operations are merged while they are held, where a key has one unit."""

    def _push(self, change: Decimal, number: int, key: OperationKey) -> None:
        # An earlier entry of the same key stays in the heap and is skipped when it comes out.
        self._kept[key] = (change, number)
        heapq.heappush(self._heap, (change, number, next(self._pushes), key))
        if len(self._heap) > 2 * self._limit + 16:
            self._heap = [(change, number, next(self._pushes), key) for key, (change, number) in self._kept.items()]
            heapq.heapify(self._heap)
