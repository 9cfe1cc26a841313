"""A bucket for the threads of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.client.rate_limit.bucket import Bucket, ProcessLock

if TYPE_CHECKING:
    from tap_jetti.client.clock import Clock
    from tap_jetti.client.rate_limit.bucket import Level, Reservation

SOURCE = "memory"


class MemoryStore:
    """Keeps the bucket in this object. A forked child continues with its own copy.

    Args:
        clock: The clock of the bucket.
        share: The part of the rate that this process uses, above 0 and up to 1.
    """

    def __init__(self, clock: Clock, *, share: float = 1.0) -> None:
        self._clock = clock
        self._share = share
        self._lock = ProcessLock()
        self._bucket = Bucket.empty(clock.monotonic())

    def reserve(self, increment: float, start_offset: float) -> Reservation:
        """Reserve the next slot."""
        # At a part of the rate, all that takes time to drain takes longer by the same factor.
        increment, start_offset = increment / self._share, start_offset / self._share
        with self._lock.current():
            self._bucket, wait = self._bucket.reserve(self._clock.monotonic(), increment, start_offset)
            return self._bucket.reservation(wait, SOURCE)

    def block(self, seconds: float, capacity: float) -> None:
        """Let nobody go for `seconds`, and count the bucket as full."""
        with self._lock.current():
            self._bucket = self._bucket.blocked(self._clock.monotonic(), seconds, capacity / self._share)

    def delay(self, reservation: Reservation, seconds: float) -> None:
        """Move all reserved slots back, until they have moved by `seconds` since `reservation` was made."""
        with self._lock.current():
            self._bucket = self._bucket.delayed(self._clock.monotonic(), reservation.total_delay, seconds)

    def peek(self) -> Level:
        """Read the level."""
        with self._lock.current():
            return self._bucket.level(self._clock.monotonic(), SOURCE)

    def close(self) -> None:
        """Do nothing: the bucket has no file and no connection."""
