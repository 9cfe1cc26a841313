"""Bookmarks come out often, only go on, and tile the history without a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runs import catalog_of, config_for, run_here
from tap_jetti.client.clock import VirtualClock
from tap_jetti.errors import SettingsError
from tap_jetti.facts.timestamps import later

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_jetti.sandbox import Sandbox


def fill(sandbox: Sandbox, count: int, stream: str = "sales") -> None:
    """Rows, one each second from midnight of the first day of 2020."""
    sandbox.replace(
        stream,
        [
            {
                "id": n + 1,
                "updatedAt": f"2020-01-{1 + n // 86400:02}T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}.000400Z",
            }
            for n in range(count)
        ],
    )


def test_a_state_comes_at_least_every_thousand_records(sandboxes: Callable[..., Sandbox]) -> None:
    """Between two STATE messages there are at most 1,000 records."""
    sandbox = sandboxes()
    fill(sandbox, 3500)
    output = run_here(config_for(sandbox), streams=("sales",))
    since = most = 0
    for message in output.messages:
        since = 0 if message["type"] == "STATE" else since + (message["type"] == "RECORD")
        most = max(most, since)
    assert most <= 1000
    assert output.messages[-1]["type"] == "STATE"


def test_a_state_comes_at_least_every_thirty_seconds(sandboxes: Callable[..., Sandbox]) -> None:
    """On a slow server a STATE comes out after 30 seconds, however few records there were."""
    clock = VirtualClock(wall=1_600_000_000)
    sandbox = sandboxes(clock=clock.time)
    fill(sandbox, 900)
    sandbox.on_request = lambda *_: clock.advance(11)
    output = run_here(config_for(sandbox, concurrency=1), streams=("sales",), clock=clock)
    since, longest = 0, 0
    for message in output.messages:
        since = 0 if message["type"] == "STATE" else since + (message["type"] == "RECORD")
        longest = max(longest, since)
    assert longest <= 400


def test_bookmarks_only_go_on(sandboxes: Callable[..., Sandbox]) -> None:
    """No STATE of a run is behind the one before; runs without news end a millisecond on and repeat at most a row."""
    sandbox = sandboxes(page_cap=37, unstable_ties=True)
    fill(sandbox, 2500)
    first = run_here(config_for(sandbox), streams=("sales",))
    bookmarks = first.bookmarks("sales")
    assert bookmarks == sorted(bookmarks)
    again = run_here(config_for(sandbox), streams=("sales",), state=first.state)
    assert again.ids("sales") in ([], [2500])
    assert again.bookmark("sales") in (first.bookmark("sales"), later(first.bookmark("sales"), milliseconds=1))
    third = run_here(config_for(sandbox), streams=("sales",), state=again.state)
    assert third.bookmark("sales") == again.bookmark("sales")


@pytest.mark.parametrize("stop", [1, 1000, 1001, 2400])
def test_a_run_goes_on_from_every_state(stop: int, sandboxes: Callable[..., Sandbox]) -> None:
    """Whichever STATE was the last to get out, the records before it and the next run's are all of them."""
    sandbox = sandboxes()
    fill(sandbox, 2500)
    full = run_here(config_for(sandbox), streams=("sales",))
    lines = full.messages[:stop]
    state = next((message["value"] for message in reversed(lines) if message["type"] == "STATE"), None)
    upto = max((n for n, message in enumerate(lines) if message["type"] == "STATE"), default=0)
    before = {message["record"]["id"] for message in lines[:upto] if message["type"] == "RECORD"}
    after = set(run_here(config_for(sandbox), streams=("sales",), state=state).ids("sales"))
    assert before | after == set(range(1, 2501))


@pytest.mark.parametrize(
    "borders",
    [
        ["2020-01-01T00:10:00Z"],
        ["2020-01-01T00:00:00.000Z", "2020-01-01T00:10:00.001Z", "2020-01-01T00:10:00.002Z"],
        ["2020-01-01T02:10:00+02:00", "2020-01-01T00:20:00.0004Z"],
        ["2019-01-01", "2026-01-01"],
    ],
    ids=["one border", "a millisecond", "an offset and microseconds", "outside"],
)
def test_slices_tile_without_loss(borders: list[str], sandboxes: Callable[..., Sandbox]) -> None:
    """Slices whose ends are the next ones' starts give each row exactly once."""
    sandbox = sandboxes()
    fill(sandbox, 1500)
    ids: list[int] = []
    for start, end in zip([None, *borders], [*borders, None], strict=True):
        limits = {name: value for name, value in (("start_date", start), ("end_date", end)) if value}
        ids += run_here(config_for(sandbox, **limits), streams=("sales",)).ids("sales")
    assert sorted(ids) == list(range(1, 1501))


def test_a_slice_that_is_done_takes_no_request(sandboxes: Callable[..., Sandbox]) -> None:
    """A run with a bookmark at or beyond its end_date reads nothing and keeps the bookmark."""
    sandbox = sandboxes()
    fill(sandbox, 1500)
    state = {
        "bookmarks": {"sales": {"replication_key": "updatedAt", "replication_key_value": "2021-01-01T00:00:00.000Z"}}
    }
    output = run_here(config_for(sandbox, end_date="2020-06-01"), streams=("sales",), state=state)
    assert output.ids("sales") == []
    assert output.bookmark("sales") == "2021-01-01T00:00:00.000Z"
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize(
    ("bookmark", "expected"),
    [
        ("2020-01-01T00:10:00.000Z", 300),
        ("2020-01-01T00:10:00.000000+00:00", 300),
        ("2020-01-01 02:10:00+02:00", 300),
        ("2020-01-01T00:10:00.0009Z", 300),
        ("2019-01-01", 900),
    ],
)
def test_a_bookmark_in_any_form_is_kept_to(bookmark: str, expected: int, sandboxes: Callable[..., Sandbox]) -> None:
    """A bookmark written by another tool, in another form of the same date, starts at that date."""
    sandbox = sandboxes()
    fill(sandbox, 900)
    state = {"bookmarks": {"sales": {"replication_key": "updatedAt", "replication_key_value": bookmark}}}
    output = run_here(config_for(sandbox), streams=("sales",), state=state)
    assert len(output.ids("sales")) == expected
    assert all(mark.endswith("Z") and len(mark) == 24 for mark in output.bookmarks("sales"))


def test_a_start_date_does_not_pull_a_bookmark_back(sandboxes: Callable[..., Sandbox]) -> None:
    """Of start_date and bookmark the later one counts."""
    sandbox = sandboxes()
    fill(sandbox, 900)
    state = {
        "bookmarks": {"sales": {"replication_key": "updatedAt", "replication_key_value": "2020-01-01T00:10:00.000Z"}}
    }
    for start, expected in (("2020-01-01T00:05:00Z", 300), ("2020-01-01T00:12:00Z", 180)):
        output = run_here(config_for(sandbox, start_date=start), streams=("sales",), state=state)
        assert len(output.ids("sales")) == expected


def test_the_newest_rows_are_read_again_within_the_lag(sandboxes: Callable[..., Sandbox]) -> None:
    """The bookmark stays bookmark_lag behind the server's clock, so late commits are still seen."""
    clock = VirtualClock(wall=1_600_000_000)
    sandbox = sandboxes(clock=clock.time)
    sandbox.replace("sales", [{"id": n, "updatedAt": f"2020-09-13T12:26:{n:02}Z"} for n in range(25, 40)])
    first = run_here(config_for(sandbox), streams=("sales",), clock=clock)
    assert first.bookmark("sales") == "2020-09-13T12:26:30.000Z"
    sandbox.upsert("sales", {"id": 99, "updatedAt": "2020-09-13T12:26:35.5Z"})
    clock.advance(20)
    second = run_here(config_for(sandbox), streams=("sales",), state=first.state, clock=clock)
    assert 99 in second.ids("sales")


@pytest.mark.parametrize("is_batched", [False, True], ids=["records", "batches"])
def test_an_incomplete_read_puts_the_bookmark_back(
    is_batched: bool, sandboxes: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the server hides rows, the stream ends as it began, the others go on, and the exit code is 1."""
    import json  # noqa: PLC0415

    sandbox = sandboxes()
    fill(sandbox, 300)
    fill(sandbox, 20, "vendors")
    reader = sandbox._application._routes._reader
    real = reader.page

    def page(resource: str, query: Any) -> Any:
        answer = real(resource, query)
        if resource != "sales":
            return answer
        return type(answer)(200, json.dumps([row for row in json.loads(answer.body) if row["id"] % 9]).encode())

    monkeypatch.setattr(reader, "page", page)
    state = {
        "bookmarks": {"sales": {"replication_key": "updatedAt", "replication_key_value": "2020-01-01T00:00:30.000Z"}}
    }
    batches = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": f"file://{tmp_path}"},
        "batch_size": 100,
    }
    config = config_for(sandbox, bookmark_lag=0.1, **({"batch_config": batches} if is_batched else {}))
    output = run_here(config, streams=("sales", "vendors"), state=state)
    assert output.code == 1
    assert output.bookmark("sales") == "2020-01-01T00:00:30.000Z"
    assert output.bookmark("vendors") == "2020-01-01T00:00:19.000Z"
    assert len(output.ids("vendors")) == (0 if is_batched else 20)
    fresh = run_here(config, streams=("sales",))
    assert fresh.bookmark("sales") is None


@pytest.mark.parametrize(
    ("key", "method", "good"),
    [
        ("updatedAt", "INCREMENTAL", True),
        (None, "FULL_TABLE", True),
        ("createdAt", "INCREMENTAL", False),
        ("id", "INCREMENTAL", False),
        ("updatedAt", "LOG_BASED", False),
    ],
)
def test_a_catalog_may_choose_among_the_ways_of_reading(
    key: str | None,
    method: str,
    good: bool,
    sandboxes: Callable[..., Sandbox],
) -> None:
    """A catalog may ask for INCREMENTAL by updatedAt or FULL_TABLE; anything else is refused."""
    sandbox = sandboxes()
    fill(sandbox, 150)
    catalog = catalog_of("sales")
    (entry,) = catalog["streams"]
    metadata = next(one for one in entry["metadata"] if one["breadcrumb"] == [])["metadata"]
    metadata["forced-replication-method"] = entry["replication_method"] = method
    for place, name in ((entry, "replication_key"), (metadata, "replication-key")):
        place.pop(name, None)
        if key:
            place[name] = key
    if not good:
        with pytest.raises(SettingsError, match="The catalog asks for sales by"):
            run_here(config_for(sandbox), catalog=catalog)
        return
    output = run_here(config_for(sandbox), catalog=catalog)
    assert len(output.ids("sales")) == 150
    assert (output.bookmark("sales") is None) == (method == "FULL_TABLE")
