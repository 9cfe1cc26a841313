from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reservations import reserve

from tap_jetti.client.clock import SystemClock, VirtualClock
from tap_jetti.client.rate_limit import RateLimiter, open_store
from tap_jetti.client.rate_limit.bucket import MAX_DELAY, Bucket, Reservation
from tap_jetti.client.rate_limit.failover import RECHECK_SECONDS
from tap_jetti.errors import StoreError

redis = pytest.importorskip("redis", reason="needs the extra redis")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tap_jetti.client.rate_limit import BucketStore

SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")

LOGGER = logging.getLogger("rate_limit")
PASSWORD = "se/cret"
LEAST = 1e-4
"""Seconds. Redis keeps microseconds."""

BUSY_PROCESS = """
import json, logging, sys, time
from tap_jetti.client.clock import SystemClock
from tap_jetti.client.rate_limit import RateLimiter, open_store
url, seconds, rate, burst = sys.argv[1], *map(float, sys.argv[2:])
clock = SystemClock()
store = open_store(url, host="h", token="t", fallback="fail", clock=clock, logger=logging.getLogger())
limiter = RateLimiter(store, rate=rate, burst=burst, clock=clock)
limiter.idle_in()
print("ready", flush=True)
start = float(sys.stdin.readline())
times = []
while time.time() < start + seconds:
    limiter.acquire()
    times.append(time.time() - start)
store.close()
print(json.dumps(times))
"""


class Server:
    """A Redis for one test, on a port of its own, with a password."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            self.port = listener.getsockname()[1]
        self.url = f"redis://:{PASSWORD.replace('/', '%2F')}@127.0.0.1:{self.port}/1"
        self.client = redis.Redis.from_url(self.url)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty, and wait until it responds."""
        options = {"bind": "127.0.0.1", "dir": self._folder, "save": "", "requirepass": PASSWORD}
        command = [str(SERVER), "--port", str(self.port)]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while True:
            try:
                self.client.ping()
            except redis.ConnectionError:
                assert self._process.poll() is None
                time.sleep(0.01)
            else:
                return

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def open(self, clock: VirtualClock | SystemClock, fallback: str = "half") -> BucketStore:
        """Return a store on it."""
        return open_store(self.url, host="h", token="token", fallback=fallback, clock=clock, logger=LOGGER)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Yield a running Redis."""
    server = Server(tmp_path)
    server.start()
    yield server
    server.client.close()
    server.kill()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.sampled_from([0.25, 0.5, 1.0, 30.0]), st.sampled_from([-0.85, -0.35, 0.05])),
        st.tuples(st.just("block"), st.sampled_from([0.0, 1.0, 60.0, 1e6]), st.just(1.0)),
        st.tuples(st.just("delay"), st.sampled_from([0.0, 0.4, 60.0]), st.sampled_from([0.5, 2.0])),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_the_script_counts_as_the_bucket_does(server: Server, steps: list[tuple[str, float, float]]) -> None:
    """Redis's script gives every caller the slot that the bucket's own arithmetic gives."""
    server.client.flushall()
    bucket = None
    with closing(server.open(SystemClock(), "fail")) as store:
        for verb, first, second in steps:
            place = Reservation(0.0, 0.0, first, "redis")
            reservation = store.delay(place, second) if verb == "delay" else getattr(store, verb)(first, second)
            (key,) = server.client.keys()
            row = {name.decode(): float(value) for name, value in server.client.hgetall(key).items()}
            now = row["seen"]
            bucket = bucket or Bucket.empty(now)
            if verb == "block":
                bucket = bucket.blocked(now, first, second)
            elif verb == "delay":
                bucket = bucket.delayed(now, first, second)
            else:
                bucket, wait = bucket.reserve(now, first, second)
                assert reservation.wait == pytest.approx(wait, abs=LEAST)
                assert reservation.level == pytest.approx(bucket.reservation(wait, "redis").level, abs=LEAST)
                assert reservation.total_delay == pytest.approx(bucket.total_delay, abs=LEAST)
            assert row["pushed"] == pytest.approx(bucket.total_delay, abs=LEAST)
            assert [row[field] - now for field in ("empty_at", "blocked_until")] == pytest.approx(
                [bucket.tat - now, bucket.blocked_until - now], abs=LEAST
            )


def test_small_costs_are_not_rounded_away(server: Server) -> None:
    """A thousand increments of 40 microseconds are 40 milliseconds."""
    with closing(server.open(SystemClock(), "fail")) as store:
        store.reserve(1000.0, 0.0)
        (key,) = server.client.keys()
        before = float(server.client.hget(key, "empty_at"))
        for _ in range(1000):
            store.reserve(0.00004, 0.0)
        assert float(server.client.hget(key, "empty_at")) - before == pytest.approx(0.04, rel=0.05)


def test_a_server_clock_set_back_blocks_nobody(server: Server) -> None:
    """A bucket that was written an hour ahead of the clock keeps its wait, and a damaged one counts as empty."""
    with closing(server.open(SystemClock(), "fail")) as store:
        store.reserve(30.0, 0.0)
        (key,) = server.client.keys()
        ahead = {name.decode(): float(value) + 3600 for name, value in server.client.hgetall(key).items()}
        server.client.hset(key, mapping=ahead)
        assert store.reserve(1.0, 0.0).wait == pytest.approx(30, abs=1)
        server.client.hset(key, "empty_at", 1e12)
        assert store.reserve(1.0, 0.0).wait == 0
        server.client.hset(key, "blocked_until", 1e12)
        assert store.peek().blocked_in <= 0


def test_the_key_expires_and_hides_the_token(server: Server) -> None:
    """An unused bucket expires, and its key is a hash."""
    with closing(server.open(SystemClock(), "fail")) as store:
        store.reserve(30.0, 0.0)
        store.peek()
    (key,) = server.client.keys()
    assert key.startswith(b"tap-jetti:rate-limit:")
    assert b"token" not in key
    assert MAX_DELAY < server.client.ttl(key) <= MAX_DELAY + 31


def test_processes_with_separate_homes_share_a_redis(server: Server, tmp_path: Path) -> None:
    """Two processes that share only the Redis share one limit, fairly, and never exceed it."""
    seconds, rate, burst = 2.0, 100.0, 10.0
    command = [sys.executable, "-c", BUSY_PROCESS, server.url, *map(str, (seconds, rate, burst))]
    processes = []
    for name in ("one", "two"):
        home = tmp_path / name
        home.mkdir()
        env = {"HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env))
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    start = f"{time.time()}\n".encode()
    for process in processes:
        process.stdin.write(start)
        process.stdin.flush()
    sent = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    times = sorted(moment for process in sent for moment in process)
    assert max(count - burst - rate * moment for count, moment in enumerate(times, start=1)) <= 0
    assert len(times) > burst, "how much of the limit is used is measured in benchmarks/"
    assert min(map(len, sent)) >= 0.5 * max(map(len, sent))  # nobody waits twice its fair share


def test_a_block_reaches_who_shares_the_redis(server: Server) -> None:
    """A 429 of one process stops another one."""
    clock = SystemClock()
    with closing(server.open(clock)) as one, closing(server.open(clock)) as other:
        RateLimiter(one, rate=2, burst=2, clock=clock).block(30)
        assert RateLimiter(other, rate=2, burst=2, clock=clock).idle_in() == pytest.approx(30, abs=1)


def test_what_two_processes_see_at_once_delays_once(server: Server) -> None:
    """If two processes on one Redis see the same use of another client, slots move once."""
    clock = SystemClock()
    with closing(server.open(clock)) as one, closing(server.open(clock)) as other:
        reservations = [store.reserve(30.0, 0.0) for store in (one, other)]
        for store, reservation in zip((one, other), reservations, strict=True):
            store.delay(reservation, 5.0)
        assert other.peek().empty_in == pytest.approx(65, abs=1)
        assert one.peek().total_delay == pytest.approx(5)


def test_a_lost_redis_is_replaced_at_half_the_rate_until_it_is_back(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning, half the rate, no burst at the switch, and the shared bucket again once it responds."""
    caplog.set_level("INFO", LOGGER.name)
    clock = VirtualClock()
    with closing(server.open(clock)) as store:
        limiter = RateLimiter(store, rate=2, burst=2, clock=clock)
        limiter.acquire()
        server.kill()
        assert sum(limiter.acquire().waited for _ in range(100)) == pytest.approx(100, rel=0.02)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert f"Redis at 127.0.0.1:{server.port} failed" in caplog.text
        assert "50 % of the rate" in caplog.text
        assert PASSWORD not in caplog.text
        server.start()
        clock.advance(RECHECK_SECONDS)
        assert reserve(limiter, 1) > 0
        assert store.peek().source == "redis"
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_redis_restarted_between_two_calls_is_not_missed(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A server that has closed the connection and lost the script is tried again at once."""
    with closing(server.open(SystemClock())) as store:
        store.reserve(0.5, 0.0)
        server.kill()
        server.start()
        assert store.reserve(0.5, 0.0).source == "redis"
    assert not caplog.records


def test_a_lost_redis_is_asked_again_only_every_few_seconds(server: Server) -> None:
    """A Redis that works again is used after the recheck time, whatever the load."""
    clock = VirtualClock()
    with closing(server.open(clock)) as store:
        store.reserve(0.1, 0.0)
        server.kill()
        store.reserve(0.1, 0.0)
        server.start()
        sources = []
        for _ in range(100):
            sources.append(store.reserve(0.001, 0.0).source)
            clock.advance(RECHECK_SECONDS / 50)
    assert sources.index("redis") in range(49, 52)
    assert set(sources[:49]) == {"memory"}
    assert set(sources[52:]) == {"redis"}


def test_a_lost_redis_fails_if_that_is_asked_for(server: Server) -> None:
    """With `fail`, the error names host and port and what to do, never the password."""
    with closing(server.open(SystemClock(), "fail")) as store:
        store.reserve(0.5, 0.0)
        server.kill()
        for call in (lambda: store.reserve(0.5, 0.0), lambda: store.block(1, 1), store.peek):
            with pytest.raises(StoreError, match=f"127.0.0.1:{server.port} failed: .* Start it") as error:
                call()
            assert PASSWORD not in f"{error.value} {error.value.__cause__}"


def test_a_block_and_a_peek_survive_a_failed_redis(server: Server) -> None:
    """A 429 that comes while Redis fails still stops this process."""
    clock = VirtualClock()
    with closing(server.open(clock)) as store:
        limiter = RateLimiter(store, rate=2, burst=2, clock=clock)
        limiter.acquire()
        server.kill()
        assert limiter.idle_in() >= 0
        limiter.block(30)
        assert limiter.acquire().waited >= 30


def test_a_wrong_password_is_a_lost_redis(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong password counts as a failure of the store, and the reason is shown."""
    url = f"redis://:wrong@127.0.0.1:{server.port}"
    with closing(open_store(url, host="h", token="t", clock=VirtualClock(), logger=LOGGER)) as store:
        assert store.reserve(0.5, 0.0).source == "memory"
    assert "invalid username-password pair" in caplog.text
    assert "wrong" not in caplog.text


def test_a_redis_that_never_answers_is_given_up_after_one_time_out(caplog: pytest.LogCaptureFixture) -> None:
    """A Redis that hangs is tried once before the process continues alone."""
    with closing(socket.create_server(("127.0.0.1", 0))) as hole:
        url = f"redis://127.0.0.1:{hole.getsockname()[1]}"
        with closing(open_store(url, host="h", token="t", clock=VirtualClock(), logger=LOGGER)) as store:
            assert store.reserve(0.5, 0.0).source == "memory"
        hole.settimeout(0)
        hole.accept()[0].close()
        with pytest.raises(BlockingIOError):
            hole.accept()
    assert "imeout" in caplog.text
