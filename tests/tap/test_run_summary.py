"""The closing summary of a run in JSON: the setting `summary_path`."""

from __future__ import annotations

import itertools
import json
import signal
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runs import config_for, finish
from tap_jetti.sandbox import Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runs import Commands

ROWS = [{"id": n, "updatedAt": f"2020-01-0{n}T00:00:00Z"} for n in range(1, 4)]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with three sales and three vendors."""
    with Sandbox(Options(empty=True, rate=0)) as started:
        for resource in ("sales", "vendors"):
            started.replace(resource, ROWS)
        yield started


def test_of_a_complete_run(sandbox: Sandbox, commands: Commands) -> None:
    """It has the outcome, the requests, and the figures of each stream, and nothing else is in its folder."""
    sandbox.replace("sales", [*ROWS[:2], {**ROWS[2], "total": "1,234.50"}])
    sandbox.replace("vendors", ROWS[:1])
    path = commands.directory / "new" / "summary.json"
    assert commands.run(config_for(sandbox, summary_path=str(path)), streams=("sales", "vendors")).code == 0
    summary = json.loads(path.read_text())
    assert list(path.parent.iterdir()) == [path]
    seconds = [summary["streams"][name].pop("seconds") for name in ("sales", "vendors")]
    assert min(seconds) >= 0
    assert summary == {
        "outcome": "complete",
        "exit_code": 0,
        "cause": None,
        "streams": {
            "sales": {"outcome": "complete", "proof": "proven", "rows": 3, "invalid_values": 1},
            "vendors": {"outcome": "complete", "proof": "proven", "rows": 1, "invalid_values": 0},
        },
        "gets": len(sandbox.requests),
        "refused": 0,
        "retries": 0,
        "waited_seconds": 0.0,
        "invalid_values": 1,
    }


FAILURES: list[tuple[str, dict[str, Any], dict[str, Any], tuple[str, int, str], dict[str, str]]] = [
    (
        "a stream is forbidden",
        {"forbidden": ("sales",)},
        {},
        ("incomplete", 77, "sales: "),
        {"sales": "failed", "vendors": "complete"},
    ),
    (
        "the token is refused",
        {},
        {"api_token": "wrong-token"},
        ("failed", 77, "token"),
        {"sales": "failed", "vendors": "not started"},
    ),
    ("a setting is misspelt", {}, {"strat_date": "2020-01-01"}, ("failed", 78, "Did you mean start_date?"), {}),
    ("a setting is wrong", {}, {"rate_limit": 0}, ("failed", 78, "rate_limit"), {}),
    ("the token is missing", {}, {"api_token": ""}, ("failed", 78, "api_token"), {}),
    (
        "nobody is there",
        {},
        {"api_url": "http://127.0.0.1:9/api/"},
        ("failed", 75, "127.0.0.1"),
        {"sales": "failed", "vendors": "not started"},
    ),
]


@pytest.mark.parametrize(
    ("options", "settings", "expected", "outcomes"), [case[1:] for case in FAILURES], ids=[case[0] for case in FAILURES]
)
def test_of_a_run_that_fails(
    options: dict[str, Any],
    settings: dict[str, Any],
    expected: tuple[str, int, str],
    outcomes: dict[str, str],
    sandbox: Sandbox,
    commands: Commands,
) -> None:
    """It is written then, too, with the exit code, the cause, and the streams that were not read."""
    for name, value in options.items():
        setattr(sandbox.options, name, value)
    path = commands.directory / "summary.json"
    config = config_for(sandbox, **{"summary_path": str(path), "retry_seconds": 0, "concurrency": 1, **settings})
    output = commands.run(config, streams=("sales", "vendors"))
    summary = json.loads(path.read_text())
    assert (summary["outcome"], summary["exit_code"]) == expected[:2]
    assert summary["exit_code"] == output.code
    assert expected[2] in summary["cause"]
    assert "wrong-token" not in path.read_text()
    assert {name: stream["outcome"] for name, stream in summary["streams"].items()} == outcomes


@pytest.mark.parametrize("file", ["catalog", "state"])
def test_of_a_wrong_file(file: str, sandbox: Sandbox, commands: Commands) -> None:
    """A catalog or a state that cannot be used is a cause, too, where the path is from the environment."""
    path = commands.directory / "summary.json"
    output = commands.run(
        config_for(sandbox),
        "--config=ENV",
        environment={"TAP_JETTI_SUMMARY_PATH": str(path)},
        **{file: {"streams": [{}], "bookmarks": []}},
    )
    summary = json.loads(path.read_text())
    assert (output.code, summary["exit_code"], summary["outcome"]) == (78, 78, "failed")
    assert file in summary["cause"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
def test_of_an_interrupted_run(number: signal.Signals, sandbox: Sandbox, commands: Commands) -> None:
    """It tells the rows that were written until the signal; that of an earlier run is gone even after a kill."""
    path = commands.directory / "summary.json"
    path.write_text("of an earlier run")
    came, go_on, requests = threading.Event(), threading.Event(), itertools.count()
    sandbox.replace("sales", [{"id": n, "updatedAt": f"2020-01-01T00:{n:02}:00Z"} for n in range(1, 21)])

    def hold(*_: object) -> None:
        if next(requests):
            came.set()
            go_on.wait(30)

    sandbox.on_request = hold
    config = config_for(sandbox, summary_path=str(path), page_size=10, concurrency=1)
    with commands.start(config, streams=("sales", "vendors")) as process:
        assert came.wait(30)
        process.send_signal(number)
        output = finish(process) if number is signal.SIGKILL else None
        go_on.set()
        output = output or finish(process)
    if number is signal.SIGKILL:
        assert not path.exists()
        return
    summary = json.loads(path.read_text())
    assert (output.code, summary["exit_code"], summary["outcome"]) == (143, 143, "interrupted")
    assert summary["cause"] == "Stopped by SIGTERM."
    assert {name: (own["outcome"], own["rows"]) for name, own in summary["streams"].items()} == {
        "sales": ("interrupted", len(output.records("sales"))),
        "vendors": ("not started", 0),
    }


@pytest.mark.parametrize("name", ["config.json", "state.json", "catalog.json"])
def test_an_input_is_not_replaced(name: str, sandbox: Sandbox, commands: Commands) -> None:
    """A path that is also that of an input would destroy it, so it is refused."""
    path = commands.directory / name
    config = config_for(sandbox, summary_path=str(path))
    output = commands.run(config, catalog={"streams": []}, state={"bookmarks": {}})
    assert output.code == 78
    assert "is a file that this run reads" in output.errors
    assert path.read_text()


@pytest.mark.parametrize("name", ["folder", "file/summary.json", "a\0b", "~nobody-here/summary.json", "n" * 5000])
def test_a_path_that_cannot_be_written(name: str, sandbox: Sandbox, commands: Commands) -> None:
    """The run ends before it sends a request."""
    (commands.directory / "folder").mkdir()
    (commands.directory / "file").touch()
    path = name if name[0] == "~" else str(commands.directory / name)
    output = commands.run(config_for(sandbox, summary_path=path), streams=("sales",))
    assert (output.code, len(sandbox.requests)) == (78, 0)
    assert "summary_path" in output.errors
    assert "Traceback" not in output.errors


def test_a_device_is_not_replaced(sandbox: Sandbox, commands: Commands) -> None:
    """A pipe or a device is written to as it is."""
    config = config_for(sandbox, summary_path="/dev/stderr")
    output = commands.run(config, streams=("sales",))
    assert output.code == 0
    assert json.loads(output.errors.strip().split("\n")[-1])["outcome"] == "complete"


def test_a_link_is_followed(sandbox: Sandbox, commands: Commands, tmp_path: Path) -> None:
    """A link to a file stays one, and other users' permissions to read the file are those of the process."""
    (tmp_path / "elsewhere").mkdir()
    link, real = tmp_path / "summary.json", tmp_path / "elsewhere" / "real.json"
    link.symlink_to(real)
    commands.run(config_for(sandbox, summary_path=str(link)), streams=("sales",))
    assert link.is_symlink()
    assert json.loads(real.read_text())["outcome"] == "complete"
    assert stat.S_ISREG(real.stat().st_mode)
