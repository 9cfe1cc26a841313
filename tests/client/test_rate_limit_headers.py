"""True headers slow requests down before they are refused, and headers that are not about the bucket never do."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from runs import EXAMPLES, LOGGER
from tap_jetti.client.clock import VirtualClock
from tap_jetti.client.hosts import Host
from tap_jetti.client.rate_limit import MemoryStore, Permit, RateLimiter
from tap_jetti.client.rate_limit.failover import FailoverStore
from tap_jetti.client.rate_limit.headers import HeaderTrust, Reading, read_headers
from tap_jetti.client.rate_limit.sqlite import SqliteStore
from tap_jetti.client.session import JettiSession
from tap_jetti.client.transport import Transport
from tap_jetti.errors import StoreError
from tap_jetti.sandbox import Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import requests

    from tap_jetti.client.rate_limit import BucketStore
    from tap_jetti.client.rate_limit.bucket import Reservation

SECONDS = 200.0
"""Length of a simulated run, on its own clock."""


def headers_of(limit: object, remaining: object) -> CaseInsensitiveDict[str]:
    """The headers of a response."""
    return CaseInsensitiveDict({"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(remaining)})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"X-RateLimit-Limit": "40", "X-RateLimit-Remaining": "39"}, (40, 39), id="x-ratelimit"),
        pytest.param({"x-rate-limit-limit": "40", "x-rate-limit-remaining": "0"}, (40, 0), id="x-rate-limit"),
        pytest.param({"RATELIMIT-LIMIT": " 10 ", "RateLimit-Remaining": "9.5"}, (10, 9.5), id="any-case"),
        pytest.param({"Onport-RateLimit-Limit": "2", "Onport-RateLimit-Remaining": "1"}, (2, 1), id="vendor"),
        pytest.param({"RateLimit-Limit": "10, 10;w=1, 50;w=60", "RateLimit-Remaining": "3"}, (10, 3), id="draft-3"),
        pytest.param({"RateLimit": "limit=10, remaining=5, reset=3"}, (10, 5), id="draft-7"),
        pytest.param(
            {"RateLimit": '"default";r=5;t=3', "RateLimit-Policy": '"default";q=10;w=5'}, (10, 5), id="draft-8"
        ),
        pytest.param(
            {"RateLimit": '"burst";r=1;t=1, "day";r=9', "RateLimit-Policy": '"burst";q=2;w=1, "day";q=99;w=9'},
            (2, 1),
            id="two-policies",
        ),
        pytest.param({"X-Shopify-Shop-Api-Call-Limit": "32/40"}, (40, 8), id="calls-of-a-vendor"),
        pytest.param({"X-Api-Call-Limit": "1 / 2"}, (2, 1), id="calls"),
        pytest.param(
            {"X-RateLimit-Limit": "soon", "X-RateLimit-Remaining": "1", "X-Api-Call-Limit": "1/2"},
            (2, 1),
            id="another-family",
        ),
        pytest.param({}, None, id="none"),
        pytest.param({"X-Upload-Limit": "5", "Retry-After": "3"}, None, id="another-limit"),
        pytest.param({"X-RateLimit-Limit-Second": "5"}, None, id="unknown-family"),
    ],
)
def test_the_usual_headers_are_read(headers: dict[str, str], expected: tuple[float, float] | None) -> None:
    """Each format gives the size of the bucket and what remains; headers about anything else give nothing."""
    answer = CaseInsensitiveDict({"Content-Type": "application/json", **headers})
    assert read_headers(answer) == (Reading(*expected) if expected else None)


@pytest.mark.parametrize("text", ["", "many", "-1", "1e3", "inf", "nan", "1,2", "2 units", "1" * 40, "\u0663"])
@pytest.mark.parametrize("name", ["X-RateLimit-Remaining", "X-Api-Call-Limit", "RateLimit", "RateLimit-Policy"])
def test_garbage_is_not_plausible(name: str, text: str) -> None:
    """A value that is not a number of units is a reading that is not plausible."""
    reading = read_headers(CaseInsensitiveDict({"X-RateLimit-Limit": "2", name: text}))
    assert reading is not None
    assert not reading.is_plausible


@given(st.dictionaries(st.sampled_from(["RateLimit", "RateLimit-Policy", "X-RateLimit-Limit"]), st.text(max_size=40)))
def test_no_text_breaks_the_reader(headers: dict[str, str]) -> None:
    """Whatever the headers hold, reading them raises nothing."""
    read_headers(CaseInsensitiveDict(headers))


class Seen:
    """Shows a trust the readings of GETs, half a second apart."""

    def __init__(self) -> None:
        self.trust = HeaderTrust(2.0)
        self.now = 0.0

    def shows(self, remaining: float, *, limit: float = 40.0, after: float = 0.5, is_refusal: bool = False) -> bool:
        """Whether one more reading is trusted."""
        self.now += after
        return self.trust.accepts(
            Reading(limit, remaining), cost=1.0, is_refusal=is_refusal, sent=self.now, received=self.now + 0.1
        )

    def proves(self, cycles: int = 2) -> bool:
        """Whether a refusal and this many cycles of a real bucket are trusted."""
        self.shows(3)
        self.shows(0, is_refusal=True)
        return [self.shows(value, after=5) for _ in range(cycles) for value in (4, 1)][-1]


def test_a_bucket_that_falls_and_rises_and_refuses_is_trusted() -> None:
    """Readings are trusted from the second cycle after a refusal with nothing left."""
    assert [Seen().proves(cycles) for cycles in (1, 2, 3)] == [False, True, True]


@pytest.mark.parametrize(
    "remaining",
    [
        pytest.param([0] * 300, id="constant-zero"),
        pytest.param([1] * 300, id="constant"),
        pytest.param(range(9000, 8700, -1), id="daily-quota"),
        pytest.param(list(range(39, -1, -1)) * 8, id="window"),
        pytest.param([2, 1, 0] * 100, id="short-window"),
        pytest.param([-1, 0] * 100, id="negative"),
        pytest.param([7, 41] * 100, id="more-than-all"),
        pytest.param([float("nan"), 0] * 100, id="no-number"),
    ],
)
@pytest.mark.parametrize("limit", [3.0, 40.0, 10_000.0])
def test_another_count_is_never_trusted(remaining: list[float], limit: float) -> None:
    """A count that is not a leaky bucket with our rate is never trusted, even if requests are refused."""
    seen = Seen()
    assert not any(seen.shows(value, limit=limit, is_refusal=turn % 10 == 9) for turn, value in enumerate(remaining))


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 9)), max_size=60 * EXAMPLES))
def test_nothing_is_trusted_before_a_refusal(readings: list[tuple[int, float]]) -> None:
    """Headers do not slow down an account whose bucket has room for all clients."""
    seen = Seen()
    assert not any(seen.shows(remaining, limit=5, after=after) for remaining, after in readings)


@pytest.mark.parametrize(
    "lie",
    [{"remaining": 39}, {"remaining": 1, "limit": 41}, {"remaining": -1}, {"remaining": 9, "is_refusal": True}],
    ids=["too-fast", "another-limit", "negative", "refused-with-room"],
)
def test_a_contradiction_ends_the_trust(lie: dict[str, Any]) -> None:
    """After a reading that does not fit, the same cycles are not enough any more; more of them are."""
    seen = Seen()
    assert seen.proves()
    assert not seen.shows(**lie)
    assert not seen.proves()
    assert seen.proves(cycles=20)


def test_responses_out_of_order_are_no_contradiction() -> None:
    """A late reading, of a time when more was left, does not count as a rise."""
    seen = Seen()
    assert seen.proves()
    arguments = {"cost": 1.0, "is_refusal": False}
    assert seen.trust.accepts(Reading(40.0, 0.0), sent=seen.now + 2, received=seen.now + 2.1, **arguments)
    assert seen.trust.accepts(Reading(40.0, 3.0), sent=seen.now + 0.5, received=seen.now + 4, **arguments)


def limiter_on(store: BucketStore, clock: VirtualClock, *, burst: float = 2.0, limit: int = 40) -> RateLimiter:
    """A limiter of 2 units per second that trusts the headers of a bucket."""
    limiter = RateLimiter(store, rate=2, burst=burst, clock=clock)
    for remaining, is_refusal in ((3, False), (0, True), (3, False), (0, True), (4, False)):
        clock.advance(5)
        limiter.observe(limiter.acquire(), headers_of(limit, remaining), is_refusal=is_refusal)
    clock.advance(5)
    return limiter


@pytest.fixture
def limiter(clock: VirtualClock) -> RateLimiter:
    """A limiter that trusts the headers."""
    return limiter_on(MemoryStore(clock), clock)


def saturated(limiter: RateLimiter) -> Permit:
    """The last permit of some requests that go as soon as they can."""
    return [limiter.acquire() for _ in range(8)][-1]


@pytest.mark.parametrize(
    ("remaining", "wait"),
    [(40, 0.5), (20, 0.5), (3, 0.5), (2, 0.5), (1, 1.0), (0, 1.0)],
    ids=["empty", "half", "three", "two", "one", "full"],
)
def test_a_full_bucket_delays_the_next_request(limiter: RateLimiter, remaining: int, wait: float) -> None:
    """The next request waits half a second more if less than the spare units remain, and no longer otherwise."""
    permit = saturated(limiter)
    limiter.observe(permit, headers_of(40, remaining))
    assert limiter.acquire().waited == pytest.approx(wait, abs=0.01)


def test_a_bucket_that_only_we_fill_delays_nobody(clock: VirtualClock) -> None:
    """A reading that our own requests explain, rounded to whole units, has no effect."""
    limiter = limiter_on(MemoryStore(clock), clock, burst=4.0, limit=4)
    limiter.observe(saturated(limiter), headers_of(4, 1))
    assert limiter.acquire().waited == pytest.approx(0.5, abs=0.01)


def test_a_burst_as_large_as_the_bucket_leaves_some_of_it(clock: VirtualClock) -> None:
    """A burst as large as the bucket is used up to two units once headers are trusted, so that other clients show."""
    limiter = limiter_on(MemoryStore(clock), clock, burst=10.0, limit=10)
    clock.advance(60)
    permits = [limiter.acquire() for _ in range(12)]
    assert sum(permit.waited == 0 for permit in permits) == 7
    limiter.observe(permits[-1], headers_of(10, 0))
    assert limiter.acquire().waited == pytest.approx(1.0, abs=0.01)


def test_the_others_are_named_once(limiter: RateLimiter, caplog: pytest.LogCaptureFixture) -> None:
    """The log says once that another client uses the limit."""
    caplog.set_level(logging.INFO)
    for _ in range(3):
        limiter.observe(saturated(limiter), headers_of(40, 0))
    assert [record.getMessage()[:34] for record in caplog.records] == ["Another client uses the rate limit"]


def test_responses_of_requests_in_flight_do_not_add_up(limiter: RateLimiter) -> None:
    """Four responses that all show a full bucket cause the delay of the first, and no more."""
    flying = [limiter.acquire() for _ in range(8)][-4:]
    for permit in flying:
        limiter.observe(permit, headers_of(40, 0))
    assert limiter.acquire().waited == pytest.approx(0.5 + 4 * 0.5, abs=0.02)


def test_a_block_counts_as_a_delay(limiter: RateLimiter) -> None:
    """After a 429 has moved all slots, readings from before it do not move them again."""
    permit = saturated(limiter)
    limiter.block(3)
    before = limiter.idle_in()
    limiter.observe(permit, headers_of(40, 0))
    assert limiter.idle_in() == before


class Waking(VirtualClock):
    """A clock on which something happens at the end of the next sleep."""

    event: Callable[[], None] | None = None

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        super().sleep(seconds)
        event, self.event = self.event, None
        if event is not None:
            event()


def test_sleeping_callers_are_delayed_too() -> None:
    """A reading reaches callers that already wait for their slots."""
    clock = Waking()
    limiter = limiter_on(MemoryStore(clock), clock)
    permit = saturated(limiter)
    clock.event = lambda: limiter.observe(permit, headers_of(40, 0))
    assert limiter.acquire().waited == pytest.approx(1.0, abs=0.01)
    assert limiter.acquire().waited == pytest.approx(0.5, abs=0.01)


def test_processes_that_share_the_store_are_delayed_too(clock: VirtualClock, tmp_path: Path) -> None:
    """A reading of one process delays all, and the same use that two processes see counts once."""
    with contextlib.ExitStack() as stack:
        stores = [stack.enter_context(closing(SqliteStore(tmp_path / "f", "a", clock, boot="b"))) for _ in range(3)]
        one, other = (limiter_on(store, clock) for store in stores[:2])
        third = RateLimiter(stores[2], rate=2, burst=2, clock=clock)
        permits = [saturated(one), other.acquire()]
        for limiter, permit in zip((one, other), permits, strict=True):
            limiter.observe(permit, headers_of(40, 0))
        # The first was sent before the second, so the bucket had half a second to drain since.
        assert third.acquire().waited == pytest.approx(1.0, abs=0.01)


def test_an_emptied_store_delays_by_no_more_than_asked_for(clock: VirtualClock) -> None:
    """If the store was emptied meanwhile, slots do not move by the total delay of the old bucket."""
    limiter = limiter_on(MemoryStore(clock), clock)
    limiter.block(500)
    permit = saturated(limiter)
    limiter._store = MemoryStore(clock)
    limiter.observe(permit, headers_of(40, 0))
    assert limiter.acquire().waited <= 0.5


class LostStore(MemoryStore):
    """A shared store that can fail."""

    lost = False

    def delay(self, reservation: Reservation, seconds: float) -> None:
        """Move all reserved slots."""
        if self.lost:
            raise StoreError("The store failed.")
        super().delay(reservation, seconds)


def test_a_failed_store_does_not_lose_the_response(clock: VirtualClock) -> None:
    """A response is returned even if the store that its headers would have changed fails."""
    store = LostStore(clock)
    limiter = limiter_on(store, clock)
    permit = saturated(limiter)
    store.lost = True
    limiter.observe(permit, headers_of(40, 0))
    assert limiter.idle_in() == pytest.approx(0.5, abs=0.01)


def test_a_slot_of_the_failed_store_does_not_move_the_local_bucket(clock: VirtualClock) -> None:
    """While the local bucket is used, responses to requests with slots of the shared one do not change it."""
    shared = LostStore(clock)
    store = FailoverStore(shared, share=0.5, clock=clock, logger=LOGGER)
    reservation = shared.reserve(0.5, -0.35)
    shared.lost = True
    store.delay(type(reservation)(reservation.wait, reservation.level, reservation.total_delay, "shared"), 1.0)
    assert store.peek().source == "memory"
    before = store.peek().total_delay
    store.delay(type(reservation)(reservation.wait, reservation.level, reservation.total_delay, "shared"), 1.0)
    assert store.peek().total_delay == before


answers = st.tuples(st.integers(0, 12), st.sampled_from([12, 12, 12, 12, 5]), st.booleans())


@given(
    burst=st.sampled_from([2.0, 3.0, 12.0]),
    script=st.lists(answers, min_size=1, max_size=20),
    delay=st.integers(0, 8),
)
def test_no_headers_take_more_than_half_of_the_rate(
    burst: float, script: list[tuple[int, int, bool]], delay: int
) -> None:
    """With any headers, requests are not faster than without them, and never slower than half."""
    clock, free = VirtualClock(), VirtualClock()
    limiter = limiter_on(MemoryStore(clock), clock, burst=burst, limit=12)
    bare = RateLimiter(MemoryStore(free), rate=2, burst=burst, clock=free)
    start, free_start, flying = clock.monotonic(), free.monotonic(), []
    for turn in range(80):
        bare.acquire()
        flying.append(limiter.acquire())
        assert clock.monotonic() - start >= free.monotonic() - free_start - 1e-6
        if turn >= delay:
            remaining, limit, is_refusal = script[turn % len(script)]
            limiter.observe(flying.pop(0), headers_of(limit, remaining), is_refusal=is_refusal)
    assert clock.monotonic() - start <= (80 + delay + burst) * 1.01


def test_a_bucket_that_stays_full_leaves_us_half_of_the_rate(limiter: RateLimiter, clock: VirtualClock) -> None:
    """If other clients take all that they can get, each request is delayed by one unit, not by more."""
    start = clock.monotonic()
    for _ in range(100):
        limiter.observe(limiter.acquire(), headers_of(40, 0))
    assert clock.monotonic() - start == pytest.approx(100, rel=0.02)


class Turns(VirtualClock):
    """A virtual clock for several threads: when all sleep, the one whose sleep ends first continues."""

    def __init__(self) -> None:
        super().__init__(wall=1_600_000_000.0)
        self._turn = threading.Condition()
        self._order = itertools.count()
        self._asleep: list[tuple[float, int]] = []
        self._awake = 0

    def sleep(self, seconds: float) -> None:
        """Let the other threads run meanwhile."""
        with self._turn:
            mine = (self.monotonic() + max(0.0, seconds), next(self._order))
            heapq.heappush(self._asleep, mine)
            self._awake -= 1
            self._wait(mine)

    def run(self, work: list[Callable[[], None]]) -> None:
        """Run threads until all have ended."""
        starts = [(self.monotonic(), next(self._order)) for _ in work]
        self._asleep = list(starts)
        threads = [threading.Thread(target=self._run, args=pair) for pair in zip(starts, work, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _run(self, start: tuple[float, int], work: Callable[[], None]) -> None:
        with self._turn:
            self._wait(start)
        try:
            work()
        finally:
            with self._turn:
                self._awake -= 1
                self._turn.notify_all()

    def _wait(self, mine: tuple[float, int]) -> None:
        self._turn.notify_all()
        self._turn.wait_for(lambda: not self._awake and self._asleep[0] == mine)
        heapq.heappop(self._asleep)
        self._awake += 1
        self.advance(max(0.0, mine[0] - self.monotonic()))


class Far(Transport):
    """A network with a latency on a virtual clock."""

    def __init__(self, clock: VirtualClock, latency: float) -> None:
        super().__init__(clock, seconds=300, pool_connections=1, pool_maxsize=8)
        self._latency = latency

    def send(self, *arguments: Any, **named: Any) -> requests.Response:
        """Send, and return the response after the latency."""
        self._clock.sleep(self._latency / 2)
        response = super().send(*arguments, **named)
        self._clock.sleep(self._latency / 2)
        return response


@contextlib.contextmanager
def busy(latency: float, burst: float = 2.0, **options: Any) -> Iterator[tuple[int, int, RateLimiter]]:
    """How many requests are accepted and refused while some threads read a sandbox as fast as the limit allows."""
    clock = Turns()
    limiter = RateLimiter(MemoryStore(clock), rate=2, burst=burst, clock=clock)
    with Sandbox(Options(**{"empty": True, "clock": clock.time, **options})) as sandbox:
        session = JettiSession(
            Host.api(sandbox.api_url, token=sandbox.token, limiter=limiter),
            clock=clock,
            retry_seconds=1e6,
            transport=Far(clock, latency),
            logger=logging.getLogger("silent"),
        )
        end = clock.monotonic() + SECONDS

        def work() -> None:
            while clock.monotonic() < end:
                session.get("sales.json")

        with closing(session):
            clock.run([work] * (1 + int(4 * latency)))
        refused = len(sandbox.requests.refused)
        yield len(sandbox.requests) - refused, refused, limiter


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    """Do not log the retries of simulated days."""
    logger = logging.getLogger("silent")
    logger.disabled = True
    yield
    logger.disabled = False


@pytest.mark.parametrize("latency", [0.0, 0.5, 2.0])
@pytest.mark.parametrize(
    ("family", "capacity", "burst"),
    [("x-ratelimit", 2, 2), ("ratelimit", 4, 4), ("call-limit", 40, 2), ("x-ratelimit", 40, 40)],
)
def test_alone_on_the_token_headers_change_nothing(family: str, capacity: float, burst: float, latency: float) -> None:
    """Without other clients, true headers cost less than one request in two hundred, and no refusal."""
    with (
        busy(latency, burst, capacity=capacity) as (free, refused_free, _),
        busy(latency, burst, capacity=capacity, rate_limit_headers=family) as (answered, refused, _),
    ):
        assert refused == refused_free == 0
        assert answered == pytest.approx(free, rel=0.005)


@pytest.mark.parametrize("latency", [0.0, 2.0])
@pytest.mark.parametrize("lie", ["constant", "daily-quota", "minute-quota", "garbage"])
def test_other_counts_change_nothing(lie: str, latency: float) -> None:
    """Headers that count anything else have no effect."""
    with busy(latency) as (free, _, _), busy(latency, rate_limit_headers=lie) as (answered, refused, _):
        assert refused == 0
        assert answered == pytest.approx(free, rel=0.02)


@pytest.mark.parametrize("lie", ["constant", "daily-quota", "minute-quota", "garbage"])
def test_other_counts_are_not_trusted_if_requests_are_refused(lie: str, caplog: pytest.LogCaptureFixture) -> None:
    """Even if another client uses the token, headers that count anything else delay nobody."""
    caplog.set_level(logging.INFO, "tap_jetti")
    with busy(0.5, capacity=40.0, foreign_load=1.0, rate_limit_headers=lie) as (_, refused, _):
        assert refused > 10
    assert not caplog.records


@pytest.mark.parametrize("latency", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("family", ["x-ratelimit", "ratelimit", "call-limit"])
def test_headers_save_most_refusals_where_others_use_the_token(family: str, latency: float) -> None:
    """If other clients take half of the rate, headers save two in five refusals, and our half is used."""
    sums = {"none": 0, family: 0}
    for headers, seed in itertools.product(sums, range(4)):
        with busy(latency, capacity=40.0, foreign_load=1.0, rate_limit_headers=headers, seed=seed) as (
            answered,
            refused,
            _,
        ):
            sums[headers] += refused
            assert answered >= SECONDS
    assert sums[family] <= 0.6 * sums["none"]


def test_the_inbound_api_has_a_bucket_of_its_own(
    clock: VirtualClock, sandboxes: Callable[..., Sandbox], sessions: Callable[..., JettiSession]
) -> None:
    """The headers of the inbound host reach its own limiter, never that of the API."""
    seen = []

    class Noting(RateLimiter):
        def observe(self, permit: Permit, headers: CaseInsensitiveDict[str], *, is_refusal: bool = False) -> None:
            seen.append(self)

    sandbox = sandboxes()
    api, inbound = (Noting(MemoryStore(clock), rate=2, burst=2, clock=clock) for _ in range(2))
    session = sessions(
        sandbox,
        api=Host.api(sandbox.api_url, token=sandbox.token, limiter=api),
        inbound=Host.inbound(sandbox.inbound_url, limiter=inbound),
    )
    session.write_inbound("POST", "inventory-feeds/parse-webhooks.json", {}, hash_="x", repeatable=False)
    session.get("sales.json")
    assert seen == [inbound, api]
