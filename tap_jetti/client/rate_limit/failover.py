"""What stands in for a shared bucket while its store cannot be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.client.rate_limit.bucket import Level, ProcessLock, Reservation
from tap_jetti.client.rate_limit.memory import SOURCE, MemoryStore
from tap_jetti.errors import StoreError

if TYPE_CHECKING:
    import logging

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.rate_limit.bucket import BucketStore

RECHECK_SECONDS = 5.0
"""How often, at most, a lost store is asked whether it answers again."""


class FailoverStore:
    """Keeps to the shared bucket, and to one of this process's own while the shared one is lost.

    Neither switch lets a burst through: the bucket that takes over is blocked until the last slot
    taken from the other one, and counts as full then.

    Args:
        shared: The store that may be lost.
        share: Part of the rate that the process keeps to on its own, above 0 and up to 1.
        clock: The time.
        logger: Told once of each loss, and of each return.
    """

    def __init__(self, shared: BucketStore, *, share: float, clock: Clock, logger: logging.Logger) -> None:
        self._shared = shared
        self._share = share
        self._own = MemoryStore(clock)
        self._clock = clock
        self._logger = logger
        self._lock = ProcessLock()
        self._lost = False
        self._ask_at = 0.0
        self._last_start = clock.monotonic()
        self._depth = 0.0

    def reserve(self, charge: float, lead: float) -> Reservation:
        """Take the next slot of the bucket in charge."""
        # What a full bucket takes to drain; more only if the cost is larger than the bucket.
        self._depth = min(self._depth or charge - lead, charge - lead)
        if self._shared_answers():
            try:
                return self._noted(self._shared.reserve(charge, lead))
            except StoreError as error:
                self._lose(error)
        return self._noted(self._own.reserve(charge / self._share, lead / self._share))

    def block(self, seconds: float, fill: float) -> None:
        """Block the bucket in charge."""
        if self._shared_answers():
            try:
                self._shared.block(seconds, fill)
            except StoreError as error:
                self._lose(error)
            else:
                return
        self._own.block(seconds, fill / self._share)

    def delay(self, reservation: Reservation, seconds: float) -> None:
        """Move all who wait back in the bucket that the slot is of; the shared one's may be lost, and is then left."""
        if reservation.source == SOURCE:
            self._own.delay(reservation, seconds)
        elif not self._lost:
            try:
                self._shared.delay(reservation, seconds)
            except StoreError as error:
                self._lose(error)

    def peek(self) -> Level:
        """Read the bucket in charge."""
        if not self._lost:
            try:
                return self._shared.peek()
            except StoreError as error:
                self._lose(error)
        return self._own.peek()

    def close(self) -> None:
        """Close the shared store."""
        self._shared.close()

    def _noted(self, reservation: Reservation) -> Reservation:
        self._last_start = max(self._last_start, self._clock.monotonic() + reservation.wait)
        return reservation

    def _outstanding(self) -> float:
        """Return the seconds until the last slot taken."""
        return max(0.0, self._last_start - self._clock.monotonic())

    def _lose(self, error: StoreError) -> None:
        with self._lock.current():
            if self._lost:
                return
            taken = self._outstanding()
            self._own.block(taken, taken + self._depth / self._share)
            self._ask_at = self._clock.monotonic() + RECHECK_SECONDS
            self._lost = True
        self._logger.warning(
            "%s Until it can be used this process keeps to %g %% of the rate by itself.",
            error,
            100 * self._share,
        )

    def _shared_answers(self) -> bool:
        """Return whether the shared bucket is in charge, after asking a lost one if it is time to."""
        with self._lock.current():
            if not self._lost:
                return True
            if self._clock.monotonic() < self._ask_at:
                return False
            self._ask_at = self._clock.monotonic() + RECHECK_SECONDS
        try:
            taken = self._outstanding()
            self._shared.block(taken, taken + self._depth)
        except StoreError:
            self._ask_at = self._clock.monotonic() + RECHECK_SECONDS
            return False
        self._lost = False
        self._logger.info("The shared rate limit can be used again.")
        return True
