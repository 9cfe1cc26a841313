"""A bucket for the threads of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.client.rate_limit.bucket import Bucket, ProcessLock

if TYPE_CHECKING:
    from tap_jetti.client.clock import Clock
    from tap_jetti.client.rate_limit.bucket import Level, Reservation

SOURCE = "memory"


class MemoryStore:
    """Keeps the bucket in this object. A forked child goes on with a copy of its own.

    Args:
        clock: The time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = ProcessLock()
        self._bucket = Bucket.fresh(clock.monotonic())

    def reserve(self, charge: float, lead: float) -> Reservation:
        """Take the next slot."""
        with self._lock.current():
            self._bucket, wait = self._bucket.reserve(self._clock.monotonic(), charge, lead)
            return self._bucket.reservation(wait, SOURCE)

    def block(self, seconds: float, fill: float) -> None:
        """Let nobody go for `seconds`, and count the bucket as full."""
        with self._lock.current():
            self._bucket = self._bucket.blocked(self._clock.monotonic(), seconds, fill)

    def delay(self, reservation: Reservation, seconds: float) -> None:
        """Move all who wait back until that is `seconds` since a slot was taken."""
        with self._lock.current():
            self._bucket = self._bucket.delayed(self._clock.monotonic(), reservation.pushed, seconds)

    def peek(self) -> Level:
        """Read the bucket."""
        with self._lock.current():
            return self._bucket.level(self._clock.monotonic(), SOURCE)

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
