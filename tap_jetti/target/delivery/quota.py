"""How many updates a run may send, and which ones if there are more."""

from __future__ import annotations

import heapq
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_jetti.target.delivery.operations import OperationKey, WriteOperation

_NO_CHANGE = Decimal(0)


class FirstComeQuota:
    """Admits the first operations to arrive.

    Args:
        limit: How many; None for no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self._available = limit

    def take(self) -> bool:
        """Take one unit of the quota; returns False if none is available."""
        if self._available is None:
            return True
        if self._available <= 0:
            return False
        self._available -= 1
        return True

    def give_back(self) -> None:
        """Return one unit: its operation was merged into one that has a unit already."""
        if self._available is not None:
            self._available += 1


class LargestChangeQuota:
    """Keeps the operations with the largest changes, to be sent at the end of the input.

    Memory is bounded by the limit. Of equal changes the earlier operation wins. A later operation with the key of a
    kept one is merged into it, and the change of the latest quantity counts.

    Args:
        limit: The number of operations to keep.
        leave: Called with each operation that is not kept, or no longer.
    """

    def __init__(self, limit: int, leave: Callable[[WriteOperation], None]) -> None:
        self._limit = limit
        self._leave = leave
        self._heap: list[tuple[Decimal, int, int, OperationKey]] = []
        self._kept: dict[OperationKey, tuple[Decimal, int, WriteOperation]] = {}
        self._arrivals = count(0, -1)  # of equal changes the earlier one is the larger entry
        self._pushes = count()  # so that the heap never compares keys

    def offer(self, operation: WriteOperation, change: Decimal | None) -> bool:
        """Keep an operation, or leave it.

        Args:
            operation: The operation.
            change: How much it changes the inventory; None if it does not write the quantity.

        Returns:
            Whether it was merged into one that is kept.
        """
        if (known := self._kept.get(operation.key)) is not None:
            known_change, number, kept = known
            if kept.action is operation.action:
                kept.merge(operation)
                self._push(known_change if change is None else change, number, kept)
                return True
        self._push(_NO_CHANGE if change is None else change, next(self._arrivals), operation)
        while len(self._kept) > self._limit:
            smallest, number, _, key = heapq.heappop(self._heap)
            if self._is_current(smallest, number, key):
                _, _, left = self._kept.pop(key)
                self._leave(left)
        return False

    def drain(self) -> Iterator[WriteOperation]:
        """Return the kept operations, the largest change first."""
        ranked = sorted(self._kept.values(), key=lambda kept: kept[:2], reverse=True)
        self._kept, self._heap = {}, []
        for _, _, operation in ranked:
            yield operation

    def _push(self, change: Decimal, number: int, operation: WriteOperation) -> None:
        # An earlier entry of the same key stays in the heap and is skipped when it comes out.
        self._kept[operation.key] = (change, number, operation)
        heapq.heappush(self._heap, (change, number, next(self._pushes), operation.key))
        if len(self._heap) > 2 * self._limit + 16:
            self._heap = [(change, number, next(self._pushes), key) for key, (change, number, _) in self._kept.items()]
            heapq.heapify(self._heap)

    def _is_current(self, change: Decimal, number: int, key: OperationKey) -> bool:
        kept = self._kept.get(key)
        return kept is not None and kept[:2] == (change, number)
