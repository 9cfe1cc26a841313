"""Operations that wait before they are queued, each key in a queue of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_jetti.target.delivery.operations import OperationKey, WriteOperation


class HeldOperations:
    """Operations by key. Those of one key are merged where that is possible, and otherwise stay in order.

    Attributes:
        size: Their approximate size in bytes.
        queues: The operations of each key, in order.
    """

    def __init__(self) -> None:
        self.size = 0
        self.queues: dict[OperationKey, list[WriteOperation]] = {}

    def __len__(self) -> int:
        """The number of keys."""
        return len(self.queues)

    def __contains__(self, key: OperationKey) -> bool:
        """Whether operations of a key wait here."""
        return key in self.queues

    def add(self, operation: WriteOperation) -> bool:
        """Add an operation behind those of its key; returns False if it was merged with them."""
        queue = self.queues.setdefault(operation.key, [])
        before = len(queue)
        # A removal makes everything before it unnecessary, so more than one operation may be merged.
        while queue and operation.action.can_merge(queue[-1], operation):
            self.size -= queue[-1].size
            queue[-1].merge(operation)
            operation = queue.pop()
        queue.append(operation)
        self.size += operation.size
        return len(queue) > before

    def take(self, key: OperationKey) -> list[WriteOperation]:
        """Remove the operations of a key, and return them in order."""
        queue = self.queues.pop(key)
        self.size -= sum(operation.size for operation in queue)
        return queue

    def take_all(self) -> list[WriteOperation]:
        """Remove all operations, and return them; those of one key are in order."""
        queues, self.queues, self.size = self.queues, {}, 0
        return [operation for queue in queues.values() for operation in queue]

    def first(self, key: OperationKey) -> WriteOperation:
        """Return the first operation of a key."""
        return self.queues[key][0]


class TimedOperations(HeldOperations):
    """Operations that wait until a time, those that are due first in front."""

    def __init__(self) -> None:
        super().__init__()
        self._due: dict[OperationKey, float] = {}

    def hold(self, operation: WriteOperation, *, until: float, renew: bool) -> bool:
        """Add an operation, and let its key wait until a time by the monotonic clock, in seconds.

        Args:
            operation: The operation.
            until: The time.
            renew: Whether a key that waits already waits until then, too.

        Returns:
            False if it was merged with one that waits.
        """
        if renew:
            self._due.pop(operation.key, None)
        self._due.setdefault(operation.key, until)
        return self.add(operation)

    def due(self, now: float) -> list[OperationKey]:
        """Return the keys whose time has come."""
        return [key for key, until in self._due.items() if until <= now]

    def __iter__(self) -> Iterator[OperationKey]:
        """The keys, those that were held or renewed first in front."""
        return iter(self._due)

    def oldest(self) -> OperationKey:
        """Return the key that was held or renewed first."""
        return next(iter(self))

    def take(self, key: OperationKey) -> list[WriteOperation]:
        """See `HeldOperations.take`."""
        del self._due[key]
        return super().take(key)
