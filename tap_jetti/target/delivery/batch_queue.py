"""The queue of batches, which keeps the order of each key across all of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_jetti.target.delivery.operations import Batch, OperationKey, WriteOperation


class BatchQueue:
    """Hands out batches, none before all earlier ones with a key in common are done.

    Not thread-safe: `Dispatcher` holds its lock around every call.
    """

    def __init__(self) -> None:
        self.ready: deque[Batch] = deque()
        """Closed batches that can be sent now."""
        self.unfinished = 0
        """The number of batches that are closed and not done."""
        self.size = 0
        """The approximate size of those in bytes."""
        self.latest: dict[OperationKey, Batch] = {}
        """The latest batch of each key that is not done, open or closed."""

    def add(self, batch: Batch, operation: WriteOperation) -> None:
        """Add an operation to an open batch, which then waits for an earlier batch with the same key."""
        key = operation.key
        earlier = self.latest.get(key)
        if earlier is not None and earlier not in batch.blockers:
            batch.blockers.add(earlier)
            earlier.followers.append(batch)
        self.latest[key] = batch
        batch.operations[key] = operation
        batch.size += operation.size

    def close(self, batch: Batch) -> None:
        """Take no more operations into a batch, and queue it."""
        batch.is_open = False
        self.unfinished += 1
        self.size += batch.size
        if not batch.blockers:
            self.ready.append(batch)

    def finish(self, batch: Batch) -> None:
        """Remove a batch that is done, and make those ready that waited for it alone."""
        self.unfinished -= 1
        self.size -= batch.size
        latest = self.latest
        for key in batch.operations:
            if latest.get(key) is batch:
                del latest[key]
        for follower in batch.followers:
            follower.blockers.remove(batch)
            if not follower.blockers and not follower.is_open:
                self.ready.append(follower)
