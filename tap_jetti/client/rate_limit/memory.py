"""A bucket for the threads of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.client.rate_limit.bucket import Bucket, ProcessLock

if TYPE_CHECKING:
    from tap_jetti.client.clock import Clock
    from tap_jetti.client.rate_limit.bucket import Level, Slot

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

    def reserve(self, charge: float, lead: float) -> Slot:
        """Take the next slot."""
        with self._lock.current():
            self._bucket, wait = self._bucket.reserve(self._clock.monotonic(), charge, lead)
            return self._bucket.slot(wait, SOURCE)

    def penalise(self, seconds: float, fill: float) -> None:
        """Let nobody go for `seconds`, and count the bucket as full."""
        with self._lock.current():
            self._bucket = self._bucket.penalised(self._clock.monotonic(), seconds, fill)

    def hold_back(self, slot: Slot, seconds: float) -> None:
        """Move all who wait back until that is `seconds` since a slot was taken."""
        with self._lock.current():
            self._bucket = self._bucket.held_back(self._clock.monotonic(), slot.pushed, seconds)

    def look(self) -> Level:
        """Read the bucket."""
        with self._lock.current():
            return self._bucket.level(self._clock.monotonic(), SOURCE)

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
