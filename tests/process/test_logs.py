"""The log of a command: one line per message, without secrets, as text or JSON, a traceback only for DEBUG."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runs import config_for
from tap_jetti.facts.redaction import Redactor
from tap_jetti.process.logs import RedactingFactory, redact_logs
from tap_jetti.sandbox import Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import Commands

SECRET = "a-very-secret-word"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with two streams."""
    with Sandbox(Options(empty=True, rate=0)) as started:
        for resource in ("sales", "vendors"):
            started.replace(resource, [{"id": 1, "updatedAt": "2020-01-01T00:00:00Z"}])
        yield started


@pytest.fixture
def redactor() -> Iterator[Redactor]:
    """A redactor of all log records, while the test lasts."""
    made = Redactor([SECRET])
    redact_logs(made)
    yield made
    assert isinstance(logging.getLogRecordFactory(), RedactingFactory)


class UnprintableError(Exception):
    """An error whose arguments hold a secret."""


@pytest.mark.parametrize(
    ("message", "arguments", "shown"),
    [
        (f"x {SECRET}", (), "x ***"),
        ("x %s %d", (SECRET, 3), "x *** 3"),
        ("x %(a)s", ({"a": [SECRET]},), "x ['***']"),
        ("x %s", (UnprintableError(SECRET),), "x ***"),
        ("x %d", (SECRET,), "x %d ('***',)"),
        ("x\n%s", ("\x1b[2J",), r"x\n\x1b[2J"),
        ("100 %", (), "100 %"),
    ],
    ids=["message", "arguments", "mapping", "error", "arguments that do not fit", "control characters", "percent"],
)
def test_no_record_shows_a_secret(
    message: str, arguments: tuple[Any, ...], shown: str, redactor: Redactor, caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever library logs, and however a handler formats."""
    logging.getLogger("some.library").warning(message, *arguments)
    assert [record.getMessage() for record in caplog.records] == [shown]
    assert SECRET not in str(vars(caplog.records[0]))


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG], ids=logging.getLevelName)
def test_a_traceback_is_for_debug(level: int, redactor: Redactor, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever logs one; and it shows no secret, in none of its causes."""
    error = ValueError(f"caused by {SECRET}")
    error.__cause__ = UnprintableError(SECRET)
    with caplog.at_level(level):
        logging.getLogger("some.library").error("failed", exc_info=error)
    assert ("direct cause" in caplog.text) is (level == logging.DEBUG)
    assert ("caused by ***" in caplog.text) is (level == logging.DEBUG)
    assert SECRET not in caplog.text


def test_a_redactor_ends_with_its_plugin(caplog: pytest.LogCaptureFixture) -> None:
    """What one plug-in must not show does not change the messages of the next one in the process."""
    redact_logs(Redactor(["another-secret-word"]))
    logging.getLogger("some.library").warning("another-secret-word")
    assert "another-secret-word" in caplog.text


def test_a_good_night_is_one_line(sandbox: Sandbox, commands: Commands) -> None:
    """With `progress: never` the log of a run without problems is its closing line."""
    output = commands.run(config_for(sandbox, progress="never"), streams=("sales", "vendors"))
    assert [line.split(" | ")[-1].split()[0] for line in output.errors.splitlines()] == ["outcome=complete"]


def test_a_log_in_json_is_one_object_per_message(sandbox: Sandbox, commands: Commands) -> None:
    """With `LOG_FORMAT=json` whoever collects logs need not parse text; also for an error, and with its traceback."""
    for token, level, word in ((sandbox.token, "INFO", "outcome=complete"), ("wrong-token", "DEBUG", "Traceback")):
        config = config_for(sandbox, api_token=token)
        output = commands.run(config, streams=("sales",), environment={"LOG_FORMAT": "json", "LOGLEVEL": level})
        logged = [json.loads(line) for line in output.errors.splitlines()]
        assert word in logged[-1]["message"]
        assert {"level", "ts", "logger_name", "message"} <= logged[-1].keys()
        assert "wrong-token" not in output.errors


def test_metrics_are_for_those_who_ask(sandbox: Sandbox, commands: Commands) -> None:
    """The SDK's METRIC lines are in the log at DEBUG, or if a file configures logging, as Meltano does."""
    config = commands.directory / "logging.yml"
    config.write_text(
        "{version: 1, disable_existing_loggers: false,"
        " handlers: {own: {class: logging.StreamHandler, stream: ext://sys.stderr}}, root: {handlers: [own]}}"
    )
    for environment, has_metrics in (
        ({}, False), ({"TAP_JETTI_LOGLEVEL": "debug"}, True), ({"SINGER_SDK_LOG_CONFIG": str(config)}, True),
    ):  # fmt: skip
        output = commands.run(config_for(sandbox), streams=("sales",), environment=environment)
        assert ("METRIC" in output.errors) is has_metrics


def test_what_ends_a_thread_is_one_line(sandbox: Sandbox, commands: Commands) -> None:
    """An error that nothing foresaw is a message without a traceback, in whichever thread it is."""
    script = (
        "import threading, sys; from tap_jetti.process import command; from tap_jetti.tap import TapJetti;"
        "TapJetti.run = lambda self: (thread := threading.Thread(target=lambda: 1 / 0), thread.start(), thread.join(),"
        " [].pop());"
        "command.run_command(TapJetti)"
    )
    output = commands.run(config_for(sandbox), script=script)
    assert output.code == 1
    lines = [line.split(" | ")[-1] for line in output.errors.splitlines()]
    assert [line.split(".")[0] for line in lines] == [
        "Unexpected error: ZeroDivisionError: division by zero", "Unexpected error: IndexError: pop from empty list",
    ]  # fmt: skip
    assert threading.excepthook is not None


@pytest.mark.parametrize("plugin", ["tap", "target"])
def test_a_closed_standard_error_does_not_decide(plugin: str, sandbox: Sandbox, commands: Commands) -> None:
    """A command that nobody listens to ends as it would otherwise."""
    script = f"import os, sys; os.close(2); sys.stderr = None; from tap_jetti.cli import {plugin}; {plugin}()"
    config = config_for(sandbox, **({"skip_unchanged": False} if plugin == "target" else {}))
    streams = {"streams": ("sales",)} if plugin == "tap" else {}
    output = commands.run(config, script=script, has_input=False, **streams)
    assert (output.code, output.errors) == (0, "")


def test_a_broken_installation_is_one_line(commands: Commands) -> None:
    """A package that is missing is named."""
    script = "import sys; sys.modules['singer_sdk'] = None; from tap_jetti.cli import tap; tap()"
    output = commands.run(None, script=script)
    assert output.code == 1
    assert len(output.errors.splitlines()) == 1
    assert "singer_sdk" in output.errors
