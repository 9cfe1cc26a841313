"""The tap with and without reading ahead: what it writes, how it fails, how it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack

import pytest

from tap_jetti.errors import Interrupted
from tap_jetti.sandbox import Options, Sandbox
from tap_jetti.tap.tap import TapJetti

NAMES = ["products", "purchase_invoices", "sales", "variants", "vendors"]


def made_rows(number, tie=1):
    """Rows a second apart, in groups of equal dates."""
    return [
        {
            "id": index + 1,
            "createdAt": None,
            "updatedAt": time.strftime("%Y-%m-%dT%H:%M:%S.123456Z", time.gmtime(1.6e9 + index // tie)),
        }
        for index in range(number)
    ]


@pytest.fixture
def sandbox():
    """Starts sandboxes that end with the test."""
    with ExitStack() as stack:

        def start(rows, **options):
            one = Sandbox(Options(**{"rate": 0, "empty": True, "latency": 0.03, "null_dates": 0.0, **options}))
            for name, content in rows.items():
                one.replace(name, content)
            return stack.enter_context(one)

        yield start


def make_tap(sandbox, names=NAMES, **settings):
    """A tap that reads all of the streams named."""
    config = {
        "api_token": sandbox.token,
        "api_url": sandbox.api_url,
        "rate_limit": 1000,
        "rate_limit_burst": 1000,
        "rate_limit_store": "memory://",
        **settings,
    }
    catalog = TapJetti(config=config).catalog_dict
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] in names
    return TapJetti(config=config, catalog=catalog)


def run(tap, monkeypatch):
    """The messages that a tap writes, without the time of reading, and what it ended with."""
    output = io.TextIOWrapper(io.BytesIO(), write_through=True)
    monkeypatch.setattr(sys, "stdout", output)
    ended = None
    try:
        tap.run()
    except (SystemExit, Interrupted) as end:
        ended = end
    monkeypatch.undo()
    messages = [json.loads(line) for line in output.buffer.getvalue().splitlines()]
    for message in messages:
        message.pop("time_extracted", None)
    return messages, ended


def told_by(messages):
    """The messages but for STATE, and the bookmarks of the last STATE."""
    bookmarks = messages[-1]["value"]["bookmarks"]
    return [message for message in messages if message["type"] != "STATE"], {
        stream: bookmark.get("replication_key_value") for stream, bookmark in bookmarks.items()
    }


@pytest.mark.parametrize("tie", [1, 30, 260])
@pytest.mark.parametrize("options", [{}, {"page_cap": 37}, {"from_means": "offset"}], ids=str)
def test_writes_the_same(sandbox, monkeypatch, tie, options):
    """Records are those of a run without, in the same order, and so are the bookmarks; pages may end elsewhere."""
    one = sandbox(
        {name: made_rows(size, tie) for name, size in zip(NAMES, [30, 450, 2600, 0, 101], strict=True)}, **options
    )
    alone, _ = run(make_tap(one, concurrency=1), monkeypatch)
    tap = make_tap(one, concurrency=8)
    together, _ = run(tap, monkeypatch)
    assert tap.run_context.prefetcher.memory.most_held
    assert told_by(together) == told_by(alone)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_row_given_is_in_the_snapshot_that_follows(sandbox, monkeypatch, concurrency):
    """A row made while the first request of its stream had to be sent again is not given before its id is."""
    one = sandbox({"products": made_rows(30), "sales": made_rows(5)}, latency=0.4)
    tap = make_tap(
        one,
        ("products", "sales", "sales_ids"),
        id_snapshots=["sales"],
        concurrency=concurrency,
        timeout=2.5,
        rate_limit=10,
        rate_limit_burst=1,
        bookmark_lag=0,
    )
    making = threading.Timer(1.2, one.upsert, ["sales", {}])

    def stall_once(_number, _method, path):
        is_first = path.endswith("/sales.json") and not making.is_alive() and not making.finished.is_set()
        one.options.faults = float(is_first)
        if is_first:
            making.start()

    one.options.fault_kinds, one.options.stall_seconds = ("stall",), 4
    one.on_request = stall_once
    messages, _ = run(tap, monkeypatch)
    making.join()
    given = {
        name: {message["record"]["id"] for message in messages if message.get("stream") == name and "record" in message}
        for name in ("sales", "sales_ids")
    }
    assert {1, 2, 3, 4, 5} <= given["sales"] <= given["sales_ids"]


def test_a_stream_fails_in_its_turn(sandbox, monkeypatch):
    """A stream that is forbidden fails, and everything else is as without reading ahead."""
    one = sandbox(dict.fromkeys(NAMES, made_rows(250)), forbidden=("sales",))
    alone, ended_alone = run(make_tap(one, concurrency=1), monkeypatch)
    together, ended = run(make_tap(one, concurrency=8), monkeypatch)
    assert told_by(together) == told_by(alone)
    assert (ended.code, ended_alone.code) == (77, 77)


def test_no_thread_outlives_the_run(sandbox, monkeypatch):
    """All threads have ended when `run` returns."""
    one = sandbox(dict.fromkeys(NAMES, made_rows(1200)))
    before = set(threading.enumerate())
    run(make_tap(one, concurrency=8), monkeypatch)
    assert set(threading.enumerate()) <= before


def test_an_interrupt_ends_it_with_requests_in_flight(sandbox, monkeypatch):
    """A signal ends the run while answers are outstanding: the state is written, and no thread is left."""
    one = sandbox(dict.fromkeys(NAMES, made_rows(1200)))
    before = set(threading.enumerate())
    tap = make_tap(one, concurrency=8)

    def stall(number, _method, _path):
        if number == 20:
            one.options.latency = 3600
            timer.start()

    timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGUSR1])
    one.on_request = stall
    previous = signal.signal(signal.SIGUSR1, tap._handle_termination)
    try:
        messages, ended = run(tap, monkeypatch)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    timer.join()
    assert isinstance(ended, Interrupted)
    assert messages[-1]["type"] == "STATE"
    assert set(threading.enumerate()) <= before
