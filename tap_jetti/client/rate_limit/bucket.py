"""The leaky bucket's arithmetic, and what a store of buckets must do.

A bucket is the time at which it will have drained. A caller takes its slot by moving that time on by the time its
cost takes to drain, and goes when the bucket has drained far enough: the generic cell rate algorithm (GCRA), with

    start    = max(now, blocked until, empty at + lead)      lead   = (cost - burst) / rate
    empty at = max(empty at, start) + charge                 charge = cost / rate

A slot taken is never taken back or given to another, so callers go in the order they asked, each after one write. A
caller that instead looks, sleeps and looks again meets whoever came in the meantime, and can do so for ever.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Protocol

HORIZON = 3600.0
"""Seconds. No penalty is longer, and no bucket of living callers is fuller, so one that is was damaged."""


@dataclass(frozen=True)
class Reservation:
    """A place in the queue.

    Attributes:
        wait: Seconds from now until the caller may go.
        level: Seconds that the bucket takes to drain from then on, with the caller's own charge.
        pushed: What `Level.pushed` was when the slot was taken.
        source: The store it was taken from.
    """

    wait: float
    level: float
    pushed: float
    source: str


@dataclass(frozen=True)
class Level:
    """How full a bucket is.

    Attributes:
        empty_in: Seconds until it has drained; negative if it has.
        blocked_in: Seconds until the last penalty ends; negative if it has.
        pushed: Seconds by which the slots that were waiting have been moved back, all in all.
        source: The store it was read from.
    """

    empty_in: float
    blocked_in: float
    pushed: float
    source: str


class BucketStore(Protocol):
    """Where a bucket is kept. Each method is atomic for all who share the store and raises `StoreError`."""

    def reserve(self, charge: float, lead: float) -> Reservation:
        """Take the next slot.

        Args:
            charge: Seconds the cost takes to drain.
            lead: Seconds after the bucket has drained at which the caller may go; negative: before.
        """
        ...

    def block(self, seconds: float, fill: float) -> None:
        """Let nobody go for `seconds`, and count the bucket as full, that is, as needing `fill` seconds to drain."""
        ...

    def delay(self, reservation: Reservation, seconds: float) -> None:
        """Move all who wait back, until that is `seconds` since `reservation` was taken.

        So neither many who ask for the same add up, nor one of them and a penalty.
        """
        ...

    def peek(self) -> Level:
        """Read the bucket without writing."""
        ...

    def close(self) -> None:
        """Let go of files and connections; a later call opens them again."""
        ...


@dataclass(frozen=True)
class Bucket:
    """One bucket; all times are seconds on the clock of the store that keeps it.

    Attributes:
        tat: The theoretical arrival time: when it will have drained.
        blocked_until: When the last penalty ends.
        pushed: Seconds by which the slots that were waiting have been moved back, all in all.
        seen: When it was last written.
    """

    tat: float
    blocked_until: float
    pushed: float
    seen: float

    @classmethod
    def fresh(cls, now: float) -> Bucket:
        """Return an empty bucket."""
        return cls(tat=now, blocked_until=now, pushed=0.0, seen=now)

    def settled(self, now: float) -> Bucket:
        """Return the bucket as it is now, on a clock that may have been set back.

        The time since the last write is then unknown. Counting it as none keeps the slots that were taken, and makes
        nobody wait longer than before the clock was set.
        """
        back = max(0.0, self.seen - now)
        blocked_until = self.blocked_until - back
        if blocked_until > now + HORIZON:
            blocked_until = now
        return Bucket(self.tat - back, blocked_until, self.pushed, now)

    def reserve(self, now: float, charge: float, lead: float) -> tuple[Bucket, float]:
        """Return the bucket with one more slot taken, and the seconds until that slot."""
        bucket = self.settled(now)
        tat = bucket.tat
        if tat > max(now, bucket.blocked_until) + max(HORIZON, 100 * charge):
            tat = now
        start = max(now, bucket.blocked_until, tat + lead)
        tat = max(tat, start) + charge
        return Bucket(tat, bucket.blocked_until, bucket.pushed, now), start - now

    def blocked(self, now: float, seconds: float, fill: float) -> Bucket:
        """Return the bucket after a penalty.

        The slots that wait all move by the same time, which keeps their order and their distance: were they only held
        until the penalty ends, they would all go at once then. A penalty within another adds what it ends later.
        """
        bucket = self.settled(now)
        until = max(bucket.blocked_until, now + min(seconds, HORIZON))
        push = until - max(bucket.blocked_until, now)
        tat = max(max(bucket.tat, now) + push, now + fill)
        return Bucket(tat, until, bucket.pushed + push, now)

    def delayed(self, now: float, since: float, seconds: float) -> Bucket:
        """Return the bucket with its slots moved back by `seconds` at most, since `pushed` was `since`."""
        bucket = self.settled(now)
        push = min(max(0.0, since + seconds - bucket.pushed), seconds)
        return Bucket(max(bucket.tat, now) + push, bucket.blocked_until, bucket.pushed + push, now)

    def reservation(self, wait: float, source: str) -> Reservation:
        """Return the slot that was taken last, `wait` seconds from when it was."""
        return Reservation(wait, self.tat - self.seen - wait, self.pushed, source)

    def level(self, now: float, source: str) -> Level:
        """Return how full the bucket is."""
        bucket = self.settled(now)
        return Level(bucket.tat - now, bucket.blocked_until - now, bucket.pushed, source)


class ProcessLock:
    """A lock that a forked child finds free, whoever held it in the parent."""

    def __init__(self) -> None:
        """Start free."""
        self._locks = {os.getpid(): threading.Lock()}

    def current(self) -> threading.Lock:
        """Return this process's lock."""
        pid = os.getpid()
        lock = self._locks.get(pid)
        return lock if lock is not None else self._locks.setdefault(pid, threading.Lock())
