"""Whatever a server does, the readers lose nothing, end, and say "proven" only where they have all."""

from __future__ import annotations

import random

import pytest

from account_plays import play_account
from cooperative_threads import Clock, Condition, Deadlock, Thread, Threads
from invariants import Violation
from jetti_model import START
from model_network import ServerBucket
from prefetch_plays import play_prefetch
from schedules import PLAYS, play
from tap_jetti.client.rate_limit import MemoryStore, RateLimiter

SCHEDULES = {
    "honest": 220,
    "lies": 160,
    "mixed": 160,
    "by-id": 140,
    "snapshots": 100,
    "account": 100,
    "prefetch-quiet": 60,
    "prefetch-busy": 60,
    "writing": 1000,
}
"""How many schedules of each kind are played: 1,000 of reading and 1,000 of writing."""

PARTS = 2
"""Each kind is played in so many tests, for as many workers."""


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedules(kind: str, part: int) -> None:
    """No schedule breaks an invariant. `make soak` plays more of them."""
    count = SCHEDULES[kind] // PARTS
    result = play(kind, part * count, count)
    assert not result.violations, "\n".join(result.violations)
    assert result.tally.schedules == count


def test_all_kinds_are_played() -> None:
    """A thousand schedules of reading and a thousand of writing, of every kind there is."""
    assert SCHEDULES.keys() == PLAYS.keys()
    assert sum(SCHEDULES.values()) == 2000


@pytest.mark.parametrize("kind", PLAYS)
def test_a_seed_tells_all(kind: str) -> None:
    """A schedule that is played again does the same, threads included, so that a violation can be looked into."""
    for seed in (3, 16):
        assert PLAYS[kind](seed) == PLAYS[kind](seed)


def test_schedules_meet_what_they_are_for() -> None:
    """Runs are killed and fail, ends are trusted and unproven, rows are late, threads replace each other."""
    tally = play("mixed", 0, 150).tally
    assert min(tally.killed, tally.failed, tally.late) > 0
    assert {"proven", "trusted", "unproven"} <= tally.by_proof.keys()
    assert play_account(7).gets > 0
    assert sum(play_prefetch("busy", seed).switches for seed in range(20)) > 500
    writing = play("writing", 0, 60).tally
    assert min(writing.killed, writing.failed, writing.late) > 0
    assert writing.switches > 500


def test_a_bucket_above_its_level_is_a_violation() -> None:
    """The check of the rate limit notices a request too many."""
    bucket = ServerBucket(rate=2.0, burst=3.0)
    for _ in range(3):
        bucket.add(100.0)
    bucket.add(100.5)
    with pytest.raises(Violation, match=r"4\.000 units in a bucket of 3"):
        bucket.add(100.5)


class TestCooperativeThreads:
    """One thread runs at a time, and time passes while all wait."""

    def test_they_take_turns(self) -> None:
        """In an order that the seed decides."""
        orders = set()
        for seed in range(20):
            threads = Threads(random.Random(seed))
            clock, order = Clock(threads, wall=START), list[int]()

            def work(number: int, clock: Clock = clock, order: list[int] = order) -> None:
                for _ in range(3):
                    clock.sleep(0)
                    order.append(number)

            started = [
                Thread(threads, target=lambda number=number: work(number), name="", daemon=True)  # type: ignore[misc]
                for number in range(3)
            ]
            for thread in started:
                thread.start()
            for thread in started:
                thread.join(10)
            assert sorted(order) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
            assert threads.alive == 0
            orders.add(tuple(order))
        assert len(orders) > 10

    def test_a_sleep_takes_virtual_time(self) -> None:
        """And a wait ends at its time, or when it is notified."""
        threads = Threads(random.Random(1))
        clock, condition = Clock(threads, wall=START), Condition(threads)

        def wake() -> None:
            clock.sleep(5)
            with condition:
                condition.notify_all()

        thread = Thread(threads, target=wake, name="", daemon=True)
        thread.start()
        began = clock.monotonic()
        with condition:
            assert not clock.wait(condition, 2)
            assert clock.monotonic() - began == pytest.approx(2)
            assert clock.wait(condition)
        assert clock.monotonic() - began == pytest.approx(5)

    def test_a_deadlock_is_noticed(self) -> None:
        """All wait, and nobody is there to wake them."""
        threads = Threads(random.Random(1))
        condition = Condition(threads)
        with pytest.raises(Deadlock), condition:
            condition.wait(None)


@pytest.mark.parametrize("seed", range(10))
def test_threads_that_share_a_limiter_never_fill_the_bucket(seed: int) -> None:
    """Whichever of them is replaced by another between reading the bucket and writing it."""
    threads = Threads(random.Random(seed))
    with threads.replaced():
        clock = Clock(threads, wall=START)
        limiter = RateLimiter(MemoryStore(clock), rate=10, burst=5, clock=clock)
    sent: list[float] = []

    def work() -> None:
        for _ in range(10):
            limiter.acquire()
            sent.append(threads.now)

    started = [Thread(threads, target=work, name="", daemon=True) for _ in range(5)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(60)
    bucket = ServerBucket(rate=10, burst=5)
    for at in sent:
        bucket.add(at)
    assert len(sent) == 50
