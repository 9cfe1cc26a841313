"""The exit code of a command says what a retry can do: one test per cause, as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runs import REPOSITORY, config_for
from tap_jetti.sandbox import Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import Commands

ROW = {"id": 1, "updatedAt": "2020-01-01T00:00:00Z"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with one sale, one vendor, and a feed of an account."""
    with Sandbox(Options(empty=True, rate=0)) as started:
        for resource in ("sales", "vendors"):
            started.replace(resource, [ROW])
        started.upsert("inventory_feeds", {"id": 7, "name": "One", "resourceType": "webhook", "hash": "h7"})
        yield started


TAP = [
    ("everything was read", {}, {}, 0),
    ("a setting is wrong", {}, {"rate_limit": 0}, 78),
    ("a setting is misspelt", {}, {"strat_date": "2020-01-01"}, 78),
    ("the token is missing", {}, {"api_token": ""}, 78),
    ("the token is refused", {}, {"api_token": "wrong"}, 77),
    ("a stream is forbidden", {"forbidden": ("sales",)}, {}, 77),
    ("a stream does not exist", {"missing": ("sales",)}, {}, 1),
    ("one stream is forbidden, another does not exist", {"forbidden": ("sales",), "missing": ("vendors",)}, {}, 1),
    ("the server fails", {"faults": 1.0, "fault_kinds": ("503",)}, {}, 75),
    ("the server answers with HTML", {"faults": 1.0, "fault_kinds": ("html-200",)}, {}, 75),
    ("the server ignores the order", {"ignore_order": True}, {}, 1),
    ("nobody is there", {}, {"api_url": "http://127.0.0.1:9/api/"}, 75),
    ("the host is not found", {}, {"api_url": "https://jetti.invalid/api/"}, 75),
    ("the server has no TLS", {}, {"api_url": "https"}, 75),
    ("the server is throttled for long", {"faults": 1.0, "fault_kinds": ("429",)}, {}, 75),
    ("plain http to another machine", {}, {"api_url": "http://jetti.invalid/api/"}, 78),
    ("the store of the rate limit is none", {}, {"rate_limit_store": "mysql://x"}, 78),
    ("a number is no number", {}, {"page_size": "abc"}, 78),
    ("include is no object", {}, {"include": "x"}, 78),
    ("a stream map is wrong", {}, {"stream_maps": {"sales": {"x": "1 +"}}}, 78),
    ("the rate limit store fails", {}, {"rate_limit_store": "sqlite:////proc/no/x", "rate_limit_fallback": "fail"}, 75),
]


@pytest.mark.parametrize(("options", "settings", "code"), [case[1:] for case in TAP], ids=[case[0] for case in TAP])
def test_of_the_tap(
    options: dict[str, Any], settings: dict[str, Any], code: int, sandbox: Sandbox, commands: Commands
) -> None:
    """One message says why, and none of them is a traceback."""
    if "ignore_order" in options:
        sandbox.replace("sales", [{**ROW, "id": n, "updatedAt": f"2020-01-01T00:00:{60 - n}Z"} for n in range(1, 50)])
    for name, value in options.items():
        setattr(sandbox.options, name, value)
    if settings.get("api_url") == "https":
        settings = {"api_url": sandbox.api_url.replace("http:", "https:")}
    output = commands.run(config_for(sandbox, **{"retry_seconds": 0, **settings}), streams=("sales", "vendors"))
    assert output.code == code, output.errors[-1500:]
    assert "Traceback" not in output.errors
    assert "unhandled" not in output.errors


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"config": "{"}, 78),
        ({"state": "[]"}, 78),
        ({"state": {"bookmarks": {"sales": {"replication_key_value": "2999-01-01T00:00:00Z"}}}}, 78),
        ({"catalog": {"streams": [{}]}}, 78),
    ],
    ids=["config is not JSON", "state is a list", "bookmark in the future", "catalog is malformed"],
)
def test_of_the_taps_files(files: dict[str, Any], code: int, sandbox: Sandbox, commands: Commands) -> None:
    """What must be corrected first is 78, whichever file it is in."""
    config = files.pop("config", config_for(sandbox))
    streams = () if "catalog" in files else ("sales",)
    output = commands.run(config, streams=streams, **files)
    assert output.code == code, output.errors[-1500:]


def test_of_wrong_usage(commands: Commands) -> None:
    """An unknown option is 2, and so is a file of a catalog that is not there."""
    assert commands.run(None, "--no-such-option").code == 2
    assert commands.run(None, "--catalog", "/no/such/file.json").code == 2


@pytest.mark.parametrize(
    ("variable", "text"), [("PAGE_SIZE", "abc"), ("INCLUDE", "x"), ("TIMEOUT", "0"), ("API_URL", "x")]
)
def test_of_an_environment_variable(variable: str, text: str, sandbox: Sandbox, commands: Commands) -> None:
    """One that does not fit is 78 and one line that names the setting."""
    environment = {"TAP_JETTI_API_URL": sandbox.api_url, "TAP_JETTI_API_TOKEN": sandbox.token}
    environment[f"TAP_JETTI_{variable}"] = text
    output = commands.run(None, "--config", "ENV", streams=("sales",), environment=environment)
    assert output.code == 78
    assert len(output.errors.splitlines()) == 1
    assert variable.lower() in output.errors


def test_an_empty_environment_variable_is_none(sandbox: Sandbox, commands: Commands) -> None:
    """What is empty is not set."""
    environment = {
        "TAP_JETTI_API_URL": sandbox.api_url,
        "TAP_JETTI_API_TOKEN": sandbox.token,
        "TAP_JETTI_PAGE_SIZE": "",
    }
    assert commands.run(None, "--config", "ENV", streams=("sales",), environment=environment).code == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_of_a_full_disk(sandbox: Sandbox, commands: Commands) -> None:
    """Standard output that cannot be written is 1, and one line."""
    with (
        Path("/dev/full").open("w", encoding="utf-8") as full,
        commands.start(config_for(sandbox, progress="never"), streams=("sales",), stdout=full) as process,
    ):
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Cannot write to standard output" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_of_a_signal(number: int, code: int, sandbox: Sandbox, commands: Commands) -> None:
    """128 and the number of the signal, as in shells."""
    sandbox.options.latency = 30.0
    with commands.start(config_for(sandbox), streams=("sales",)) as process:
        while not sandbox.requests:
            time.sleep(0.02)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors


SCHEMA = {
    "type": "SCHEMA", "stream": "inventory_feed_variants", "key_properties": ["externalId"],
    "schema": {"properties": {"externalId": {}, "inventoryQuantity": {}}},
}  # fmt: skip
RECORD = {"type": "RECORD", "stream": "inventory_feed_variants", "record": {"externalId": "a", "inventoryQuantity": 1}}

TARGET = [
    ("everything was written", {}, {}, [SCHEMA, RECORD], 0),
    ("a setting is wrong", {}, {"batch_size": 51}, [], 78),
    ("a setting is misspelt", {}, {"dry_runn": True}, [], 78),
    ("the token is refused", {}, {"api_token": "wrong"}, [SCHEMA, RECORD], 77),
    ("the server fails", {"faults": 1.0, "fault_kinds": ("503",)}, {}, [SCHEMA, RECORD], 75),
    ("nobody is there", {}, {"api_url": "http://127.0.0.1:9/api/"}, [SCHEMA, RECORD], 75),
    ("the host is not found", {}, {"api_url": "https://jetti.invalid/api/"}, [SCHEMA, RECORD], 75),
    ("the inbound API is down", {}, {"inbound_url": "http://127.0.0.1:9/webhooks/"}, [SCHEMA, RECORD], 75),
    ("the server is throttled for long", {"faults": 1.0, "fault_kinds": ("429",)}, {}, [SCHEMA, RECORD], 75),
    (
        "the rate limit store fails", {},
        {"rate_limit_store": "sqlite:////proc/no/x", "rate_limit_fallback": "fail"}, [SCHEMA, RECORD], 75,
    ),
    ("the feeds are forbidden", {"forbidden": ("inventory_feeds",)}, {}, [SCHEMA, RECORD], 77),
    ("the token is missing", {}, {"api_token": ""}, [], 78),
    ("there is no such feed", {}, {"inventory_feed_id": 8}, [SCHEMA, RECORD], 78),
    ("plain http to another machine", {}, {"inbound_url": "http://jetti.invalid/"}, [], 78),
    ("a setting needs another one", {}, {"on_reject": "set_aside"}, [], 78),
    ("the rejects file cannot be written", {}, {"on_reject": "set_aside", "rejects_path": "/proc/no/x"}, [], 78),
    ("a file has no path", {}, {"delivery": "file"}, [], 78),
    ("an action that is none", {}, {"stream_actions": {"x": "y"}}, [], 78),
    ("a line is not JSON", {}, {}, [SCHEMA, "torn"], 78),
    ("a record comes before its SCHEMA", {}, {}, [RECORD], 78),
    ("no action has the name of the stream", {}, {}, [{**SCHEMA, "stream": "x"}], 78),
    ("a record is rejected", {}, {}, [SCHEMA, {**RECORD, "record": {"inventoryQuantity": 1}}], 1),
    (
        "a record is set aside", {}, {"on_reject": "set_aside", "rejects_path": "rejects.jsonl"},
        [SCHEMA, {**RECORD, "record": {"externalId": "a", "inventoryQuantity": "many"}}], 1,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "settings", "messages", "code"), [case[1:] for case in TARGET], ids=[case[0] for case in TARGET]
)
def test_of_the_target(
    options: dict[str, Any],
    settings: dict[str, Any],
    messages: list[Any],
    code: int,
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    """The same codes mean the same for what is written."""
    for name, value in options.items():
        setattr(sandbox.options, name, value)
    config = {
        "api_token": sandbox.token, "api_url": sandbox.api_url, "inbound_url": sandbox.inbound_url,
        "rate_limit": 1000, "rate_limit_burst": 1000, "rate_limit_store": "memory://", "inbound_rate_limit": 1000,
        "retry_seconds": 0, "inventory_feed_id": 7, **settings,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    paths = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    found = subprocess.run(
        [sys.executable, "-c", "from tap_jetti.cli import target; target()", "--config", "config.json"],
        input="".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in messages),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths, "XDG_STATE_HOME": str(tmp_path)},
        timeout=60,
        check=False,
    )
    assert found.returncode == code, found.stderr[-1500:]
    assert "Traceback" not in found.stderr
