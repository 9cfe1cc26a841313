from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from reservations import reserve

from tap_jetti.client.clock import VirtualClock
from tap_jetti.client.rate_limit import MemoryStore, RateLimiter
from tap_jetti.client.rate_limit.failover import RECHECK_SECONDS, FailoverStore
from tap_jetti.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.rate_limit.bucket import Level, Reservation

LOGGER = logging.getLogger("rate_limit")


class SharedStore(MemoryStore):
    """A store that can fail."""

    lost = False
    asked = 0

    def reserve(self, increment: float, start_offset: float) -> Reservation:
        """Reserve the next slot."""
        self._ask()
        reservation = super().reserve(increment, start_offset)
        return replace(reservation, source="shared")

    def block(self, seconds: float, capacity: float) -> None:
        """Block the bucket."""
        self._ask()
        super().block(seconds, capacity)

    def peek(self) -> Level:
        """Read the level."""
        self._ask()
        level = super().peek()
        return type(level)(level.empty_in, level.blocked_in, level.total_delay, "shared")

    def _ask(self) -> None:
        self.asked += 1
        if self.lost:
            raise StoreError("The shared store failed.")


class EventfulClock(VirtualClock):
    """A clock on which something happens at the end of the next sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Callable[[], None]] = []

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        super().sleep(seconds)
        while self.events:
            self.events.pop()()


@pytest.fixture
def clock() -> EventfulClock:
    """Return the time."""
    return EventfulClock()


@pytest.fixture
def shared(clock: EventfulClock) -> SharedStore:
    """Return the store that can fail."""
    return SharedStore(clock)


@pytest.fixture
def limiter(clock: EventfulClock, shared: SharedStore) -> RateLimiter:
    """Return a limiter of 2 units per second and 2 at once, which continues alone at half of it."""
    store = FailoverStore(shared, share=0.5, clock=clock, logger=LOGGER)
    return RateLimiter(store, rate=2, burst=2, clock=clock)


def test_no_burst_passes_while_stores_come_and_go(
    clock: EventfulClock, shared: SharedStore, limiter: RateLimiter
) -> None:
    """The limit holds when the shared store fails, and when it works again."""
    level, last = 0.0, clock.monotonic()
    for turn in range(600):
        if turn % 40 == 0:
            shared.lost = not shared.lost
        limiter.acquire()
        level = max(0.0, level - 2 * (clock.monotonic() - last)) + 1
        last = clock.monotonic()
        assert level <= 2


def test_the_local_bucket_starts_behind_the_reserved_slots(shared: SharedStore, limiter: RateLimiter) -> None:
    """Callers that still wait for slots of the shared bucket go first."""
    ahead = max(reserve(limiter, 1) for _ in range(8))
    shared.lost = True
    assert reserve(limiter, 1) >= ahead + 0.5


def test_the_shared_bucket_continues_behind_the_local_slots(
    clock: EventfulClock, shared: SharedStore, limiter: RateLimiter
) -> None:
    """Callers that still wait for slots of the local bucket go before those of the shared one."""
    shared.lost = True
    reserve(limiter, 1)
    clock.advance(RECHECK_SECONDS)
    ahead = max(reserve(limiter, 1) for _ in range(8))
    shared.lost = False
    clock.advance(RECHECK_SECONDS)
    assert reserve(limiter, 1) >= max(0, ahead - RECHECK_SECONDS) + 0.5


def test_a_sleeper_whose_store_fails_is_not_moved_by_blocks_of_the_other(
    clock: EventfulClock, shared: SharedStore, limiter: RateLimiter
) -> None:
    """Blocks of the local bucket that ended long ago do not move a slot of the shared one."""
    shared.lost = True
    limiter.block(500)
    clock.advance(1000)
    shared.lost = False
    for _ in range(5):
        reserve(limiter, 1)
    clock.events.append(lambda: setattr(shared, "lost", True))
    assert limiter.acquire().waited <= 5


def test_a_sleeper_whose_store_works_again_is_not_moved_by_blocks_of_the_other(
    clock: EventfulClock, shared: SharedStore, limiter: RateLimiter
) -> None:
    """Blocks of the shared bucket that ended long ago do not move a slot of the local one."""
    limiter.block(500)
    clock.advance(1000)
    shared.lost = True
    for _ in range(12):
        reserve(limiter, 1)
    clock.events += [lambda: reserve(limiter, 1), lambda: setattr(shared, "lost", False)]
    assert limiter.acquire().waited <= 15
    assert shared.asked > 3


def test_a_failed_store_is_not_tried_in_between(
    clock: EventfulClock, shared: SharedStore, limiter: RateLimiter, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed store is tried once every few seconds, whatever the load, and the failure is logged once."""
    shared.lost = True
    for _ in range(200):
        reserve(limiter, 0.001)
        limiter.idle_in()
        clock.advance(RECHECK_SECONDS / 50)
    assert shared.asked in range(4, 6)
    assert len(caplog.records) == 1


def test_each_failure_is_logged(
    clock: EventfulClock, shared: SharedStore, limiter: RateLimiter, caplog: pytest.LogCaptureFixture
) -> None:
    """Every failure has a warning, and every recovery an info."""
    caplog.set_level("INFO", LOGGER.name)
    for lost in (True, False, True, False):
        shared.lost = lost
        limiter.acquire()
        clock.advance(RECHECK_SECONDS)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"] * 2
