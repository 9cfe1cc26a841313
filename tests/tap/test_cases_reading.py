"""Situations in which version 0.1.0 lost rows with exit 0, through the real command and a server that may do them."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from hostile_server import Freedoms, HostileServer

from runs import TOKEN, UNLIMITED, Commands, catalog_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = 1_600_000_000.0
"""A date of 2020, in seconds since the epoch."""


@pytest.fixture
def servers() -> Iterator[Callable[..., HostileServer]]:
    """Start hostile servers; all are stopped after the test."""
    from contextlib import ExitStack  # noqa: PLC0415

    with ExitStack() as stack:

        def start(**freedoms: Any) -> HostileServer:
            return stack.enter_context(HostileServer(Freedoms(**freedoms)))

        yield start


def config_for(server: HostileServer, **settings: Any) -> dict[str, Any]:
    """Settings for a tap that reads a hostile server without a rate limit."""
    return {"api_url": server.api_url, "api_token": TOKEN, "retry_seconds": 2, **UNLIMITED, **settings}


@pytest.mark.parametrize("rows_left", [0, 7])
def test_r1_a_short_page_after_a_count_that_was_higher_is_no_end(
    rows_left: int, servers: Callable[..., HostileServer], commands: Commands
) -> None:
    """R1: of 160 rows of one instant, all come, though each second page is cut to a few rows or to nothing."""
    server = servers()
    server.fill("sales", [START] * 160)

    pages = 0

    def cut(_number: int, resource: str, query: dict[str, str]) -> tuple[int, Any] | None:
        nonlocal pages
        pages += resource == "sales"
        if resource != "sales" or pages % 2:
            return None
        status, page = server._answer(resource, query)
        return status, page[:rows_left]

    server.script = cut
    config = config_for(server)
    first = commands.run(config, streams=("sales",))
    second = commands.run(config, streams=("sales",), state=first.state)
    assert second.code == 0, second.errors
    assert {*first.ids("sales"), *second.ids("sales")} == set(range(1, 161))


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("way", ["never by date", "FULL_TABLE", "snapshot"])
def test_r2_an_empty_page_is_no_end_of_a_read_by_id(
    way: str, concurrency: int, servers: Callable[..., HostileServer], commands: Commands
) -> None:
    """R2: one empty page of a read by id hides nothing."""
    server = servers(latency=0.02 if concurrency > 1 else 0.0)
    resource = "purchase-invoices" if way == "never by date" else "sales"
    stream = {"never by date": "purchase_invoices", "FULL_TABLE": "sales", "snapshot": "sales_ids"}[way]
    server.fill(resource, [START + n for n in range(1000)])
    pages = 0

    def empty_the_third(_number: int, asked: str, query: dict[str, str]) -> tuple[int, Any] | None:
        nonlocal pages
        if asked != resource or "order[descending]" in query:
            return None
        pages += 1
        return (200, []) if pages == 3 else None

    server.script = empty_the_third
    config = config_for(server, id_snapshots=["sales"], page_size=100, concurrency=concurrency)
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
    end: str, servers: Callable[..., HostileServer], commands: Commands
) -> None:
    """R3: no id of a snapshot leaves if a page of it fails, whether the run ends or goes on."""
    server = servers()
    server.fill("sales", [START + n for n in range(1000)])

    def fail(_number: int, resource: str, query: dict[str, str]) -> tuple[int, Any] | None:
        if resource != "sales" or int(query.get("where[id][$gte]", 0)) < 500:
            return None
        return (401, {}) if end == "token" else (500, {"title": "api.sales.broken"})

    server.script = fail
    config = config_for(server, id_snapshots=["sales"], page_size=100)
    output = commands.run(config, catalog=catalog_of("sales_ids", config=config))
    assert (output.code, output.ids("sales_ids")) == (77 if end == "token" else 75, [])


def test_r4_a_cap_of_one_resource_is_not_that_of_another(
    servers: Callable[..., HostileServer], commands: Commands
) -> None:
    """R4: a resource whose pages are capped at 5 gives all of its rows after one that gave 100 at once."""
    server = servers(cap={"sales": 5})
    server.fill("products", [START + n for n in range(300)])
    server.fill("sales", [START + n for n in range(300)])
    output = commands.run(config_for(server), streams=("products", "sales"))
    assert output.code == 0, output.errors
    assert sorted(output.ids("sales")) == sorted(output.ids("products")) == list(range(1, 301))


@pytest.mark.parametrize("descending", ["honoured", "ignored"])
def test_r9_a_read_by_id_ends_though_each_request_inserts_a_row(
    descending: str, servers: Callable[..., HostileServer], commands: Commands
) -> None:
    """R9: a read by id has an upper bound; where the server shows none, the read fails instead of going on for ever."""
    server = servers(ignores_descending=descending == "ignored")
    server.fill("purchase-invoices", [START + n for n in range(300)])

    def insert(_number: int, resource: str, _query: dict[str, str]) -> None:
        server.put("purchase-invoices", max(server.tables["purchase-invoices"]) + 1, server.now())

    server.script = insert
    output = commands.run(config_for(server, page_size=100), streams=("purchase_invoices",))
    assert len(server.requests) < 80
    assert set(range(1, 301)) <= set(output.ids("purchase_invoices"))
    assert output.code == (0 if descending == "honoured" else 1), output.errors


@pytest.mark.parametrize("date", ["1970", "frozen", "local"])
def test_r10_a_clock_that_differs_is_named(
    date: str, servers: Callable[..., HostileServer], commands: Commands
) -> None:
    """R10: a server whose clock differs by more than a minute is reported, with what it means."""
    server = servers(date=date)
    server.fill("sales", [time.time() - 10_000 + 30 * n for n in range(300)])
    output = commands.run(config_for(server), streams=("sales",))
    assert re.search(r"Jetti's clock is \d+ min (behind|ahead of) this machine's", output.errors)
    server.freedoms.date = "right"
    after = commands.run(config_for(server), streams=("sales",), state=output.state)
    assert {*output.ids("sales"), *after.ids("sales")} == set(range(1, 301))


def test_r11_a_bookmark_of_the_future_is_an_error(servers: Callable[..., HostileServer], commands: Commands) -> None:
    """R11: a bookmark later than the server's clock would never give a row again: the stream fails and says so."""
    server = servers()
    server.fill("sales", [START + n for n in range(10)])
    state = {"bookmarks": {"sales": {"replication_key": "updatedAt", "replication_key_value": "2099-01-01T00:00:00Z"}}}
    output = commands.run(config_for(server), streams=("sales",), state=state)
    assert output.code == 78
    assert "2099-01-01T00:00:00.000Z is later than Jetti's clock" in output.errors


@pytest.mark.parametrize("count", [95, 300], ids=["one page", "pages"])
def test_rows_that_are_hidden_within_pages_fail_each_run(
    count: int, servers: Callable[..., HostileServer], commands: Commands
) -> None:
    """A read that was refuted by a count leaves no trust behind: the next run finds the gap, too."""
    server = servers()
    server.fill("sales", [START + n for n in range(count)])

    def hide(_number: int, resource: str, query: dict[str, str]) -> tuple[int, Any] | None:
        if resource != "sales":
            return None
        status, page = server._answer(resource, query)
        return status, [row for row in page if row["id"] % 9]

    server.script = hide
    state: dict[str, Any] = {}
    for _ in range(3):
        output = commands.run(config_for(server, bookmark_lag=0.1), streams=("sales",), state=state)
        state = json.loads(json.dumps(output.state))
        assert output.code == 1, output.errors
        assert output.bookmark("sales") is None


def test_an_instant_before_the_end_date_that_cannot_be_counted_is_unproven(
    servers: Callable[..., HostileServer], commands: Commands
) -> None:
    """A slice that ends with an instant larger than a page, of a resource without a count, is not called proven."""
    server = servers(count="missing", microseconds=False)
    server.fill("sales", [START] * 250)
    config = config_for(server, end_date="2020-09-13T12:26:40.001Z", page_size=100)
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
    servers: Callable[..., HostileServer],
    commands: Commands,
) -> None:
    """A value of `verify_counts` works in a file, also as the older true or false, and as a variable."""
    server = servers()
    server.fill("sales", [START + n for n in range(60)])
    config = {name: value for name, value in config_for(server).items() if name != "retry_seconds"}
    if source == "file":
        output = commands.run({**config, "verify_counts": value}, streams=("sales",))
    else:
        environment = {
            f"TAP_JETTI_{name.upper()}": str(one) for name, one in {**config, "verify_counts": value}.items()
        }
        output = commands.run(None, "--config", "ENV", streams=("sales",), environment=environment)
    assert output.code == 0, output.errors
    assert ("sales/count" in [resource for resource, _ in server.requests]) == is_counted
    assert f"proof={'proven' if is_counted else 'unproven'}" in output.errors


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_429_on_a_larger_page_is_waited_for(
    concurrency: int, servers: Callable[..., HostileServer], commands: Commands
) -> None:
    """The first request for a larger page is not retried as it is. A 429 is answered by the size before, and passes."""
    server = servers()
    server.fill("sales", [START + n for n in range(1500)])
    refused: list[int] = []

    def refuse_once(number: int, resource: str, query: dict[str, str]) -> tuple[int, Any] | None:
        if resource == "sales" and query["limit"] == "200" and not refused:
            refused.append(number)
            return 429, {}
        return None

    server.script = refuse_once
    output = commands.run(config_for(server, concurrency=concurrency), streams=("sales",))
    assert refused
    assert output.code == 0, output.errors
    assert sorted(output.ids("sales")) == list(range(1, 1501))
    profile = output.state["bookmarks"]["sales"]["server_profile"]
    assert profile["refused_page_size"] is None
    assert profile["largest_page"] > 200


def test_the_next_id_is_not_taken_for_the_newest(servers: Callable[..., HostileServer], commands: Commands) -> None:
    """A server that ignores a descending order shows the first row: where that is a new one, the read still goes on."""
    server = servers(ignores_descending=True)
    server.fill("purchase-invoices", [START + n for n in range(300)])

    def cut_and_delete(number: int, resource: str, query: dict[str, str]) -> tuple[int, Any] | None:
        if number == 1:
            return 200, [server.shown(resource, 1, server.tables[resource][1])]
        if "order[descending]" in query:
            server.tables[resource].pop(1, None)
        return None

    server.script = cut_and_delete
    output = commands.run(config_for(server), streams=("purchase_invoices",))
    assert output.code == 0, output.errors
    assert sorted(output.ids("purchase_invoices")) == list(range(1, 301))
