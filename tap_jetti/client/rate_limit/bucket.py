"""The arithmetic of the leaky bucket, and the protocol that every store of buckets implements.

The algorithm is the generic cell rate algorithm (GCRA). A bucket is one number, its theoretical arrival time (TAT): the
time at which it will have drained. A caller reserves its slot by moving the TAT on by the time that its cost takes to
drain, and may go when the bucket has drained far enough:

    start = max(now, blocked until, TAT + start offset)     start offset = (cost - burst) / rate
    TAT   = max(TAT, start) + increment                     increment    = cost / rate

A reserved slot is never returned or reassigned. So callers go in the order in which they asked, and each writes to the
store once. Callers that check, sleep and check again instead meet new ones each time, and may starve.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Protocol

MAX_DELAY = 3600.0
"""Seconds. No block is longer, and callers that are alive cannot fill a bucket more: one that is fuller is damaged."""


@dataclass(frozen=True)
class Reservation:
    """A slot in the queue of a bucket.

    Attributes:
        wait: Seconds from now until the caller may go.
        level: Seconds that the bucket takes to drain from that time on, the caller's own cost included.
        total_delay: What `Level.total_delay` was when the slot was reserved.
        source: The store of the bucket.
    """

    wait: float
    level: float
    total_delay: float
    source: str


@dataclass(frozen=True)
class Level:
    """How full a bucket is.

    Attributes:
        empty_in: Seconds until it has drained; negative if it has.
        blocked_in: Seconds until the last block ends; negative if it has.
        total_delay: Seconds by which reserved slots have been moved back since the bucket was created, all together.
        source: The store of the bucket.
    """

    empty_in: float
    blocked_in: float
    total_delay: float
    source: str


class BucketStore(Protocol):
    """Where a bucket is kept. Each method is atomic for all who share the store, and raises `StoreError`."""

    def reserve(self, increment: float, start_offset: float) -> Reservation:
        """Reserve the next slot.

        Args:
            increment: Seconds that the cost takes to drain.
            start_offset: Seconds between the time at which the bucket has drained and the slot; negative: before.
        """
        ...

    def block(self, seconds: float, capacity: float) -> None:
        """Let nobody go for `seconds`, and count the bucket as full.

        Args:
            seconds: How long.
            capacity: Seconds that a full bucket takes to drain.
        """
        ...

    def delay(self, reservation: Reservation, seconds: float) -> None:
        """Move all reserved slots back, until they have moved by `seconds` since `reservation` was made.

        What has moved them since then counts. So several callers that ask for the same delay do not add up, and
        neither do a delay and a block.
        """
        ...

    def peek(self) -> Level:
        """Read the level without writing."""
        ...

    def close(self) -> None:
        """Close files and connections; a later call opens them again."""
        ...


@dataclass(frozen=True)
class Bucket:
    """One bucket. All times are seconds on the clock of the store.

    Attributes:
        tat: The theoretical arrival time: when the bucket will have drained.
        blocked_until: When the last block ends.
        total_delay: Seconds by which reserved slots have been moved back, all together.
        written_at: When the bucket was last written.
    """

    tat: float
    blocked_until: float
    total_delay: float
    written_at: float

    @classmethod
    def empty(cls, now: float) -> Bucket:
        """Return an empty bucket."""
        return cls(tat=now, blocked_until=now, total_delay=0.0, written_at=now)

    def at(self, now: float) -> Bucket:
        """Return the bucket at a time that may be before its last write: the clock may have been set back.

        How much time has passed since that write is then unknown, and counts as none. So reserved slots stay reserved,
        and nobody waits longer than before the clock was set.
        """
        set_back = max(0.0, self.written_at - now)
        blocked_until = self.blocked_until - set_back
        if blocked_until > now + MAX_DELAY:
            blocked_until = now
        return Bucket(self.tat - set_back, blocked_until, self.total_delay, now)

    def reserve(self, now: float, increment: float, start_offset: float) -> tuple[Bucket, float]:
        """Return the bucket with one more slot reserved, and the seconds until that slot."""
        bucket = self.at(now)
        tat = bucket.tat
        # A damaged bucket counts as empty. One that is blocked, or filled by costly requests, may well be this full.
        if tat > max(now, bucket.blocked_until) + max(MAX_DELAY, 100 * increment):
            tat = now
        start = max(now, bucket.blocked_until, tat + start_offset)
        tat = max(tat, start) + increment
        return Bucket(tat, bucket.blocked_until, bucket.total_delay, now), start - now

    def blocked(self, now: float, seconds: float, capacity: float) -> Bucket:
        """Return the bucket after a block.

        All reserved slots move back by the same time, which keeps their order and their distance. If they only waited
        for the end of the block, they would all go at once then. A block during another one adds what it ends later.
        """
        bucket = self.at(now)
        until = max(bucket.blocked_until, now + min(seconds, MAX_DELAY))
        delay = until - max(bucket.blocked_until, now)
        tat = max(max(bucket.tat, now) + delay, now + capacity)
        return Bucket(tat, until, bucket.total_delay + delay, now)

    def delayed(self, now: float, total_delay: float, seconds: float) -> Bucket:
        """Return the bucket with its slots moved back by `seconds` since its total delay was `total_delay`."""
        bucket = self.at(now)
        # Never by more than `seconds`: a store that lost its bucket since then starts again with a total of 0.
        delay = min(max(0.0, total_delay + seconds - bucket.total_delay), seconds)
        return Bucket(max(bucket.tat, now) + delay, bucket.blocked_until, bucket.total_delay + delay, now)

    def reservation(self, wait: float, source: str) -> Reservation:
        """Return the slot that the last write reserved, `wait` seconds after that write."""
        return Reservation(wait, self.tat - self.written_at - wait, self.total_delay, source)

    def level(self, now: float, source: str) -> Level:
        """Return how full the bucket is."""
        bucket = self.at(now)
        return Level(bucket.tat - now, bucket.blocked_until - now, bucket.total_delay, source)


class ProcessLock:
    """A lock that is free in a forked child, even if a thread of the parent held it during the fork."""

    def __init__(self) -> None:
        """Start free."""
        self._locks = {os.getpid(): threading.Lock()}

    def current(self) -> threading.Lock:
        """Return the lock of this process."""
        pid = os.getpid()
        lock = self._locks.get(pid)
        return lock if lock is not None else self._locks.setdefault(pid, threading.Lock())
