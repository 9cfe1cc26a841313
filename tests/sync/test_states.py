"""Where the state of a sync is kept: every store keeps it whole, and lets one process at a time use it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import redis

from services import REDIS, postgres_database, redis_state
from tap_jetti.errors import SettingsError, StoreError
from tap_jetti.sync.state_keeper import StateKeeper
from tap_jetti.sync.states import postgresql as postgresql_states
from tap_jetti.sync.states import redis as redis_states
from tap_jetti.sync.states import remote_file
from tap_jetti.sync.states.local_lock import BusyError
from tap_jetti.sync.states.store import StateStore, reserved
from tap_jetti.sync.states.urls import duckdb_path, open_state
from tap_jetti.sync.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

from runs import LOGGER

STATE = {"bookmarks": {"sales": {"replication_key_value": "2020-01-01T00:00:00.000Z", "note": 'ü "x" \\ 👍'}}}
OTHER: dict[str, Any] = {"bookmarks": {}}
KINDS = ("file", "file URL", "link", "S3", "remote file", "Redis", "PostgreSQL", "DuckDB")
SHARED = ("S3", "remote file", "Redis", "PostgreSQL")
"""Those that several machines can use."""


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of an S3 server with a bucket."""
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - slow
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - 2 s

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    ).create_bucket(Bucket="states")
    yield endpoint
    server.stop()


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a state that does not exist yet, of the kind that the test asks for."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(remote_file, "SETTLE_SECONDS", 0.01)
    kind = request.param
    if kind == "Redis":
        with redis_state() as found:
            yield found
    elif kind == "PostgreSQL":
        with postgres_database() as found:
            yield found
    elif kind == "S3":
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", request.getfixturevalue("bucket")),
        ):
            monkeypatch.setenv(name, value)
        yield f"s3://states/{tmp_path.name}.json"
    elif kind == "DuckDB":
        with Warehouse(tmp_path / "w.duckdb") as warehouse:
            warehouse.commit()
        yield f"duckdb:///{tmp_path / 'w.duckdb'}"
    elif kind == "link":
        (tmp_path / "real").mkdir()
        (tmp_path / "link.json").symlink_to(tmp_path / "real" / "state.json")
        yield str(tmp_path / "link.json")
    else:
        scheme = {"file": "", "file URL": "file://", "remote file": "local://"}[kind]
        yield f"{scheme}{tmp_path / 'state.json'}"


def opened(url: str) -> StateStore:
    """The store of a URL."""
    return open_state(url)


def read(url: str) -> Any:
    """The state at a URL."""
    with contextlib.closing(opened(url)) as store:
        return store.read()


@pytest.mark.parametrize("url", KINDS, indirect=True)
def test_a_state_is_kept(url: str) -> None:
    """What was written last is read, by others too; where nothing was written, there is no state."""
    assert read(url) is None
    store = opened(url)
    with reserved(store):
        assert store.read() is None
        store.write(OTHER)
        store.write(STATE)
        assert store.read() == STATE
    assert read(url) == STATE
    store = opened(url)
    with reserved(store):
        store.write(OTHER)
    assert read(url) == OTHER


@pytest.mark.parametrize("url", KINDS, indirect=True)
def test_a_state_is_reserved_for_one_process(url: str) -> None:
    """Whoever comes second is told who was first; after that it is free again."""
    busy = rf"Another sync uses the state at .*\(process {os.getpid()} on"
    with reserved(opened(url)), pytest.raises(BusyError, match=busy), reserved(opened(url)):
        pass
    with reserved(opened(url)):
        pass


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_a_state_is_reserved_for_one_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process on another machine, where the lock of this one does not reach, is kept away by the store."""
    first = opened(url)
    first.lock()
    for module in (redis_states, remote_file):
        monkeypatch.setattr(module, "HOST", "elsewhere")
    try:
        with pytest.raises(BusyError, match="Another sync uses the state at"):
            opened(url).lock()
        first.write(STATE)
    finally:
        first.close()
    second = opened(url)
    second.lock()
    assert second.read() == STATE
    second.close()


@pytest.mark.parametrize("url", ["S3", "remote file", "Redis"], indirect=True)
def test_the_lock_of_a_process_that_was_killed_is_taken_over(url: str) -> None:
    """The lock of this machine shows that its owner has gone, so nobody waits for the end of the lease."""
    opened(url).lock()
    with reserved(opened(url)):
        pass


@pytest.mark.parametrize("url", ["S3", "remote file", "Redis"], indirect=True)
def test_a_lost_lock_is_noticed_before_a_write(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was away for so long that another took its place does not overwrite the other's state."""
    first = opened(url)
    first.lock()
    for module in (redis_states, remote_file):
        monkeypatch.setattr(module, "HOST", "elsewhere")
    if "redis" in url:
        client = redis.Redis.from_url(REDIS)
        client.delete(f"{first._key}:lock")  # type: ignore[attr-defined]
        client.close()
    else:
        first._system.rm_file(first._lock_path)  # type: ignore[attr-defined]
    second = opened(url)
    second.lock()
    second.write(STATE)
    monkeypatch.undo()
    with pytest.raises(BusyError):
        first.write(OTHER)
    assert second.read() == STATE
    second.close()
    first.close()


@pytest.mark.parametrize("url", ["PostgreSQL"], indirect=True)
def test_a_lost_connection_is_opened_again(url: str) -> None:
    """A write after the server was restarted succeeds, unless another process has taken the lock meanwhile."""
    first = opened(url)
    first.lock()

    def cut() -> None:
        with psycopg.connect(url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    cut()
    first.write(STATE)
    cut()
    second = opened(url)
    second.lock()
    with pytest.raises(BusyError):
        first.write(OTHER)
    assert second.read() == STATE
    second.close()
    assert postgresql_states.TABLE == "tap_jetti_state"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://user:p4ss@127.0.0.1:1/0", "The state at redis://127.0.0.1:1/0 cannot be used"),
        ("postgresql://user:p4ss@127.0.0.1:1/x", "The state at postgresql://127.0.0.1:1/x cannot be used"),
        ("/dev/null/state.json", "/dev/null"),
    ],
)
def test_a_store_that_cannot_be_reached_is_named(
    url: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the place and no password, and the exit code says that a retry may help."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(StoreError, match=message) as error, reserved(opened(url)):
        pass
    assert "p4ss" not in str(error.value)
    assert error.value.exit_code == 75


@pytest.mark.parametrize("content", ["[1]", "{", '"x"', "\xff"], ids=["array", "cut", "text", "binary"])
def test_a_state_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    """A file that holds something else is never taken for an empty state: everything would be read again."""
    (tmp_path / "state.json").write_text(content, "latin-1")
    with pytest.raises((SettingsError, StoreError), match=r"state\.json"):
        open_state(str(tmp_path / "state.json")).read()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_a_state_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """A folder that takes no file any more is named, and the state before stays as it was."""
    path = tmp_path / "state.json"
    store = open_state(str(path))
    store.write(STATE)
    part = tmp_path / f".state.json.{os.getpid()}"
    part.symlink_to("/dev/full")
    with pytest.raises(StoreError, match="No space left on device"):
        store.write(OTHER)
    assert json.loads(path.read_text()) == STATE
    assert not part.is_symlink()


def test_a_killed_writer_leaves_a_whole_state(tmp_path: Path) -> None:
    """A process that is killed while it writes leaves the state before or after, never a part of one."""
    path = tmp_path / "state.json"
    program = (
        "import sys; from pathlib import Path; from tap_jetti.sync.states.file import FileStore;"
        " store = FileStore(Path(sys.argv[1])); print(flush=True)\n"
        "while True: store.write({'bookmarks': {'x': 'y' * 100_000}})"
    )
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout
            writer.stdout.readline()
            time.sleep(0.05)  # any moment will do
            writer.kill()
        assert open_state(str(path)).read() in (None, {"bookmarks": {"x": "y" * 100_000}})


class _Flaky:
    """A store whose first writes fail."""

    place = "here"

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.written: list[Any] = []

    def write(self, state: Any) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise StoreError("The store is away.")
        self.written.append(state)


def test_a_store_that_is_away_for_a_while_gets_the_newest_state(caplog: pytest.LogCaptureFixture) -> None:
    """A write that fails is repeated, at the latest at the end of the run, and said once."""
    store: Any = _Flaky(2)
    keeper = StateKeeper(store, owner="me", logger=LOGGER)
    keeper.keep(OTHER)
    keeper.keep(STATE)
    keeper.start()
    assert keeper.finish() is None
    assert store.written == [{**STATE, "account": "me"}]
    assert caplog.text.count("The store is away.") == 1


def test_a_store_that_stays_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the last state cannot be stored, the run says so: its rows are read again."""
    monkeypatch.setattr("tap_jetti.sync.state_keeper.FINAL_SECONDS", 0.0)
    store: Any = _Flaky(10**6)
    keeper = StateKeeper(store, owner="me", logger=LOGGER)
    keeper.keep(STATE)
    keeper.start()
    assert isinstance(keeper.finish(), StoreError)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("duckdb:///jetti.duckdb", "jetti.duckdb"),
        ("duckdb:////srv/jetti.duckdb", "/srv/jetti.duckdb"),
        ("duckdb:///a%20b.duckdb", "a b.duckdb"),
    ],
)
def test_the_path_of_a_duckdb_url(url: str, path: str) -> None:
    """Three slashes: relative; four: absolute."""
    assert str(duckdb_path(url)) == path
