"""Batches that are open, wait, are ready, or in flight: the order of one key holds across all of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_jetti.target.delivery.operations import Batch, Key, WriteOperation


class BatchQueue:
    """Hands out batches, none before all earlier ones with a key in common are done.

    Not safe for threads by itself: `Dispatcher` holds its lock around every call.
    """

    def __init__(self) -> None:
        self.ready: deque[Batch] = deque()
        self.unfinished = 0
        """Batches that are closed and not done."""
        self.size = 0
        """Roughly the bytes of those."""
        self.last: dict[Key, Batch] = {}
        """The last batch of each key that is not done; an open one, too."""

    def enter(self, batch: Batch, operation: WriteOperation) -> None:
        """Put an item into an open batch, which waits for an earlier one with its key."""
        key = operation.key
        earlier = self.last.get(key)
        if earlier is not None and earlier not in batch.blockers:
            batch.blockers.add(earlier)
            earlier.followers.append(batch)
        self.last[key] = batch
        batch.operations[key] = operation
        batch.size += operation.size

    def close(self, batch: Batch) -> None:
        """Take no more items into a batch, and put it behind the earlier ones."""
        batch.is_open = False
        self.unfinished += 1
        self.size += batch.size
        if not batch.blockers:
            self.ready.append(batch)

    def done(self, batch: Batch) -> None:
        """Take a batch out, and free those that waited for it alone."""
        self.unfinished -= 1
        self.size -= batch.size
        last = self.last
        for key in batch.operations:
            if last.get(key) is batch:
                del last[key]
        for follower in batch.followers:
            follower.blockers.remove(batch)
            if not follower.blockers and not follower.is_open:
                self.ready.append(follower)
