"""Situations in which version 0.1.0 lost rows with exit 0, through the real command and a server that may do them."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from runs import Commands, catalog_of, config_for
from tap_jetti.facts.timestamps import from_epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tap_jetti.sandbox import Sandbox

START = 1_600_000_000.0
"""A date of 2020, in seconds since the epoch."""

ANY_SIZE = 100_000
"""The cap of a server that gives as many rows as it is asked for."""


def fill(sandbox: Sandbox, resource: str, dates: Iterable[float]) -> None:
    """Store rows with the ids 1, 2, 3 …, changed at these dates."""
    sandbox.replace(
        resource, [{"id": number, "updatedAt": from_epoch(date)} for number, date in enumerate(dates, start=1)]
    )


def asked(sandbox: Sandbox) -> dict[str, str]:
    """The query of the request that is being answered."""
    return {name: values[0] for name, values in parse_qs(sandbox.requests[-1].query).items()}


@pytest.mark.parametrize("rows_left", [0, 7])
def test_r1_a_short_page_after_a_count_that_was_higher_is_no_end(
    rows_left: int, sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """R1: of 160 rows of one instant, all come, though each second page is cut to a few rows or to nothing."""
    sandbox = sandboxes()
    fill(sandbox, "sales", [START] * 160)
    pages = 0

    def cut(_number: int, _method: str, path: str) -> None:
        nonlocal pages
        pages += path.endswith("sales.json")
        sandbox.options.page_cap = ANY_SIZE if pages % 2 else rows_left

    sandbox.on_request = cut
    config = config_for(sandbox)
    first = commands.run(config, streams=("sales",))
    second = commands.run(config, streams=("sales",), state=first.state)
    assert second.code == 0, second.errors
    assert {*first.ids("sales"), *second.ids("sales")} == set(range(1, 161))


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("way", ["never by date", "FULL_TABLE", "snapshot"])
def test_r2_an_empty_page_is_no_end_of_a_read_by_id(
    way: str, concurrency: int, sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """R2: one empty page of a read by id hides nothing."""
    sandbox = sandboxes(latency=0.02 if concurrency > 1 else 0.0)
    resource = "purchase_invoices" if way == "never by date" else "sales"
    stream = {"never by date": "purchase_invoices", "FULL_TABLE": "sales", "snapshot": "sales_ids"}[way]
    fill(sandbox, resource, [START + n for n in range(1000)])
    pages = 0

    def empty_the_third(_number: int, _method: str, path: str) -> None:
        nonlocal pages
        is_page = path.endswith(f"{resource.replace('_', '-')}.json") and "order[descending]" not in asked(sandbox)
        pages += is_page
        sandbox.options.page_cap = 0 if is_page and pages == 3 else ANY_SIZE

    sandbox.on_request = empty_the_third
    config = config_for(sandbox, id_snapshots=["sales"], page_size=100, concurrency=concurrency)
    catalog = catalog_of(stream, config=config)
    if way == "FULL_TABLE":
        (entry,) = catalog["streams"]
        entry["replication_method"] = "FULL_TABLE"
        for one in entry["metadata"]:
            if not one["breadcrumb"]:
                one["metadata"]["forced-replication-method"] = "FULL_TABLE"
    output = commands.run(config, catalog=catalog)
    assert output.code == 0, output.errors
    assert sorted(output.ids(stream)) == list(range(1, 1001))


@pytest.mark.parametrize("end", ["error", "token"])
def test_r3_a_snapshot_that_fails_half_way_does_not_leave(
    end: str, sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """R3: no id of a snapshot leaves if a page of it fails, whether the run ends or goes on."""
    sandbox = sandboxes()
    fill(sandbox, "sales", [START + n for n in range(1000)])

    def fail(_number: int, _method: str, path: str) -> None:
        if not path.endswith("sales.json") or int(asked(sandbox).get("where[id][$gte]", 0)) < 500:
            return
        if end == "token":
            sandbox.options.token = "another one"
        sandbox.options.faults, sandbox.options.fault_kinds = 1.0, ("problem-500",)

    sandbox.on_request = fail
    config = config_for(sandbox, id_snapshots=["sales"], page_size=100)
    output = commands.run(config, catalog=catalog_of("sales_ids", config=config))
    assert (output.code, output.ids("sales_ids")) == (77 if end == "token" else 75, [])


def test_r4_a_cap_of_one_resource_is_not_that_of_another(sandboxes: Callable[..., Sandbox], commands: Commands) -> None:
    """R4: a resource whose pages are capped at 5 gives all of its rows after one that gave 100 at once."""
    sandbox = sandboxes(page_cap=ANY_SIZE, page_caps=("sales=5",))
    fill(sandbox, "products", [START + n for n in range(300)])
    fill(sandbox, "sales", [START + n for n in range(300)])
    output = commands.run(config_for(sandbox), streams=("products", "sales"))
    assert output.code == 0, output.errors
    assert sorted(output.ids("sales")) == sorted(output.ids("products")) == list(range(1, 301))


@pytest.mark.parametrize("descending", ["honoured", "ignored"])
def test_r9_a_read_by_id_ends_though_each_request_inserts_a_row(
    descending: str, sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """R9: a read by id has an upper bound; where the server shows none, the read fails instead of going on for ever."""
    sandbox = sandboxes(ignore_descending=descending == "ignored")
    fill(sandbox, "purchase_invoices", [START + n for n in range(300)])
    sandbox.on_request = lambda *_: sandbox.upsert("purchase_invoices", {})
    output = commands.run(config_for(sandbox, page_size=100), streams=("purchase_invoices",))
    assert len(sandbox.requests) < 80
    assert set(range(1, 301)) <= set(output.ids("purchase_invoices"))
    assert output.code == (0 if descending == "honoured" else 1), output.errors


@pytest.mark.parametrize("date", ["1970", "frozen", "local"])
def test_r10_a_clock_that_differs_is_named(date: str, sandboxes: Callable[..., Sandbox], commands: Commands) -> None:
    """R10: a server whose clock differs by more than a minute is reported, with what it means."""
    skew = {"1970": 10 - time.time(), "frozen": -7200.0, "local": 7200.0}[date]
    sandbox = sandboxes(date_skew=skew, freeze_date=date == "frozen")
    fill(sandbox, "sales", [time.time() - 10_000 + 30 * n for n in range(300)])
    output = commands.run(config_for(sandbox), streams=("sales",))
    assert re.search(r"Jetti's clock is \d+ min (behind|ahead of) this machine's", output.errors)
    sandbox.options.date_skew, sandbox.options.freeze_date = 0.0, False
    after = commands.run(config_for(sandbox), streams=("sales",), state=output.state)
    assert {*output.ids("sales"), *after.ids("sales")} == set(range(1, 301))


def test_r11_a_bookmark_of_the_future_is_an_error(sandboxes: Callable[..., Sandbox], commands: Commands) -> None:
    """R11: a bookmark later than the server's clock would never give a row again: the stream fails and says so."""
    sandbox = sandboxes()
    fill(sandbox, "sales", [START + n for n in range(10)])
    state = {"bookmarks": {"sales": {"replication_key": "updatedAt", "replication_key_value": "2099-01-01T00:00:00Z"}}}
    output = commands.run(config_for(sandbox), streams=("sales",), state=state)
    assert output.code == 78
    assert "2099-01-01T00:00:00.000Z is later than Jetti's clock" in output.errors


@pytest.mark.parametrize("count", [95, 300], ids=["one page", "pages"])
def test_rows_that_are_hidden_within_pages_fail_each_run(
    count: int, sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """A read that was refuted by a count leaves no trust behind: the next run finds the gap, too."""
    sandbox = sandboxes()
    fill(sandbox, "sales", [START + n for n in range(count)])
    hidden = [row for row in sandbox.rows("sales") if row["id"] % 9 == 0]

    def hide(_number: int, _method: str, path: str) -> None:
        for row in hidden:
            if path.endswith("sales.json"):
                sandbox.delete("sales", row["id"])
            else:
                sandbox.upsert("sales", row)

    sandbox.on_request = hide
    state: dict[str, Any] = {}
    for _ in range(3):
        output = commands.run(config_for(sandbox, bookmark_lag=0.1), streams=("sales",), state=state)
        state = json.loads(json.dumps(output.state))
        assert output.code == 1, output.errors
        assert output.bookmark("sales") is None


def test_an_instant_before_the_end_date_that_cannot_be_counted_is_unproven(
    sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """A slice that ends with an instant larger than a page, of a resource without a count, is not called proven."""
    sandbox = sandboxes(count="none", microseconds=False)
    fill(sandbox, "sales", [START] * 250)
    config = config_for(sandbox, end_date="2020-09-13T12:26:40.001Z", page_size=100)
    output = commands.run(config, streams=("sales",))
    assert output.code == 0, output.errors
    assert sorted(output.ids("sales")) == list(range(1, 251))
    assert "proof=unproven" in output.errors
    assert "Not proven complete: sales" in output.errors


@pytest.mark.parametrize("source", ["file", "ENV"])
@pytest.mark.parametrize(
    ("value", "is_counted"),
    [("auto", True), ("always", True), ("never", False), (True, True), (False, False)],
    ids=str,
)
def test_verify_counts_means_the_same_wherever_it_comes_from(
    *,
    value: Any,
    is_counted: bool,
    source: str,
    sandboxes: Callable[..., Sandbox],
    commands: Commands,
) -> None:
    """A value of `verify_counts` works in a file, also as the older true or false, and as a variable."""
    sandbox = sandboxes()
    fill(sandbox, "sales", [START + n for n in range(60)])
    config = {name: value for name, value in config_for(sandbox).items() if name != "retry_seconds"}
    if source == "file":
        output = commands.run({**config, "verify_counts": value}, streams=("sales",))
    else:
        environment = {
            f"TAP_JETTI_{name.upper()}": str(one) for name, one in {**config, "verify_counts": value}.items()
        }
        output = commands.run(None, "--config", "ENV", streams=("sales",), environment=environment)
    assert output.code == 0, output.errors
    assert any(request.path.endswith("sales/count.json") for request in sandbox.requests) == is_counted
    assert f"proof={'proven' if is_counted else 'unproven'}" in output.errors


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_429_on_a_larger_page_is_waited_for(
    concurrency: int, sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """The first request for a larger page is not retried as it is. A 429 is answered by the size before, and passes."""
    sandbox = sandboxes(page_cap=ANY_SIZE, fault_kinds=("429",))
    fill(sandbox, "sales", [START + n for n in range(1500)])
    refused: list[int] = []

    def refuse_once(number: int, _method: str, path: str) -> None:
        is_refused = path.endswith("sales.json") and asked(sandbox)["limit"] == "200" and not refused
        refused.extend([number] if is_refused else [])
        sandbox.options.faults = float(is_refused)

    sandbox.on_request = refuse_once
    output = commands.run(config_for(sandbox, concurrency=concurrency), streams=("sales",))
    assert refused
    assert output.code == 0, output.errors
    assert sorted(output.ids("sales")) == list(range(1, 1501))
    profile = output.state["bookmarks"]["sales"]["server_profile"]
    assert profile["refused_page_size"] is None
    assert profile["largest_page"] > 200


def test_the_next_id_is_not_taken_for_the_newest(sandboxes: Callable[..., Sandbox], commands: Commands) -> None:
    """A server that ignores a descending order shows the first row: where that is a new one, the read still goes on."""
    sandbox = sandboxes(ignore_descending=True)
    fill(sandbox, "purchase_invoices", [START + n for n in range(300)])

    def cut_and_delete(number: int, _method: str, _path: str) -> None:
        sandbox.options.page_cap = 1 if number == 1 else ANY_SIZE
        if "order[descending]" in asked(sandbox):
            sandbox.delete("purchase_invoices", 1)

    sandbox.on_request = cut_and_delete
    output = commands.run(config_for(sandbox), streams=("purchase_invoices",))
    assert output.code == 0, output.errors
    assert sorted(output.ids("purchase_invoices")) == list(range(1, 301))
