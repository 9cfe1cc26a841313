from __future__ import annotations

import heapq
import json
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reservations import reserve

from tap_jetti.client.clock import VirtualClock
from tap_jetti.client.rate_limit import RateLimiter, open_store
from tap_jetti.client.rate_limit.failover import RECHECK_SECONDS
from tap_jetti.client.rate_limit.sqlite import LOCK_SECONDS, SqliteStore, boot_id
from tap_jetti.errors import Interrupted, StoreError

LOGGER = logging.getLogger("rate_limit")
PROCESSES = 4
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

BUSY_PROCESS = """
import json, sys, threading, time
from pathlib import Path
from tap_jetti.client.clock import SystemClock
from tap_jetti.client.rate_limit import RateLimiter
from tap_jetti.client.rate_limit.sqlite import SqliteStore, boot_id
path, seconds, rate, burst = sys.argv[1], *map(float, sys.argv[2:])
slots = []
class Noting(SqliteStore):
    def reserve(self, increment, start_offset):
        before = self._now()
        slot = super().reserve(increment, start_offset)
        slots.append((before + slot.wait, self._now() + slot.wait))
        return slot
clock = SystemClock()
store = Noting(Path(path), "account", clock, boot=boot_id())
limiter = RateLimiter(store, rate=rate, burst=burst, clock=clock)
limiter.idle_in()
print("ready", flush=True)
end = float(sys.stdin.readline()) + seconds
def work():
    while time.time() < end:
        limiter.acquire()
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
store.close()
print(json.dumps(slots))
"""


def bare(path: Path, clock: VirtualClock, boot: str | None = "boot", account: str = "account") -> SqliteStore:
    """Return a store without failover."""
    return SqliteStore(path, account, clock, boot=boot)


def limiter_on(store: SqliteStore, clock: VirtualClock) -> RateLimiter:
    """Return a limiter of 2 units per second and 2 at once."""
    return RateLimiter(store, rate=2, burst=2, clock=clock)


def talk(processes: list[subprocess.Popen[bytes]], line: bytes) -> list[bytes]:
    """Tell all processes to start, and return what each prints in the end."""
    for process in processes:
        process.stdin.write(line)
        process.stdin.flush()
    return [process.communicate(timeout=60)[0] for process in processes]


def run(script: str, *arguments: object) -> str:
    """Run a Python script in a process of its own and return what it prints."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@settings(max_examples=25, deadline=None)
@given(
    callers=st.lists(
        st.lists(
            st.tuples(st.sampled_from([0.0, 0.1, 3.0]), st.sampled_from([0.5, 1.0, 2.0])), min_size=1, max_size=15
        ),
        min_size=1,
        max_size=4,
    ),
    boot=st.sampled_from(["boot", None]),
)
def test_no_window_of_a_shared_file_holds_more_than_the_limit(
    callers: list[list[tuple[float, float]]], boot: str | None
) -> None:
    """Several stores on one file keep to one limit, on either clock."""
    clock = VirtualClock()
    with tempfile.TemporaryDirectory() as folder:
        stores = [bare(Path(folder, "limit"), clock, boot) for _ in callers]
        turns = [(clock.monotonic(), caller, 0) for caller in range(len(callers))]
        level, last = 0.0, clock.monotonic()
        while turns:
            now, caller, step = heapq.heappop(turns)
            clock.advance(max(0.0, now - clock.monotonic()))
            cost = callers[caller][step][1]
            go = clock.monotonic() + reserve(limiter_on(stores[caller], clock), cost)
            level, last = max(0.0, level - 2 * (go - last)) + cost, go
            assert level <= 2 + 1e-5
            if step + 1 < len(callers[caller]):
                heapq.heappush(turns, (go + callers[caller][step][0], caller, step + 1))
        for store in stores:
            store.close()


def test_processes_that_share_a_file_share_the_limit_fairly(tmp_path: Path) -> None:
    """Four busy processes never exceed the limit, and each gets its part."""
    seconds, rate, burst = 3.0, 200.0, 20.0
    command = [sys.executable, "-c", BUSY_PROCESS, *map(str, [tmp_path / "limit", seconds, rate, burst])]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [subprocess.Popen(command, **pipes, env=ENVIRONMENT) for _ in range(PROCESSES)]
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    start = f"{time.time()}\n".encode()
    sent = [json.loads(output) for output in talk(processes, start)]
    # Each slot lies between two times; the widest window that may hold some of them counts.
    reservations = sorted(reservation for process in sent for reservation in process)
    for first, (earliest, _) in enumerate(reservations):
        latest = earliest
        for count, (_, moment) in enumerate(reservations[first:], start=1):
            latest = max(latest, moment)
            assert count <= burst + rate * (latest - earliest)
    assert len(reservations) > burst, "how much of the limit is used is measured in benchmarks/"
    assert min(map(len, sent)) >= 0.5 * max(map(len, sent))  # nobody waits twice its fair share


def test_a_killed_process_leaves_the_file_whole(tmp_path: Path) -> None:
    """Processes that are killed during a reservation lose at most their slots."""
    path = tmp_path / "limit"
    command = [sys.executable, "-c", BUSY_PROCESS, *map(str, [path, 60, 1e6, 1e6])]
    for _ in range(5):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
            assert process.stdout.readline() == b"ready\n"
            process.stdin.write(f"{time.time()}\n".encode())
            process.stdin.flush()
            time.sleep(0.05)
            process.kill()
        assert process.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM buckets").fetchone() == (1,)


def test_a_block_reaches_other_processes_stores(tmp_path: Path) -> None:
    """A 429 of one process stops another one."""
    clock = VirtualClock()
    with closing(bare(tmp_path / "limit", clock)) as one, closing(bare(tmp_path / "limit", clock)) as other:
        limiter_on(one, clock).block(30)
        assert limiter_on(other, clock).acquire().waited == pytest.approx(30)


@pytest.mark.parametrize("step", [-3600, -1, 1, 3600])
def test_the_monotonic_clock_cannot_be_set(tmp_path: Path, step: float) -> None:
    """On the monotonic clock, it changes nothing if the wall clock is set."""
    clock = VirtualClock()
    with closing(bare(tmp_path / "limit", clock)) as store:
        limiter = limiter_on(store, clock)
        reserve(limiter, 5)
        before = limiter.idle_in()
        clock.step(step)
        assert limiter.idle_in() == before


def test_a_wall_clock_set_back_blocks_nobody(tmp_path: Path) -> None:
    """On the wall clock, the wait stays the same if the clock is set back an hour."""
    clock = VirtualClock()
    with closing(bare(tmp_path / "limit", clock, None)) as store:
        limiter = limiter_on(store, clock)
        reserve(limiter, 5)
        limiter.block(20)
        before = limiter.idle_in()
        clock.step(-3600)
        assert limiter.idle_in() == pytest.approx(before)
        assert reserve(limiter, 1) == pytest.approx(before)
        assert reserve(limiter, 1) == pytest.approx(before + 0.5, abs=0.01)


def test_a_wall_clock_set_forward_forgets_the_queue_once(tmp_path: Path) -> None:
    """If the wall clock is set forward, one burst passes, and then the limit holds again."""
    clock = VirtualClock()
    with closing(bare(tmp_path / "limit", clock, None)) as store:
        limiter = limiter_on(store, clock)
        reserve(limiter, 50)
        clock.step(3600)
        assert reserve(limiter, 2) == 0
        assert reserve(limiter, 1) == pytest.approx(0.65, abs=0.01)


def test_each_boot_and_each_account_has_its_own_bucket(tmp_path: Path) -> None:
    """Buckets of other boots and accounts have no effect."""
    clock = VirtualClock()
    names = [("one", "account"), ("two", "account"), ("one", "other")]
    for boot, account in names:
        with closing(bare(tmp_path / "limit", clock, boot, account)) as store:
            assert limiter_on(store, clock).idle_in() == 0
            reserve(limiter_on(store, clock), 100)


def test_the_file_stays_small(tmp_path: Path) -> None:
    """Buckets unused for a week are removed when a process opens the file."""
    clock = VirtualClock()
    for day in range(30):
        with closing(bare(tmp_path / "limit", clock, account=str(day))) as store:
            store.reserve(1, 0)
        clock.advance(86_400)
    with closing(sqlite3.connect(tmp_path / "limit")) as connection:
        assert connection.execute("SELECT count(*) FROM buckets").fetchone() == (8,)


@pytest.mark.skipif(sys.platform != "linux", reason="the boot's id is Linux's")
def test_linux_tells_boots_apart() -> None:
    """Linux has an id of the boot, so that processes can share the monotonic clock."""
    assert boot_id() == boot_id() != ""


def test_the_default_file_is_its_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else can read the user's file and directory, and they contain nothing of the token."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    old = os.umask(0)
    try:
        with closing(open_store(None, host="h", token="secret", clock=VirtualClock(), logger=LOGGER)) as store:
            store.reserve(1, 0)
    finally:
        os.umask(old)
    folder = tmp_path / "tap-jetti"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert b"secret" not in file.read_bytes()
    assert (folder / "rate-limit.sqlite").is_file()


def test_a_relative_state_directory_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative `XDG_STATE_HOME` counts as unset, as XDG demands: the file is below the home directory."""
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path))
    with closing(open_store(None, host="h", token="t", clock=VirtualClock(), logger=LOGGER)) as store:
        store.reserve(1, 0)
    assert (tmp_path / ".local/state/tap-jetti/rate-limit.sqlite").is_file()


@pytest.mark.skipif(os.name != "posix", reason="there is no passwd file")
def test_without_a_home_the_process_keeps_to_the_rate_by_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A user without a home directory gets a warning and half of the rate, or an error with `fail`."""

    def nobody(_: int) -> None:
        raise KeyError

    for name in ("XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    clock = VirtualClock()
    store = open_store(None, host="h", token="t", clock=clock, logger=LOGGER)
    limiter = RateLimiter(store, rate=2, burst=2, clock=clock)
    assert sum(limiter.acquire().waited for _ in range(101)) == pytest.approx(100, rel=0.02)
    assert "Set XDG_STATE_HOME" in caplog.text
    assert "50 % of the rate" in caplog.text
    with pytest.raises(StoreError, match="Set XDG_STATE_HOME"):
        open_store(None, host="h", token="t", fallback="fail", clock=VirtualClock(), logger=LOGGER)


@pytest.mark.parametrize("slashes", [3, 4])
def test_a_url_names_the_file(tmp_path: Path, slashes: int) -> None:
    """Both `sqlite:///path` and `sqlite:////path` name an absolute path, whose directory is made."""
    path = tmp_path / "new" / "limit?%20#"
    url = "sqlite:" + "/" * slashes + str(path).lstrip("/")
    with closing(open_store(url, host="h", token="t", fallback="fail", clock=VirtualClock(), logger=LOGGER)) as store:
        store.reserve(1, 0)
    assert path.is_file()


def broken(kind: str, folder: Path) -> Path:
    """Return the path of a file that cannot be used."""
    path = folder / "limit"
    if kind == "below a file":
        (folder / "file").touch()
        return folder / "file" / "limit"
    if kind == "a directory":
        path.mkdir()
    elif kind == "not a database":
        path.write_bytes(b"not a database" * 1000)
    elif kind == "another database":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE buckets (x)")
    else:
        with closing(bare(path, VirtualClock())) as store:
            store.reserve(1, 0)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE buckets SET empty_at = 'soon'")
    return path


KINDS = ["below a file", "a directory", "not a database", "another database"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_cannot_be_used_is_warned_of_once(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run continues alone at half the rate, and the file is not changed."""
    clock = VirtualClock()
    path = broken(kind, tmp_path)
    before = path.read_bytes() if path.is_file() else None
    store = open_store(f"sqlite://{path}", host="h", token="t", clock=clock, logger=LOGGER)
    limiter = RateLimiter(store, rate=2, burst=2, clock=clock)
    waited = sum(limiter.acquire().waited for _ in range(101))
    assert waited == pytest.approx(100, rel=0.02)
    (warning,) = caplog.records
    assert warning.levelname == "WARNING"
    assert f"The rate limit's file {path} cannot be used: " in warning.getMessage()
    assert "50 % of the rate" in warning.getMessage()
    assert before is None or path.read_bytes() == before


def test_without_the_users_file_the_rate_is_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the default file cannot be used, other processes may be alone, too: each takes half of the rate."""
    clock = VirtualClock()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    store = open_store(None, host="h", token="t", clock=clock, logger=LOGGER)
    limiter = RateLimiter(store, rate=2, burst=2, clock=clock)
    assert sum(limiter.acquire().waited for _ in range(101)) == pytest.approx(100, rel=0.02)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("kind", [*KINDS, "damaged values"])
def test_a_file_that_cannot_be_used_fails_if_that_is_asked_for(kind: str, tmp_path: Path) -> None:
    """With `fail`, the error names the file and what to do."""
    clock = VirtualClock(monotonic=1000)
    path = broken(kind, tmp_path)
    store = (
        bare(path, clock)
        if kind == "damaged values"
        else open_store(f"sqlite://{path}", host="h", token="t", fallback="fail", clock=clock, logger=LOGGER)
    )
    for call in (lambda: store.reserve(1, 0), lambda: store.block(1, 1), store.peek):
        with pytest.raises(StoreError, match=r"limit cannot be used: .* Delete it if it is damaged"):
            call()
    store.close()


def test_a_file_that_can_be_used_again_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If the file is deleted, a new one is shared some seconds later."""
    caplog.set_level("INFO")
    clock = VirtualClock()
    path = tmp_path / "limit"
    with closing(open_store(f"sqlite://{path}", host="h", token="t", clock=clock, logger=LOGGER)) as store:
        limiter = RateLimiter(store, rate=2, burst=2, clock=clock)
        limiter.acquire()
        path.unlink()
        limiter.acquire()
        assert store.peek().source == "memory"
        clock.advance(RECHECK_SECONDS)
        limiter.acquire()
        assert store.peek().source == "sqlite"
    assert path.is_file()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


LOCKED_PROCESS = """
import json, sys, threading, time
from pathlib import Path
from tap_jetti.client.clock import SystemClock
from tap_jetti.client.rate_limit import RateLimiter, open_store
import logging
clock = SystemClock()
store = open_store("sqlite://" + sys.argv[1], host="h", token="t", clock=clock, logger=logging.getLogger())
limiter = RateLimiter(store, rate=2, burst=2, clock=clock)
limiter.idle_in()
print("ready", flush=True)
end = float(sys.stdin.readline()) + 5
grants = []
def work():
    while time.time() < end:
        grants.append(limiter.acquire().granted_at)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(grants))
"""


@pytest.mark.skipif(boot_id() is None, reason="the processes compare times on the clock of this boot")
def test_a_file_that_is_locked_for_a_while_lets_nobody_exceed_the_limit(tmp_path: Path) -> None:
    """Three processes wait for the lock, and do not make up afterwards for the slots that they missed meanwhile."""
    path = tmp_path / "limit"
    command = [sys.executable, "-c", LOCKED_PROCESS, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [subprocess.Popen(command, **pipes, env=ENVIRONMENT) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    start = f"{time.time()}\n".encode()
    for process in processes:
        process.stdin.write(start)
        process.stdin.flush()
    time.sleep(1)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        locked_at = time.monotonic()
        time.sleep(2.5)
        unlocked_at = time.monotonic()
    grants = sorted(moment for output in talk(processes, b"") for moment in json.loads(output))
    level, last = 0.0, grants[0]
    for moment in grants:
        level, last = max(0.0, level - 2 * (moment - last)) + 1, moment
        assert level <= 2.5
    assert not [moment for moment in grants if locked_at + 0.3 < moment < unlocked_at]
    assert [moment for moment in grants if moment > unlocked_at], "they go on afterwards"


def test_a_lock_is_waited_for_in_the_clock_that_a_signal_stops(tmp_path: Path) -> None:
    """Who waits for a lock can be interrupted."""
    clock = VirtualClock()
    path = tmp_path / "limit"
    with closing(bare(path, clock)) as store:
        store.reserve(1, 0)
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            clock.stop()
            with pytest.raises(Interrupted):
                store.reserve(1, 0)


def test_a_lock_that_was_lost_is_not_waited_for_again_and_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a minute the process goes on alone, and looks only briefly whether the file is still locked."""
    clock = VirtualClock()
    path = tmp_path / "limit"
    with closing(open_store(f"sqlite://{path}", host="h", token="t", clock=clock, logger=LOGGER)) as store:
        store.reserve(1, 0)
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            waits = []
            for _ in range(3):
                began = clock.monotonic()
                assert store.reserve(1, 0).source == "memory"
                waits.append(clock.monotonic() - began)
                clock.advance(RECHECK_SECONDS)
        clock.advance(RECHECK_SECONDS)
        assert store.reserve(1, 0).source == "sqlite"
    assert waits[0] == pytest.approx(LOCK_SECONDS, abs=1)
    assert max(waits[1:]) < 1
    assert "limit is locked by another program; waiting for up to 60 s." in caplog.text
    assert len(caplog.records) == 2


def test_a_lock_that_is_never_released_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A process that holds the lock of the file stops others for a minute only."""
    clock = VirtualClock()
    path = tmp_path / "limit"
    with closing(open_store(f"sqlite://{path}", host="h", token="t", clock=clock, logger=LOGGER)) as store:
        store.reserve(1, 0)
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            assert store.reserve(1, 0).source == "memory"
    assert "database is locked" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
@pytest.mark.parametrize("full", ["before", "later"])
def test_a_full_disk_stops_nobody(full: str, tmp_path: Path) -> None:
    """If nothing can be written any more, the process continues alone, with a warning."""
    script = """
import logging, resource, sys
from tap_jetti.client.clock import VirtualClock
from tap_jetti.client.rate_limit import open_store
logging.basicConfig(stream=sys.stdout)
store = open_store("sqlite://" + sys.argv[1], host="h", token="t", clock=VirtualClock(), logger=logging.getLogger())
if sys.argv[2] == "later":
    print(store.reserve(1, 0).source)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
print(store.reserve(1, 0).source, store.peek().source)
"""
    lines = run(script, tmp_path / "limit", full).splitlines()
    assert lines[:-2] == (["sqlite"] if full == "later" else [])
    assert "WARNING" in lines[-2]
    assert lines[-1] == "memory memory"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_shares_the_bucket_over_its_own_connection(tmp_path: Path) -> None:
    """A child forked while a thread of its parent uses the store takes over neither its lock nor its connection."""
    script = """
import os, sys
from pathlib import Path
from tap_jetti.client.clock import SystemClock
from tap_jetti.client.rate_limit.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]), "account", SystemClock(), boot="boot")
store.reserve(100.0, 0.0)
def fork(inherited):
    return inherited, os.fork()
inherited, child = store._run(fork)
if not child:
    assert 90 < store.reserve(100.0, 0.0).wait < 101
    assert store._connections[os.getpid()] is not inherited
    store.close()
    inherited.execute("SELECT 1")
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print(round(store.reserve(100.0, 0.0).wait / 100))
store.close()
"""
    assert run(script, tmp_path / "limit").split() == ["2"]
