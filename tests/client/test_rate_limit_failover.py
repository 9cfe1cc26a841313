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
    """A bucket that can be lost."""

    lost = False
    asked = 0

    def reserve(self, increment: float, start_offset: float) -> Reservation:
        """Take the next slot."""
        self._ask()
        reservation = super().reserve(increment, start_offset)
        return replace(reservation, source="shared")

    def block(self, seconds: float, capacity: float) -> None:
        """Block the bucket."""
        self._ask()
        super().block(seconds, capacity)

    def peek(self) -> Level:
        """Read the bucket."""
        self._ask()
        level = super().peek()
        return type(level)(level.empty_in, level.blocked_in, level.total_delay, "shared")

    def _ask(self) -> None:
        self.asked += 1
        if self.lost:
            raise StoreError("The shared store is lost.")


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
    """Return the bucket that can be lost."""
    return SharedStore(clock)


@pytest.fixture
def limiter(clock: EventfulClock, shared: SharedStore) -> RateLimiter:
    """Return a limiter of 2 units a second and 2 at once that does with half of it by itself."""
    store = FailoverStore(shared, share=0.5, clock=clock, logger=LOGGER)
    return RateLimiter(store, rate=2, burst=2, clock=clock)


def test_no_burst_passes_while_stores_come_and_go(
    clock: EventfulClock, shared: SharedStore, limiter: RateLimiter
) -> None:
    """Neither losing the shared bucket nor finding it again lets more pass than the limit."""
    level, last = 0.0, clock.monotonic()
    for turn in range(600):
        if turn % 40 == 0:
            shared.lost = not shared.lost
        limiter.acquire()
        level = max(0.0, level - 2 * (clock.monotonic() - last)) + 1
        last = clock.monotonic()
        assert level <= 2


def test_the_own_bucket_starts_behind_the_slots_already_taken(shared: SharedStore, limiter: RateLimiter) -> None:
    """Callers that still wait for slots of the lost bucket go first."""
    ahead = max(reserve(limiter, 1) for _ in range(8))
    shared.lost = True
    assert reserve(limiter, 1) >= ahead + 0.5


def test_the_shared_bucket_is_taken_up_behind_the_own_slots(
    clock: EventfulClock, shared: SharedStore, limiter: RateLimiter
) -> None:
    """Callers that still wait for slots of the process's own bucket go before those of the shared one."""
    shared.lost = True
    reserve(limiter, 1)
    clock.advance(RECHECK_SECONDS)
    ahead = max(reserve(limiter, 1) for _ in range(8))
    shared.lost = False
    clock.advance(RECHECK_SECONDS)
    assert reserve(limiter, 1) >= max(0, ahead - RECHECK_SECONDS) + 0.5


def test_a_sleeper_whose_store_is_lost_is_not_moved_by_the_penalties_of_the_other(
    clock: EventfulClock, shared: SharedStore, limiter: RateLimiter
) -> None:
    """The process's own bucket may have had penalties, long over, that a slot of the shared one never met."""
    shared.lost = True
    limiter.block(500)
    clock.advance(1000)
    shared.lost = False
    for _ in range(5):
        reserve(limiter, 1)
    clock.events.append(lambda: setattr(shared, "lost", True))
    assert limiter.acquire().waited <= 5


def test_a_sleeper_whose_store_is_found_is_not_moved_by_the_penalties_of_the_other(
    clock: EventfulClock, shared: SharedStore, limiter: RateLimiter
) -> None:
    """The shared bucket may have had penalties, long over, that a slot of the process's own never met."""
    limiter.block(500)
    clock.advance(1000)
    shared.lost = True
    for _ in range(12):
        reserve(limiter, 1)
    clock.events += [lambda: reserve(limiter, 1), lambda: setattr(shared, "lost", False)]
    assert limiter.acquire().waited <= 15
    assert shared.asked > 3


def test_a_lost_store_is_not_asked_in_between(
    clock: EventfulClock, shared: SharedStore, limiter: RateLimiter, caplog: pytest.LogCaptureFixture
) -> None:
    """A lost store is asked once every few seconds, whatever passes, and the loss is told once."""
    shared.lost = True
    for _ in range(200):
        reserve(limiter, 0.001)
        limiter.idle_in()
        clock.advance(RECHECK_SECONDS / 50)
    assert shared.asked in range(4, 6)
    assert len(caplog.records) == 1


def test_each_loss_is_told(
    clock: EventfulClock, shared: SharedStore, limiter: RateLimiter, caplog: pytest.LogCaptureFixture
) -> None:
    """Every loss has its warning and every return its note."""
    caplog.set_level("INFO", LOGGER.name)
    for lost in (True, False, True, False):
        shared.lost = lost
        limiter.acquire()
        clock.advance(RECHECK_SECONDS)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"] * 2
