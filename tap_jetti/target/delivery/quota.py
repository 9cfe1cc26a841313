"""How many updates a run may send, and which ones if there are more."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from tap_jetti.target.delivery.change_detection import QUANTITY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from tap_jetti.target.delivery.operations import Key, WriteOperation


class FirstComeQuota:
    """Lets the first ones through.

    Args:
        most: How many; None is any number.
    """

    def __init__(self, most: int | None) -> None:
        self._left = most

    def take(self, operation: WriteOperation, change: Decimal) -> WriteOperation | None:  # noqa: ARG002 - as `LargestChangeQuota`
        """The item to send now, or None if it has to wait for the next run."""
        if self._left is None:
            return operation
        if self._left <= 0:
            return None
        self._left -= 1
        return operation

    def give_back(self) -> None:
        """Take back one update: it was merged with one that counts already."""
        if self._left is not None:
            self._left += 1


class LargestChangeQuota:
    """Keeps the largest changes of all that come, to be sent at the end of the input.

    Memory is bounded by what may be sent. Of equal changes the earlier one wins. A later record
    of a key that is kept is merged with it; the change of the last quantity counts.

    Args:
        most: How many are kept.
        leave: Told of each item that is not, or no longer, kept.
    """

    def __init__(self, most: int, leave: Callable[[WriteOperation], None]) -> None:
        self._most = most
        self._leave = leave
        self._heap: list[tuple[Decimal, int, Key]] = []
        self._kept: dict[Key, tuple[Decimal, int, WriteOperation]] = {}
        self._count = 0

    def take(self, operation: WriteOperation, change: Decimal) -> bool:
        """Keep an item, or leave it.

        Args:
            operation: What would be sent.
            change: How large the change is.

        Returns:
            Whether it was merged with one that is kept.
        """
        known = self._kept.get(operation.key)
        if known is not None and known[2].action is operation.action:
            first, number, kept = known
            kept.absorb(operation)
            self._push(change if QUANTITY in operation.payload else first, number, kept)
            return True
        self._count -= 1
        self._push(change, self._count, operation)
        while len(self._kept) > self._most:
            least, number, key = heapq.heappop(self._heap)
            if self._is_current(least, number, key):
                self._leave(self._kept.pop(key)[2])
        return False

    def release(self) -> Iterator[WriteOperation]:
        """What is kept, the largest change first."""
        ranked = sorted(self._kept.values(), key=lambda kept: kept[:2], reverse=True)
        self._kept, self._heap = {}, []
        for _, _, operation in ranked:
            yield operation

    def _push(self, change: Decimal, number: int, operation: WriteOperation) -> None:
        self._kept[operation.key] = (change, number, operation)
        heapq.heappush(self._heap, (change, number, operation.key))
        if len(self._heap) > 2 * self._most + 16:
            self._heap = [(change, number, key) for key, (change, number, _) in self._kept.items()]
            heapq.heapify(self._heap)

    def _is_current(self, change: Decimal, number: int, key: Key) -> bool:
        kept = self._kept.get(key)
        return kept is not None and kept[:2] == (change, number)
