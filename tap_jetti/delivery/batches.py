"""Batches that wait, are ready, or in flight: the order of one key holds across all of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_jetti.delivery.items import Batch, Key


class BatchQueue:
    """Hands out batches, none before all earlier ones with a key in common are done.

    Not safe for threads by itself: `Delivery` holds its lock around every call.
    """

    def __init__(self) -> None:
        self.ready: deque[Batch] = deque()
        self.unfinished = 0
        """Batches put in and not done."""
        self.size = 0
        """Roughly the bytes of those."""
        self._last: dict[Key, Batch] = {}

    def put(self, batch: Batch) -> None:
        """Add a batch behind the earlier ones."""
        self.unfinished += 1
        self.size += batch.size
        last = self._last
        earlier = {id(found): found for key in batch.items if (found := last.get(key)) is not None}
        for found in earlier.values():
            found.followers.append(batch)
        batch.blockers = len(earlier)
        for key in batch.items:
            last[key] = batch
        if not batch.blockers:
            self.ready.append(batch)

    def done(self, batch: Batch) -> None:
        """Take a batch out, and free those that waited for it alone."""
        self.unfinished -= 1
        self.size -= batch.size
        last = self._last
        for key in batch.items:
            if last.get(key) is batch:
                del last[key]
        for follower in batch.followers:
            follower.blockers -= 1
            if not follower.blockers:
                self.ready.append(follower)
