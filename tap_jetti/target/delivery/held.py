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
    """

    def __init__(self) -> None:
        self.size = 0
        self._queues: dict[OperationKey, list[WriteOperation]] = {}

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._queues)

    def __contains__(self, key: OperationKey) -> bool:
        """Whether operations of a key wait here."""
        return key in self._queues

    def __iter__(self) -> Iterator[OperationKey]:
        """The keys, in the order of arrival of their first operations."""
        return iter(self._queues)

    def add(self, operation: WriteOperation) -> None:
        """Add an operation behind those of its key, or merge it with them."""
        self.size += operation.size
        queue = self._queues.setdefault(operation.key, [])
        # A removal makes everything before it unnecessary, so more than one operation may be merged.
        while queue and operation.action.can_merge(queue[-1], operation):
            queue[-1].merge(operation)
            operation = queue.pop()
        queue.append(operation)

    def take(self, key: OperationKey) -> list[WriteOperation]:
        """Remove the operations of a key, and return them in order."""
        queue = self._queues.pop(key)
        self.size = self.size - sum(operation.size for operation in queue) if self._queues else 0
        return queue

    def take_all(self) -> list[WriteOperation]:
        """Remove all operations, and return them; those of one key are in order."""
        queues, self._queues, self.size = self._queues, {}, 0
        return [operation for queue in queues.values() for operation in queue]

    def first(self, key: OperationKey) -> WriteOperation:
        """Return the first operation of a key."""
        return self._queues[key][0]
