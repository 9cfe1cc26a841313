"""A store that replaces a shared store while that store fails."""

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
"""Seconds between two attempts to use a failed store again."""


class FailoverStore:
    """Uses the shared bucket, and a local one of this process while the shared store fails.

    A switch never allows a burst: the bucket that takes over is blocked until the last slot that was reserved in the
    other bucket, and counts as full then.

    Args:
        shared: The store that may fail.
        share: The part of the rate that this process uses alone, above 0 and up to 1. Other processes may be alone too.
        clock: The clock of the local bucket.
        logger: The logger for each failure and each recovery.
    """

    def __init__(self, shared: BucketStore, *, share: float, clock: Clock, logger: logging.Logger) -> None:
        self._shared = shared
        self._share = share
        self._local = MemoryStore(clock, share=share)
        self._clock = clock
        self._logger = logger
        self._lock = ProcessLock()
        self._has_failed = False
        self._recheck_at = 0.0
        self._last_slot_at = clock.monotonic()
        self._capacity = 0.0

    def reserve(self, increment: float, start_offset: float) -> Reservation:
        """Reserve the next slot of the current bucket."""
        # increment - start offset = burst / rate, so this is the capacity in seconds, which no caller tells. It is
        # larger for a cost above the burst; hence the smallest that was seen.
        capacity = increment - start_offset
        self._capacity = min(self._capacity or capacity, capacity)
        if self._can_use_shared():
            try:
                return self._remember(self._shared.reserve(increment, start_offset))
            except StoreError as error:
                self._fail_over(error)
        return self._remember(self._local.reserve(increment, start_offset))

    def block(self, seconds: float, capacity: float) -> None:
        """Block the current bucket."""
        if self._can_use_shared():
            try:
                self._shared.block(seconds, capacity)
            except StoreError as error:
                self._fail_over(error)
            else:
                return
        self._local.block(seconds, capacity)

    def delay(self, reservation: Reservation, seconds: float) -> None:
        """Move the slots of the bucket that `reservation` is of. Nothing happens if that is a shared one that fails."""
        # Total delays of different buckets cannot be compared, so the other bucket must not be moved.
        if reservation.source == SOURCE:
            self._local.delay(reservation, seconds)
        elif not self._has_failed:
            try:
                self._shared.delay(reservation, seconds)
            except StoreError as error:
                self._fail_over(error)

    def peek(self) -> Level:
        """Read the level of the current bucket."""
        if not self._has_failed:
            try:
                return self._shared.peek()
            except StoreError as error:
                self._fail_over(error)
        return self._local.peek()

    def close(self) -> None:
        """Close the shared store."""
        self._shared.close()

    def _remember(self, reservation: Reservation) -> Reservation:
        """Remember the last slot, which the other bucket has to wait for after a switch."""
        self._last_slot_at = max(self._last_slot_at, self._clock.monotonic() + reservation.wait)
        return reservation

    def _until_last_slot(self) -> float:
        """Return the seconds until the last slot that was reserved in either bucket."""
        return max(0.0, self._last_slot_at - self._clock.monotonic())

    def _fail_over(self, error: StoreError) -> None:
        """Switch to the local bucket, and say so once."""
        with self._lock.current():
            if self._has_failed:  # another thread was faster
                return
            wait = self._until_last_slot()
            # The local bucket drains at its share of the rate, so it stretches a capacity; but not the wait.
            self._local.block(wait, wait * self._share + self._capacity)
            self._recheck_at = self._clock.monotonic() + RECHECK_SECONDS
            self._has_failed = True
        self._logger.warning(
            "%s Until it works again, this process continues alone at %g %% of the rate.",
            error,
            100 * self._share,
        )

    def _can_use_shared(self) -> bool:
        """Return whether the shared bucket is the current one. A failed store is tried again from time to time."""
        with self._lock.current():
            if not self._has_failed:
                return True
            if self._clock.monotonic() < self._recheck_at:
                return False
            # Set before the attempt, which may take seconds, so that no other thread makes it meanwhile.
            self._recheck_at = self._clock.monotonic() + RECHECK_SECONDS
        try:
            wait = self._until_last_slot()
            self._shared.block(wait, wait + self._capacity)
        except StoreError:
            self._recheck_at = self._clock.monotonic() + RECHECK_SECONDS
            return False
        self._has_failed = False
        self._logger.info("The shared rate limit works again.")
        return True
