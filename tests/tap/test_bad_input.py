"""Bad input and bad ends get a clear line and an exit code, and lose nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runs import TOKEN, UNLIMITED, Commands, Output, catalog_of, config_for, root
from tap_jetti.facts import resources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_jetti.sandbox import Sandbox

BOOKMARK = "2020-01-01T00:00:05.000Z"
STATE = {"bookmarks": {"sales": {"replication_key": "updatedAt", "replication_key_value": BOOKMARK}}}


def fill(sandbox: Sandbox, stream: str, count: int) -> None:
    """Rows of one second each."""
    rows = [
        {"id": n, "updatedAt": f"2020-01-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z"} for n in range(1, count + 1)
    ]
    sandbox.replace(stream, rows)


@pytest.fixture
def sandbox(sandboxes: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox with 250 sales and 30 vendors."""
    made = sandboxes()
    fill(made, "sales", 250)
    fill(made, "vendors", 30)
    return made


def clear(output: Output, code: int = 78) -> str:
    """The errors of a run that failed clearly: one or a few lines, no traceback, no token."""
    assert output.code == code, output.errors[-2000:]
    assert "Traceback" not in output.errors, output.errors[-2000:]
    assert TOKEN not in output.errors
    return output.errors


# --- settings -------------------------------------------------------------------------------------------------------

ELSEWHERE = {"api_url": "http://127.0.0.1:9/api/", "api_token": "any", **UNLIMITED, "retry_seconds": 0}

SETTINGS = [
    ("no token", {"api_token": None}, "api_token"),
    ("empty token", {"api_token": ""}, "api_token"),
    ("token of two lines", {"api_token": "two\nlines"}, "api_token"),
    ("token no header takes", {"api_token": "snow☃man"}, "api_token"),
    ("start_date", {"start_date": "yesterday"}, "start_date"),
    ("start_date no real day", {"start_date": "2019-99-99T99:99:99.999Z"}, "start_date"),
    ("end_date", {"end_date": "2020-13-01"}, "end_date"),
    ("ends before it starts", {"start_date": "2020-01-02", "end_date": "2020-01-01"}, "before end_date"),
    ("start_date at the end of time", {"start_date": "9999-12-31T23:59:59-14:00"}, "start_date"),
    ("rate_limit 0", {"rate_limit": 0}, "rate_limit"),
    ("rate_limit negative", {"rate_limit": -1}, "rate_limit"),
    ("rate_limit text", {"rate_limit": "fast"}, "rate_limit"),
    ("burst 0", {"rate_limit_burst": 0}, "rate_limit_burst"),
    ("store", {"rate_limit_store": "file://x"}, "rate_limit_store"),
    ("unwritable file", {"rate_limit_store": "sqlite:////proc/no/x.sqlite", "rate_limit_fallback": "fail"}, "/proc/no"),
    ("page_size 0", {"page_size": 0}, "page_size"),
    ("bookmark_lag negative", {"bookmark_lag": -1}, "bookmark_lag"),
    ("bookmark_lag endless", {"bookmark_lag": 1e12}, ""),
    ("bookmark_lag beyond all dates", {"bookmark_lag": 1e300}, "bookmark_lag must be at most"),
    ("bookmark_lag NaN", {"bookmark_lag": float("nan")}, "bookmark_lag"),
    ("end_date of year 1", {"end_date": "0001-01-01"}, "end_date"),
    (
        "nested include without model",
        {"include": {"sales": [{"model": "User", "include": [{}]}]}},
        "Invalid model None",
    ),
    ("include of a number", {"include": {"sales": [{"model": "User", "include": [{"model": 5}]}]}}, "Invalid model 5"),
    (
        "nested attributes that are no list",
        {"include": {"sales": [{"model": "User", "include": [{"model": "Role", "attributes": 5}]}]}},
        "attributes of Role",
    ),
    (
        "nested include that is no list",
        {"include": {"sales": [{"model": "User", "include": [{"model": "Role", "include": 5}]}]}},
        "include of Role",
    ),
    ("unknown_fields", {"unknown_fields": "drop"}, "unknown_fields"),
    ("api_url", {"api_url": "api.jetti.io"}, "api_url"),
    ("api_url with a password", {"api_url": "https://user:hidden-word@host/api"}, "api_url"),
    ("api_url with a bad port", {"api_url": "https://host:999999/api"}, "api_url"),
    ("id_snapshots", {"id_snapshots": ["sals"]}, "sals"),
    ("include no list", {"include": {"sales": "SaleItem"}}, "include"),
    ("nobody there", {}, "Cannot connect to 127.0.0.1"),
]


@pytest.mark.parametrize(("changes", "words"), [case[1:] for case in SETTINGS], ids=[case[0] for case in SETTINGS])
def test_a_bad_setting_is_named(changes: dict[str, Any], words: str, commands: Commands) -> None:
    """A wrong setting ends the run with 78 and a line that names it, with 75 where it names a place out of reach."""
    config = {name: value for name, value in {**ELSEWHERE, **changes}.items() if value is not None}
    may_pass = words in {"/proc/no", "Cannot connect to 127.0.0.1"}
    errors = clear(commands.run(config, streams=("sales",)), 75 if may_pass else 78)
    assert words in errors
    assert "hidden-word" not in errors


def test_an_invalid_value_is_named_in_a_line_that_can_be_read(commands: Commands) -> None:
    """Where a setting has many possible values, the message names the value and the setting, and does not list all."""
    errors = clear(commands.run({**ELSEWHERE, "id_snapshots": ["sals"]}, streams=("sales",)))
    [line] = [line for line in errors.splitlines() if "not sals" in line]
    assert "id_snapshots.0 must be one of" in line
    assert len(line) < 400


@pytest.mark.parametrize(
    "changes",
    [
        {"rate_limit": 1000.5},
        {"rate_limit_burst": 1000.5},
        {"bookmark_lag": 2.5},
        {"timeout": 7.5},
        {"retry_seconds": 1.5},
        {"rate_limit": 1000.5, "rate_limit_store": None},
    ],
    ids=",".join,
)
def test_a_setting_with_a_fraction_works(changes: dict[str, Any], sandbox: Sandbox, commands: Commands) -> None:
    """Numbers of a config file may have a fraction, also where a request is refused once."""
    sandbox.options.fault_kinds, sandbox.options.retry_after = ("429",), "seconds"

    def refuse(number: int, *_: str) -> None:
        sandbox.options.faults = float(number == 2)

    sandbox.on_request = refuse
    config = {name: value for name, value in {**config_for(sandbox), **changes}.items() if value is not None}
    output = commands.run(config, streams=("sales",))
    assert output.code == 0, output.errors[-2000:]
    assert len(output.ids("sales")) == 250


def test_an_unwritable_limiter_file_is_a_warning(sandbox: Sandbox, commands: Commands) -> None:
    """Where the limiter's file cannot be written, the run goes on alone and says so."""
    config = config_for(sandbox, rate_limit_store="sqlite:////proc/no/x.sqlite", rate_limit=10_000)
    output = commands.run(config, streams=("sales",))
    assert "/proc/no" in clear(output, 0)
    assert len(output.ids("sales")) == 250


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', "null", "api_token: x"])
def test_a_config_that_is_none_is_named(content: str, commands: Commands) -> None:
    """A config file that holds no JSON object ends the run with a line that says so."""
    errors = clear(commands.run(content))
    assert "onfig" in errors or "JSON" in errors


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', "7", '{"bookmarks": []}', '{"bookmarks": {"sales": 7}}'])
def test_a_state_that_is_none_is_named(content: str, sandbox: Sandbox, commands: Commands) -> None:
    """A state file that holds no Singer state ends the run before anything is read."""
    errors = clear(commands.run(config_for(sandbox), streams=("sales",), state=content))
    assert "tate" in errors or "JSON" in errors
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("content", ["{", "[]", '{"streams": {}}', '{"streams": [{}]}'])
def test_a_catalog_that_is_none_is_named(content: str, sandbox: Sandbox, commands: Commands) -> None:
    """A catalog file that holds no Singer catalog ends the run before anything is read."""
    errors = clear(commands.run(config_for(sandbox), catalog=content))
    assert "atalog" in errors or "JSON" in errors
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize(
    "part",
    [
        {"metadata": 5},
        {"metadata": [{}]},
        {"metadata": [{"breadcrumb": 5, "metadata": {}}]},
        {"metadata": [{"breadcrumb": [], "metadata": 5}]},
        {"schema": {"properties": 5}},
        {"schema": {"properties": {"total": 5}}},
        {"schema": {"properties": {"total": {"type": 5}}}},
        {"schema": {"properties": {"total": {"type": [5, "null"]}}}},
    ],
    ids=str,
)
def test_a_malformed_stream_of_a_catalog_is_named(part: dict[str, Any], sandbox: Sandbox, commands: Commands) -> None:
    """A catalog whose schema or metadata is not one ends the run with a line that names the stream."""
    catalog = catalog_of("sales")
    catalog["streams"][0] |= part
    errors = clear(commands.run(config_for(sandbox), catalog=catalog))
    assert "Invalid catalog: sales" in errors
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("flag", ["--config", "--state", "--catalog"])
def test_a_missing_file_is_named(flag: str, sandbox: Sandbox, commands: Commands) -> None:
    """A file that does not exist is named."""
    output = commands.run(None if flag == "--config" else config_for(sandbox), flag, "/no/such/file.json")
    assert output.code in {2, 78}
    assert "Traceback" not in output.errors, output.errors[-2000:]
    assert "/no/such/file.json" in output.errors


@pytest.mark.parametrize("value", ["yesterday", "", "2020-13-01", "2019-99-99T99:99:99.999Z", 7, {"a": 1}, [1]])
def test_a_bookmark_that_is_no_date_is_named(value: Any, sandbox: Sandbox, commands: Commands) -> None:
    """A bookmark that is no date ends the run before anything is read, with the stream and what to do."""
    state = {"bookmarks": {"sales": {"replication_key": "updatedAt", "replication_key_value": value}}}
    errors = clear(commands.run(config_for(sandbox), streams=("sales",), state=state))
    assert "Invalid bookmark of stream sales" in errors
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("what", ["stream", "field", "deselected stream", "deselected field"])
def test_an_unknown_name_in_the_catalog(what: str, sandbox: Sandbox, commands: Commands) -> None:
    """A catalog that selects an unknown stream or field is an error; one that only lists it is a warning."""
    catalog = catalog_of("sales")
    if "stream" in what:
        entry = json.loads(json.dumps(catalog["streams"][0]))
        entry["stream"] = entry["tap_stream_id"] = "sails"
        root(entry)["selected"] = "deselected" not in what
        catalog["streams"].append(entry)
    else:
        entry = catalog["streams"][0]
        entry["schema"]["properties"]["totall"] = {"type": ["string", "null"]}
        selected = {"inclusion": "available", "selected": "deselected" not in what}
        entry["metadata"].append({"breadcrumb": ["properties", "totall"], "metadata": selected})
    output = commands.run(config_for(sandbox), catalog=catalog)
    assert ("sails" if "stream" in what else "sales.totall") in clear(output, 78 * ("deselected" not in what))
    assert len(output.ids("sales")) == (250 if "deselected" in what else 0)
    assert len(sandbox.requests) == 0 or "deselected" in what


def test_an_unknown_option_ends_with_2(commands: Commands) -> None:
    """A wrong command line ends with 2."""
    output = commands.run(None, "--no-such-option")
    assert output.code == 2
    assert "Traceback" not in output.errors


# --- answers --------------------------------------------------------------------------------------------------------


def test_a_wrong_token_says_what_to_do(sandbox: Sandbox, commands: Commands) -> None:
    """A refused token ends the run at once, with the cure, and the state as it was."""
    output = commands.run(
        config_for(sandbox, api_token="wrong", concurrency=1), streams=("sales", "vendors"), state=STATE
    )
    assert "401 on GET /api/sales/count.json" in clear(output, 77)
    assert "Integrations > Api" in output.errors
    assert output.bookmark("sales") == BOOKMARK
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    ("option", "words", "code"),
    [("forbidden", "403 on GET /api/sales.json", 77), ("missing", "404 on GET /api/sales.json", 1)],
)
def test_a_stream_that_cannot_be_read_is_skipped(
    option: str, words: str, code: int, sandbox: Sandbox, commands: Commands
) -> None:
    """A stream without permission or resource is named, the others are read, and its bookmark stays."""
    setattr(sandbox.options, option, ("sales",))
    output = commands.run(config_for(sandbox), streams=("sales", "vendors"), state=STATE)
    errors = clear(output, code)
    assert words in errors
    assert "Streams not read completely: sales." in errors
    assert len(output.ids("vendors")) == 30
    assert output.bookmark("sales") == BOOKMARK


@pytest.mark.parametrize("kind", ["html-200", "truncated"])
def test_an_unreadable_answer_is_named_with_path_and_bytes(kind: str, sandbox: Sandbox, commands: Commands) -> None:
    """A 200 that stays HTML or cut ends with 1 and an error that names path and bytes; the bookmark stays."""
    sandbox.options.fault_kinds = (kind,)

    def spoil(_number: int, _method: str, path: str) -> None:
        sandbox.options.faults = float("sales" in path)

    sandbox.on_request = spoil
    output = commands.run(config_for(sandbox, retry_seconds=1), streams=("sales", "vendors"), state=STATE)
    named = [line for line in clear(output, 75).splitlines() if "GET /api/sales" in line and " bytes" in line]
    assert named
    assert "Retrying in" not in named[-1]
    assert output.bookmark("sales") == BOOKMARK


@pytest.mark.parametrize("lie", ["ignore_filter", "ignore_order"])
def test_a_server_that_ignores_the_query_is_an_error(lie: str, sandbox: Sandbox, commands: Commands) -> None:
    """A server that ignores filter or order is found out, and the bookmark stays."""
    setattr(sandbox.options, lie, True)
    output = commands.run(config_for(sandbox), streams=("sales",), state=STATE)
    assert "did not return what was asked for (GET sales.json)" in clear(output, 1)
    assert output.bookmark("sales") == BOOKMARK


def test_a_server_that_is_down_ends_the_run(sandbox: Sandbox, commands: Commands) -> None:
    """Streams that fail one after the other are an outage: the run ends rather than trying each of them."""
    sandbox.options.faults, sandbox.options.fault_kinds = 1.0, ("503",)
    output = commands.run(
        config_for(sandbox, retry_seconds=0, concurrency=1), catalog=catalog_of(*resources.names()[:10]), state=STATE
    )
    assert "503" in clear(output, 75)
    assert len(sandbox.requests) == 2


# --- interruptions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "int"])
@pytest.mark.parametrize("when", ["reading", "retrying", "writing"])
def test_an_interrupted_run_leaves_a_state_to_go_on_from(
    when: str, number: int, code: int, sandbox: Sandbox, commands: Commands
) -> None:
    """SIGTERM ends with 143 and SIGINT with 130, every line is whole, and the next run goes on without loss."""
    count = 20_000 if when == "writing" else 3000
    fill(sandbox, "sales", count)
    reached = threading.Event()

    def stop(request: int, *_: str) -> None:
        if request == 12:
            if when == "retrying":
                sandbox.options.faults, sandbox.options.fault_kinds = 1.0, ("503",)
            elif when == "reading":
                sandbox.options.latency = 30.0
            reached.set()

    sandbox.on_request = stop
    config = config_for(sandbox, retry_seconds=300)
    with commands.start(config, streams=("sales",)) as process:
        assert process.stdout is not None
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()))
        if when == "writing":
            # Nobody reads: the pipe is full and the tap stands in the midst of a line.
            still(sandbox)
        else:
            reader.start()
            assert reached.wait(30)
            still(sandbox, most=5)
        process.send_signal(number)
        if when == "writing":
            threading.Event().wait(0.2)
            reader.start()
        errors = process.stderr.read() if process.stderr else ""
        reader.join()
    sandbox.on_request = None
    sandbox.options.faults = sandbox.options.latency = 0.0
    assert process.returncode == code, errors[-2000:]
    assert "Traceback" not in errors, errors[-2000:]
    assert signal.Signals(number).name in errors
    first = Output(lines, errors, process.returncode)
    assert first.messages[-1]["type"] == "STATE"
    assert 0 < len(first.ids("sales")) < count
    second = commands.run(config, streams=("sales",), state=first.state)
    assert set(first.ids("sales")) | set(second.ids("sales")) == set(range(1, count + 1))
    assert first.bookmark("sales") is None or len(second.ids("sales")) < count


def still(sandbox: Sandbox, most: int = 50) -> None:
    """Wait until no request has come for a while, or for some rounds at most."""
    before = -1
    for _ in range(most):
        now = len(sandbox.requests)
        if now and now == before:
            return
        before = now
        threading.Event().wait(0.25)


def test_a_closed_stdout_is_no_traceback(sandbox: Sandbox, commands: Commands) -> None:
    """Where the reader goes away, as ``head`` does, the run ends with 1 and a line."""
    fill(sandbox, "sales", 3000)
    with commands.start(config_for(sandbox), streams=("sales",)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read() if process.stderr else ""
        process.wait(60)
    assert process.returncode == 1
    assert "Traceback" not in errors, errors[-2000:]
    assert "BrokenPipe" not in errors, errors[-2000:]
    assert "closed it before the end" in errors


def test_a_second_run_goes_on(sandbox: Sandbox, commands: Commands) -> None:
    """The state of one run is the start of the next, through files."""
    first = commands.run(config_for(sandbox), streams=("sales", "vendors"))
    assert clear(first, 0) is not None
    sandbox.upsert("sales", {"id": 7})
    second = commands.run(config_for(sandbox, bookmark_lag=0), streams=("sales", "vendors"), state=first.state)
    assert second.code == 0
    assert len(first.ids("sales")) == 250
    assert len(second.ids("sales")) <= 2
    assert second.ids("vendors") in ([], [30])


def test_secrets_stay_out_of_the_logs(sandbox: Sandbox, commands: Commands, tmp_path: Path) -> None:
    """At the most talkative level neither the token nor a value of a row is logged."""
    sandbox.upsert("sales", {"id": 9, "notes": "PRIVATE-ROW"})
    output = commands.run(
        config_for(sandbox),
        streams=("sales",),
        environment={"TAP_JETTI_LOGLEVEL": "DEBUG", "HOME": os.fspath(tmp_path)},
    )
    assert output.code == 0
    assert TOKEN not in output.errors
    assert "PRIVATE-ROW" not in output.errors
