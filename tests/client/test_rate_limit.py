from __future__ import annotations

import heapq
import itertools
import logging
import math
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reservations import reserve

from tap_jetti.client.account import account_key
from tap_jetti.client.clock import SystemClock, VirtualClock
from tap_jetti.client.rate_limit import MemoryStore, RateLimiter, open_store
from tap_jetti.client.rate_limit.bucket import MAX_DELAY, Bucket
from tap_jetti.errors import Interrupted, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

LOGGER = logging.getLogger("rate_limit")
LEAST = 1e-6
"""Units or seconds by which sums of floating-point numbers may differ."""

costs = st.sampled_from([0.5, 1.0, 2.0])
pauses = st.one_of(st.just(0.0), st.floats(0, 0.2), st.floats(0, 20))


class ScriptedClock(VirtualClock):
    """A virtual clock with events that happen during a sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[float, Callable[[], None]]] = []

    def at(self, seconds: float, event: Callable[[], None]) -> None:
        """Let `event` happen `seconds` from now."""
        self.events.append((self.monotonic() + seconds, event))

    def sleep(self, seconds: float) -> None:
        """Sleep, and let the events happen meanwhile."""
        until = self.monotonic() + seconds
        for when, event in sorted(self.events, key=lambda pair: pair[0]):
            if when <= until:
                self.advance(max(0.0, when - self.monotonic()))
                self.events.remove((when, event))
                event()
        super().sleep(until - self.monotonic())


def play(
    limiters: list[RateLimiter], clock: VirtualClock, callers: list[list[tuple[float, float]]]
) -> list[tuple[float, float]]:
    """Run callers that each pause, wait for their slot and go, over and over.

    Returns:
        The time and the cost of each request, in the order of the reservations.
    """
    sent = []
    turns = [(clock.monotonic() + plan[0][0], caller, 0) for caller, plan in enumerate(callers) if plan]
    heapq.heapify(turns)
    while turns:
        now, caller, step = heapq.heappop(turns)
        clock.advance(max(0.0, now - clock.monotonic()))
        cost = callers[caller][step][1]
        go = clock.monotonic() + reserve(limiters[caller % len(limiters)], cost)
        sent.append((go, cost))
        if step + 1 < len(callers[caller]):
            heapq.heappush(turns, (go + callers[caller][step + 1][0], caller, step + 1))
    return sent


def most_over(sent: Iterable[tuple[float, float]], rate: float, burst: float) -> float:
    """Return by how many units the fullest window exceeds burst + rate * T, with a bucket that drains."""
    level = over = 0.0
    last = -math.inf
    for go, cost in sent:
        level = max(0.0, level - rate * (go - last)) + cost
        over = max(over, level - burst)
        last = go
    return over


def memory_limiter(rate: float = 2.0, burst: float = 2.0) -> tuple[RateLimiter, VirtualClock]:
    """Return a limiter with a bucket of its own, and its clock."""
    clock = VirtualClock()
    return RateLimiter(MemoryStore(clock), rate=rate, burst=burst, clock=clock), clock


@given(
    callers=st.lists(st.lists(st.tuples(pauses, costs), max_size=30), min_size=1, max_size=8),
    rate=st.floats(0.1, 50),
    burst=st.floats(2, 40),
)
def test_no_window_holds_more_than_the_limit(
    callers: list[list[tuple[float, float]]], rate: float, burst: float
) -> None:
    """For any callers, times and costs no T seconds hold more than burst + rate * T units; first come, first served."""
    limiter, clock = memory_limiter(rate, burst)
    sent = play([limiter], clock, callers)
    assert most_over(sent, rate, burst) <= LEAST
    assert all(earlier[0] <= later[0] + LEAST for earlier, later in itertools.pairwise(sent))


@given(plan=st.lists(st.tuples(pauses, st.sampled_from([1.0, 5.0, 40.0])), max_size=30), burst=st.floats(0.1, 3))
def test_a_cost_above_the_burst_passes_and_is_paid_off(plan: list[tuple[float, float]], burst: float) -> None:
    """A request larger than the bucket waits for an empty one, and those after it until it has drained."""
    limiter, clock = memory_limiter(2, burst)
    sent = play([limiter], clock, [plan])
    level = 0.0
    for (last, _), (go, cost) in itertools.pairwise([(-math.inf, 0.0), *sent]):
        level = max(0.0, level - 2 * (go - last))
        assert level + cost <= max(cost, burst) + LEAST
        level += cost


@given(
    work=st.lists(st.lists(st.sampled_from([0.5, 1.0, 1.5]), min_size=20, max_size=60), min_size=1, max_size=8),
    rate=st.floats(0.5, 50),
    burst=st.floats(2, 10),
)
def test_the_limit_is_used_up(work: list[list[float]], rate: float, burst: float) -> None:
    """Callers that are always busy take the ideal time, within 1 % and the margin of the burst."""
    limiter, clock = memory_limiter(rate, burst)
    start = clock.monotonic()
    sent = play([limiter], clock, [[(0.0, cost) for cost in plan] for plan in work])
    ideal = (sum(cost for _, cost in sent) - burst) / rate
    assert sent[-1][0] - start <= max(0.0, ideal) * 1.01 + 0.3 / rate + LEAST


def test_latency_costs_nothing_while_there_are_enough_callers() -> None:
    """Eight callers whose requests take two seconds each still use two units per second."""
    limiter, clock = memory_limiter()
    start = clock.monotonic()
    sent = play([limiter], clock, [[(2.0, 1.0)] * 50] * 8)
    assert sent[-1][0] - start <= 400 / 2 * 1.01 + 2


def test_requests_that_need_the_whole_bucket_lose_a_twentieth() -> None:
    """Writes at 2 of 2 units keep a twentieth of their time as a margin, because one that arrives early is refused."""
    limiter, _ = memory_limiter()
    spent = [limiter.acquire(2.0).waited for _ in range(101)]
    assert sum(spent) == pytest.approx(105, rel=0.005)


def test_all_callers_wait_alike() -> None:
    """With four busy callers, none waits longer than the time of four requests: nobody is overtaken."""
    clock = VirtualClock()
    waits = []

    class Noting(MemoryStore):
        def reserve(self, increment: float, start_offset: float):
            reservation = super().reserve(increment, start_offset)
            waits.append(reservation.wait)
            return reservation

    play([RateLimiter(Noting(clock), rate=2, burst=2, clock=clock)], clock, [[(0.0, 1.0)] * 50] * 4)
    assert max(waits) <= 4 / 2 * 1.01


def test_acquire_sleeps_until_its_slot_and_says_how_long() -> None:
    """The first request goes at once, and the permits of the others say how long they waited."""
    limiter, clock = memory_limiter()
    start = clock.monotonic()
    waits = [limiter.acquire().waited for _ in range(10)]
    assert waits[0] == 0
    assert clock.monotonic() - start == pytest.approx(sum(waits))
    assert 8.3 / 2 <= sum(waits) <= 8.3 / 2 * 1.01


class LateClock(VirtualClock):
    """A clock whose next sleep ends too late: the machine was busy, or the process was stopped."""

    late = 0.0

    def sleep(self, seconds: float) -> None:
        """Sleep for longer than was asked for, once."""
        late, self.late = self.late, 0.0
        super().sleep(seconds + late)


@pytest.mark.parametrize(("late", "idle_in"), [(0.1, 0.4), (0.14, 0.36), (0.2, 0.5), (12.0, 0.15)])
def test_a_slot_that_was_missed_is_not_used(late: float, idle_in: float) -> None:
    """Who comes late for its slot reserves another one: those behind it may be late, too, and all would go at once."""
    clock = LateClock()
    limiter = RateLimiter(MemoryStore(clock), rate=2, burst=2, clock=clock)
    limiter.acquire(2)
    clock.late = late
    limiter.acquire()
    assert limiter.idle_in() == pytest.approx(idle_in, abs=0.06)


def test_an_acquire_writes_once() -> None:
    """However long a caller waits, its reservation is its only write."""
    clock = VirtualClock()

    class Counting(MemoryStore):
        writes = 0

        def reserve(self, increment: float, start_offset: float):
            self.writes += 1
            return super().reserve(increment, start_offset)

    store = Counting(clock)
    limiter = RateLimiter(store, rate=2, burst=2, clock=clock)
    for _ in range(20):
        limiter.acquire()
    assert store.writes == 20


def test_idle_in_reserves_nothing() -> None:
    """`idle_in` says when a request could go, and does not change that."""
    limiter, clock = memory_limiter()
    assert limiter.idle_in() == 0
    limiter.acquire(5)
    wait = limiter.idle_in()
    assert wait > 2
    assert wait == limiter.idle_in()
    assert wait == pytest.approx(reserve(limiter, 1))
    clock.advance(60)
    assert limiter.idle_in() == 0


def test_a_block_stops_everybody() -> None:
    """After a 429 nobody goes for that long, and then one by one: the bucket was full."""
    limiter, clock = memory_limiter()
    limiter.block(10)
    start = clock.monotonic()
    assert limiter.idle_in() == pytest.approx(10)
    times = []
    for _ in range(6):
        limiter.acquire()
        times.append((clock.monotonic(), 1.0))
    assert times[0][0] - start >= 10
    assert most_over(times, 2, 2) == 0


def test_a_block_of_0_seconds_means_that_the_bucket_is_full() -> None:
    """A 429 with `Retry-After: 0` still means that there is no room yet."""
    limiter, _ = memory_limiter()
    limiter.block(0)
    assert 0.5 <= limiter.acquire().waited <= 1


def test_a_block_reaches_callers_that_already_sleep() -> None:
    """A caller that sleeps when a 429 comes sleeps longer, and all callers keep their order and distance."""
    clock = ScriptedClock()
    limiter = RateLimiter(MemoryStore(clock), rate=2, burst=2, clock=clock)
    start = clock.monotonic()
    limiter.acquire(2)
    ahead = [reserve(limiter, 1) for _ in range(3)]
    clock.at(0.1, lambda: limiter.block(10))
    clock.at(5.0, lambda: limiter.block(10))
    limiter.acquire()
    first = clock.monotonic() - start
    limiter.acquire()
    assert first >= 15 + ahead[-1] - 0.1
    assert 0.5 <= clock.monotonic() - start - first <= 0.51


@pytest.mark.parametrize(
    ("blocks", "wait"),
    [
        ([10, 3], 10),
        ([3, 10], 10),
        ([2] * 8, 2),
        ([-1], 0.6),
        ([math.nan], 0.6),
        ([math.inf], MAX_DELAY),
        ([1e9], MAX_DELAY),
    ],
    ids=["shorter", "longer", "burst", "negative", "nan", "infinite", "absurd"],
)
def test_blocks_do_not_add_up(blocks: list[float], wait: float) -> None:
    """The longest block counts, and none is longer than an hour."""
    limiter, _ = memory_limiter()
    for seconds in blocks:
        limiter.block(seconds)
    assert limiter.idle_in() == pytest.approx(wait, abs=0.1)


def test_the_slots_of_the_killed_are_lost_and_no_more() -> None:
    """Eight callers that reserved and never went delay the next one by eight requests."""
    limiter, _ = memory_limiter()
    for _ in range(8):
        reserve(limiter, 1)
    assert reserve(limiter, 1) <= 8 / 2 * 1.01


def test_a_stopped_clock_interrupts_a_wait() -> None:
    """A stopped clock ends a wait for a slot."""
    limiter, clock = memory_limiter()
    limiter.acquire(2)
    clock.stop()
    with pytest.raises(Interrupted):
        limiter.acquire()


@given(
    filled=st.floats(-MAX_DELAY, 100),
    blocked=st.floats(-MAX_DELAY, 100),
    step=st.floats(-1e9, 1e9),
)
def test_a_clock_that_is_set_never_lengthens_a_wait(filled: float, blocked: float, step: float) -> None:
    """If the shared clock is set, forward or back, nobody waits longer than before."""
    before = Bucket(1e9 + filled, 1e9 + blocked, 0.0, 1e9)
    _, expected = before.reserve(1e9, 0.5, -0.35)
    after, wait = before.reserve(1e9 + step, 0.5, -0.35)
    assert wait <= expected + LEAST
    assert after.written_at == 1e9 + step
    if step <= 0:
        assert wait == pytest.approx(expected, abs=LEAST)


@pytest.mark.parametrize("field", ["tat", "blocked_until"])
@pytest.mark.parametrize("value", [1e12, math.inf], ids=["far", "infinite"])
def test_an_absurd_bucket_blocks_nobody(field: str, value: float) -> None:
    """A bucket that is fuller than callers that are alive can make it counts as empty."""
    times = {"tat": 5.0, "blocked_until": 5.0, "total_delay": 0.0, "written_at": 5.0} | {field: value}
    _, wait = Bucket(**times).reserve(5.0, 0.5, -0.35)
    assert wait <= 1


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize("name", ["rate", "burst"])
def test_a_limit_must_be_a_positive_number(name: str, value: float) -> None:
    """An invalid rate or burst is an error that names the setting."""
    clock = VirtualClock()
    with pytest.raises(ValueError, match=r"rate_limit(_burst)? must be above 0"):
        RateLimiter(MemoryStore(clock), clock=clock, **({"rate": 2.0, "burst": 2.0} | {name: value}))


@pytest.mark.parametrize("cost", [-1, math.nan, math.inf])
def test_a_cost_must_be_a_number(cost: float) -> None:
    """An invalid cost is an error, because it would damage the bucket for all callers."""
    limiter, _ = memory_limiter()
    with pytest.raises(ValueError, match="cost of a request"):
        limiter.acquire(cost)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "half",
        "http://x",
        "sqlite://relative/x",
        "sqlite:///",
        "redis://:se/cret@h:1/0",
        "redis://h:secret",
        "redis://[secret",
    ],
)
def test_an_invalid_store_is_named_without_its_secrets(url: str) -> None:
    """An invalid URL is an error that shows the valid forms, and nothing that may be a password."""
    with pytest.raises(ValueError, match="rate_limit_store must") as error:
        open_store(url, host="h", token="t", clock=VirtualClock(), logger=LOGGER)
    assert "secret" not in str(error.value)
    assert "cret" not in str(error.value.__cause__ or "")


def test_an_account_has_one_key_whatever_its_tokens() -> None:
    """With `account`, neither host nor token count; without it both do. The key shows none of them."""
    by_token = {account_key(None, host=host, token=token) for host in ("a", "b", "A") for token in ("x", "y")}
    assert len(by_token) == 4
    by_name = {account_key(name, host=host, token=host) for name in ("one", " one ") for host in ("a", "b")}
    assert len(by_name) == 1
    assert not by_name & by_token
    assert all(len(key) == 32 and int(key, 16) for key in by_name | by_token)


def test_api_users_of_one_account_share_a_bucket(tmp_path: Path) -> None:
    """Two tokens with the same `account` take their permits from one bucket; with another account they do not."""

    def wait_for(token: str, account: str | None) -> float:
        url, clock = f"sqlite://{tmp_path / 'limit.sqlite'}", SystemClock()
        with closing(open_store(url, host="h", token=token, account=account, clock=clock, logger=LOGGER)) as store:
            return store.reserve(100.0, 0.0).wait

    assert wait_for("one", "acme") == 0
    assert wait_for("two", "acme") > 90
    assert wait_for("two", "other") == 0
    assert wait_for("two", None) == 0


def test_an_invalid_fallback_is_an_error() -> None:
    """An unknown fallback is an error that names the known ones."""
    with pytest.raises(ValueError, match="rate_limit_fallback must be half or fail, got 'none'"):
        open_store("memory://", host="h", token="t", fallback="none", clock=VirtualClock(), logger=LOGGER)


def test_a_missing_redis_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the package for a Redis URL is missing, the error says what to install, without the password."""
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "tap_jetti.client.rate_limit.redis", raising=False)
    with pytest.raises(StoreError, match=r"Redis at h:1,.* tap-jetti\[redis\]") as error:
        open_store("redis://:secret@h:1/0", host="h", token="t", clock=VirtualClock(), logger=LOGGER)
    assert "secret" not in str(error.value)


def test_importing_opens_nothing(tmp_path: Path) -> None:
    """The import loads neither Redis nor SQLite, and neither it nor `open_store` creates a file."""
    script = """
import sys
import logging
from tap_jetti.client.clock import SystemClock
from tap_jetti.client.rate_limit import open_store
assert not {"redis", "sqlite3"} & set(sys.modules)
open_store(None, host="h", token="t", clock=SystemClock(), logger=logging.getLogger())
"""
    env = {"XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=env)
    assert list(tmp_path.iterdir()) == []
