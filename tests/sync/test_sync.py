"""`jetti sync`: rows and state through a loader, signals, failures of each part, and two at once."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from sync_runs import ROWS, STREAMS, children, rows_of, signal_group, wait_for

if TYPE_CHECKING:
    from sync_runs import Syncs

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="only /proc names the children of a process")
SLOW = {"rate_limit": 12, "rate_limit_burst": 1, "concurrency": 1}
"""Settings with which a run takes two seconds."""


def tables(file: Path) -> dict[str, dict[int, str]]:
    """The rows of a DuckDB file, as `rows_of` gives those of a sandbox."""
    with duckdb.connect(str(file), read_only=True) as database:
        return {
            stream: {
                key: value.isoformat(timespec="milliseconds") + "Z"
                for key, value in database.execute(f'SELECT id, "updatedAt" FROM {stream}').fetchall()
            }
            for stream in STREAMS
        }


def test_a_sync_into_duckdb_is_one_command(syncs: Syncs) -> None:
    """Rows and state are in one file, and the next run reads only what changed."""
    first = syncs.run("--to", "duckdb:///w.duckdb")
    syncs.sandbox.touch("sales", [1, 2, 3])
    second = syncs.run("--to", "duckdb:///w.duckdb")

    assert (first.code, second.code) == (0, 0), first.log + second.log
    assert first.summary["outcome"] == "complete"
    assert first.summary["streams"]["sales"]["rows"] == ROWS
    assert second.summary["streams"]["sales"]["rows"] in {3, 4}
    assert tables(syncs.folder / "w.duckdb") == rows_of(syncs.sandbox, STREAMS)
    names = {path.name for path in syncs.folder.iterdir()}
    assert names - {"user"} == {"tap.json", "summary.json", "w.duckdb", "w.duckdb.lock"}


def test_a_sync_through_a_loader_keeps_its_state(syncs: Syncs) -> None:
    """The state of what the loader stored is in the file, readable for its owner only."""
    ended = syncs.run(*syncs.loader("noise"), "--state", "state.json")

    assert ended.code == 0, ended.log
    assert syncs.stored() == rows_of(syncs.sandbox, STREAMS)
    assert syncs.state() == dict.fromkeys(STREAMS, max(rows_of(syncs.sandbox, STREAMS)["sales"].values()))
    assert (syncs.folder / "state.json").stat().st_mode & 0o777 == 0o600
    assert "not a state; it is ignored: Loading" in ended.log


def test_settings_come_from_the_environment(syncs: Syncs) -> None:
    """Without --config the variables of the tap are read, and --select goes before them."""
    variables = {
        "TAP_JETTI_API_URL": syncs.sandbox.api_url,
        "TAP_JETTI_API_TOKEN": syncs.sandbox.token,
        "TAP_JETTI_RATE_LIMIT": "1000",
        "TAP_JETTI_RATE_LIMIT_STORE": "memory://",
        "TAP_JETTI_SELECT": "customers",
    }
    ended = syncs.jetti(
        *("sync", "--to", "duckdb:///w.duckdb", "--select", "sales", "--summary", "summary.json"),
        environment=variables,
    )
    assert ended.code == 0, ended.log
    assert list(ended.summary["streams"]) == ["sales"]


def _has_stored(syncs: Syncs, rows: float) -> bool:
    return syncs.lines() >= rows


def test_three_interrupted_runs_read_little_twice(syncs: Syncs) -> None:
    """Runs that a signal to the whole group stops lose nothing: together they read at most 1.1 times the rows."""
    syncs.settings.update(SLOW)
    total = 2 * ROWS
    for part in (1, 2):
        with syncs.start(*syncs.loader(), "--state", "state.json") as process:
            wait_for(partial(_has_stored, syncs, part * total / 3), process)
            signal_group(process, signal.SIGTERM)
            ended = syncs.finish(process)
        assert ended.code == 143, ended.log
        assert ended.summary["outcome"] == "interrupted"
        assert ended.summary["cause"] == "Stopped by SIGTERM."
        bookmarks = syncs.state()
        stored = syncs.stored()
        for stream, rows in rows_of(syncs.sandbox, STREAMS).items():
            passed = {key for key, date in rows.items() if date < bookmarks.get(stream, "")}
            assert passed <= stored.get(stream, {}).keys()
    read = syncs.lines()
    ended = syncs.run(*syncs.loader(), "--state", "state.json")

    assert ended.code == 0, ended.log
    assert total / 3 <= read < total
    assert syncs.lines() <= 1.1 * total
    assert syncs.stored() == rows_of(syncs.sandbox, STREAMS)


@pytest.mark.parametrize(
    ("fault", "code", "cause"),
    [
        ("die=150", 1, "The loader ended with exit code 1"),
        ("kill=150", 75, "The loader was killed by SIGKILL"),
        ("exit=1", 1, "The loader ended with exit code 1"),
        ("exit=78", 78, "The loader ended with exit code 78"),
        ("close=150", 1, "The loader ended before it had read everything"),
        ("silent", 1, "The loader ended without the last state"),
        ("hang=150", 75, "The loader has not read on for"),
    ],
)
def test_a_loader_that_fails_is_the_cause(syncs: Syncs, fault: str, code: int, cause: str) -> None:
    """The run ends, says why, and never keeps a state that the loader has not given."""
    timeout = ["--loader-timeout", "2"] if "hang" in fault else []
    ended = syncs.run(*syncs.loader(fault), "--state", "state.json", *timeout)

    assert (ended.code, ended.summary["exit_code"], ended.summary["outcome"]) == (code, code, "failed"), ended.log
    assert cause in ended.summary["cause"]
    assert "Traceback" not in ended.log
    bookmarks, stored = syncs.state(), syncs.stored()
    for stream, rows in rows_of(syncs.sandbox, STREAMS).items():
        assert {key for key, date in rows.items() if date < bookmarks.get(stream, "")} <= stored.get(stream, {}).keys()


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [("api_token", "wrong", 77), ("page_size", "many", 78), ("api_url", "http://127.0.0.1:9/api/", 75)],
)
def test_a_tap_that_fails_is_the_cause(syncs: Syncs, setting: str, value: str, code: int) -> None:
    """The exit code is that of the tap, and so is the cause."""
    syncs.settings[setting] = value
    ended = syncs.run(*syncs.loader(), "--state", "state.json")

    assert (ended.code, ended.summary["exit_code"]) == (code, code), ended.log
    assert ended.summary["cause"].startswith(f"The tap ended with exit code {code}: ")
    assert "Traceback" not in ended.log


@needs_proc
def test_a_tap_that_is_killed_leaves_what_was_stored(syncs: Syncs) -> None:
    """The loader stores what came in whole lines, and a retry goes on from there."""
    syncs.settings.update(SLOW)
    with syncs.start(*syncs.loader(), "--state", "state.json") as process:
        wait_for(lambda: syncs.lines() >= ROWS / 2, process)
        os.kill(children(process.pid)[1], signal.SIGKILL)
        ended = syncs.finish(process)

    assert (ended.code, ended.summary["outcome"]) == (75, "failed"), ended.log
    assert "The tap was killed by SIGKILL" in ended.summary["cause"]
    assert sum(stream["rows"] for stream in ended.summary["streams"].values()) == syncs.lines()
    assert syncs.run(*syncs.loader(), "--state", "state.json").code == 0
    assert syncs.stored() == rows_of(syncs.sandbox, STREAMS)


@needs_proc
@pytest.mark.parametrize("to", [True, False], ids=["DuckDB", "a loader"])
def test_a_sync_that_is_killed_takes_the_tap_with_it(syncs: Syncs, to: bool) -> None:
    """After kill -9 nothing goes on reading, and the next run begins when the loader has ended."""
    syncs.settings.update(SLOW)
    where = ["--to", "duckdb:///w.duckdb"] if to else [*syncs.loader(), "--state", "state.json"]
    with syncs.start(*where, stderr=None) as process:
        tap = wait_for(lambda: children(process.pid)[1:], process)[0]
        wait_for(lambda: len(syncs.sandbox.requests.entries(0)) >= 5, process)
        process.kill()
    wait_for(lambda: not Path(f"/proc/{tap}").exists() or " Z " in Path(f"/proc/{tap}/stat").read_text())
    ended = syncs.run(*where)

    assert ended.code == 0, ended.log
    stored = tables(syncs.folder / "w.duckdb") if to else syncs.stored()
    assert stored == rows_of(syncs.sandbox, STREAMS)


@pytest.mark.parametrize("to", [True, False], ids=["DuckDB", "a loader"])
def test_two_syncs_of_one_state_do_not_meet(syncs: Syncs, to: bool) -> None:
    """The second says at once that the first one runs, and that a retry may help."""
    syncs.settings.update(SLOW, rate_limit=2)
    where = ["--to", "duckdb:///w.duckdb"] if to else [*syncs.loader(), "--state", "state.json"]
    with syncs.start(*where) as first:
        wait_for(lambda: len(syncs.sandbox.requests.entries(0)) >= 3, first)
        second = syncs.run(*where)
        signal_group(first, signal.SIGHUP)
        assert syncs.finish(first).code == 129

    assert second.code == 75
    assert f"Another sync uses the state at {'w.duckdb' if to else 'state.json'} (process {first.pid} on" in second.log


def test_a_state_of_another_account_is_refused(syncs: Syncs) -> None:
    """A state that was written with another token would pass rows of this account by; setting it anew accepts it."""
    first = syncs.run(*syncs.loader(), "--state", "state.json")
    path = syncs.folder / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "account": "other"}))
    refused = syncs.run(*syncs.loader(), "--state", "state.json")
    shown = syncs.jetti("state", "show", "state.json").stdout
    (syncs.folder / "shown.json").write_text(shown)
    accepted = syncs.jetti("state", "set", "state.json", "shown.json")
    last = syncs.run(*syncs.loader(), "--state", "state.json")

    assert (first.code, refused.code, accepted.code, last.code) == (0, 78, 0, 0), refused.log + accepted.log
    assert "is that of another account" in refused.summary["cause"]
    assert last.summary["streams"]["sales"]["rows"] <= 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "--to"),
        (["--to", "duckdb:///w.duckdb", "--loader", "x"], 2, "--to"),
        (["--loader", "x"], 2, "--state is required"),
        (["--loader", "no-such-loader", "--state", "s.json"], 78, "Cannot start the loader: no-such-loader"),
        (["--loader", "'", "--state", "s.json"], 78, "The command of --loader is invalid"),
        (["--to", "sqlite:///w"], 78, "is not the URL of a file"),
        (["--to", "duckdb:///"], 78, "is not the URL of a file"),
        (["--to", "duckdb:///w.duckdb", "--state", "memory://x"], 78, "would be lost"),
        (["--to", "duckdb:///w.duckdb", "--state", "nonsense://x"], 78, "nonsense"),
        (["--to", "duckdb:///w.duckdb", "--state", "redis://user:p#w@x"], 78, "Percent-encode"),
        (["--to", "duckdb:///w.duckdb", "--config", "missing.json"], 78, "missing.json"),
        (["--to", "duckdb:///w.duckdb", "--summary", "/dev/null/summary.json"], 78, "Cannot write the summary"),
    ],
)
def test_what_cannot_work_is_said(syncs: Syncs, arguments: list[str], code: int, message: str) -> None:
    """Wrong arguments end the run with one line, before anything is read where that is known."""
    ended = syncs.run(*arguments)

    assert ended.code == code, ended.log
    assert message in ended.log
    assert "Traceback" not in ended.log
    assert "p#w" not in ended.log


@pytest.mark.parametrize(
    ("size", "message"),
    [(20_000, "Cannot write rows to a temporary file in"), (600_000, "DuckDB failed: ")],
    ids=["temporary files", "the warehouse"],
)
def test_a_disk_without_room(syncs: Syncs, size: int, message: str) -> None:
    """Nothing but whole transactions is in the file, and a retry, once there is room, goes on from there."""
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    # A file of the coverage that is cut off would be damaged.
    unmeasured = dict.fromkeys(("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"), "")
    ended = syncs.run("--to", "duckdb:///w.duckdb", preexec_fn=limit, environment=unmeasured)
    assert (ended.code, ended.summary["outcome"]) == (75, "failed"), ended.log
    assert message in ended.log
    assert "Traceback" not in ended.log
    assert syncs.run("--to", "duckdb:///w.duckdb").code == 0
    assert tables(syncs.folder / "w.duckdb") == rows_of(syncs.sandbox, STREAMS)


def test_a_state_without_its_warehouse_is_refused(syncs: Syncs) -> None:
    """If the file is new and the state is not, rows that were read before would be missing from it for good."""
    where = ["--to", "duckdb:///w.duckdb", "--state", "state.json"]
    assert syncs.run(*where).code == 0
    (syncs.folder / "w.duckdb").unlink()
    ended = syncs.run(*where)
    assert ended.code == 78, ended.log
    assert "w.duckdb does not exist, but the state at state.json says" in ended.log


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_closed_and_full_streams_do_no_harm(syncs: Syncs, closed: str) -> None:
    """A scheduler may start the sync without standard streams, or with a log that has no room."""
    config = syncs.folder / "tap.json"
    syncs.run("--to", "sqlite:///none")  # writes the config
    command = f'exec "$0" -c "from tap_jetti.cli import main; main()" sync --config {config} --to duckdb:///w.duckdb'
    code = subprocess.run(
        ["/bin/sh", "-c", f"{command} {closed}", sys.executable], cwd=syncs.folder, check=False, timeout=60
    ).returncode
    assert code == 0
    assert tables(syncs.folder / "w.duckdb") == rows_of(syncs.sandbox, STREAMS)
