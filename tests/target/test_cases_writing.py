"""Situations in which version 0.1.0 did the wrong thing: orders, events, errors of the account, bad records."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from odd_server import odd_server
from target_runs import (
    FEED,
    VARIANTS,
    as_lines,
    deliver,
    jetti,
    record,
    rejects,
    schema,
    settings_for,
    state,
    stock,
    variant,
)

from tap_jetti.errors import AccountLimitError, JettiError, RecordError, RefusalsError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from odd_server import Call

    from tap_jetti.sandbox import Sandbox

REMOVALS = "inventory_feed_variant_removals"
SHIPMENTS = "shipments"


def removal(number: int) -> dict[str, Any]:
    """A RECORD of a removal."""
    return record(REMOVALS, externalId=f"e{number}")


@pytest.mark.parametrize("together", [1, 10_000], ids=["one-by-one", "together"])
@pytest.mark.parametrize("order", ["arrival", "largest_change"])
@pytest.mark.parametrize("delivery", ["inbound", "api"])
@pytest.mark.parametrize(
    ("messages", "left"),
    [
        pytest.param([variant(1, 50), removal(1)], {}, id="update-removal"),
        pytest.param([removal(1), variant(1, 50)], {"e1": 50}, id="removal-update"),
        pytest.param([variant(1, 50), removal(1), variant(1, 60)], {"e1": 60}, id="update-removal-update"),
        pytest.param([removal(1), variant(1, 50), removal(1)], {}, id="removal-update-removal"),
    ],
)
def test_operations_of_a_key_keep_their_order(
    messages: list[dict[str, Any]],
    left: dict[str, int],
    delivery: str,
    order: str,
    together: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Updates and removals of a variant share one queue, also while updates wait for the end of the input."""
    monkeypatch.setattr("tap_jetti.target.delivery.write_path.DECIDED_TOGETHER", together)
    with jetti() as sandbox:
        sandbox.upsert(VARIANTS, {"externalId": "e1", "vendorSku": "v1", "inventoryFeedId": FEED})
        outcome = deliver(
            sandbox, schema(), schema(REMOVALS), *messages, state(1),
            delivery=delivery, max_updates=5, max_updates_order=order,
        )  # fmt: skip
        assert (outcome.error, outcome.states) == (None, [1])
        assert {row["externalId"]: row["inventoryQuantity"] for row in shown(sandbox)} == left


@pytest.mark.parametrize("is_first", [True, False], ids=["id-first", "external-id-first"])
def test_a_row_that_is_named_by_id_and_by_external_id_is_recognised(
    is_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A look-up tells that both mean one row, so their order holds; where it comes too late, a warning says so."""
    with jetti() as sandbox:
        sandbox.upsert(VARIANTS, {"id": 900, "externalId": "e1", "inventoryQuantity": 0, "inventoryFeedId": FEED})
        by_id = record(id=900, inventoryQuantity=5)
        messages = [by_id, variant(1, 6)] if is_first else [variant(1, 6), by_id]
        outcome = deliver(sandbox, schema(VARIANTS, id={}, externalId={}), *messages, state(1), confirm_seconds=1)
        assert (outcome.error, outcome.states) == (None, [1])
        assert ("name a row by id" in caplog.text) is is_first
        assert stock(sandbox) == {"e1": 6 if is_first else 5}


def shown(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The feed variants that are not marked as removed."""
    return [row for row in sandbox.rows(VARIANTS) if row.get("status") != "removed"]


def test_a_removal_takes_the_place_of_an_update_that_waits() -> None:
    """The update counts as merged, does not use up the quota, and is not sent."""
    with jetti() as sandbox:
        outcome = deliver(
            sandbox, schema(), schema(REMOVALS), variant(1, 9), removal(1), variant(2, 5), state(1),
            max_updates=1, max_updates_order="largest_change",
        )  # fmt: skip
        assert (outcome.states, outcome.of().left) == ([1], 0)
        assert (outcome.of().merged, outcome.of().sent, outcome.of(REMOVALS).sent) == (1, 1, 1)
        assert stock(sandbox) == {"e2": 5}


def test_a_variant_that_was_removed_in_jetti_is_sent_again() -> None:
    """Its row is still shown with the same values, and its status is removed."""
    row = {"id": 1, "externalId": "e1", "vendorSku": "v1", "inventoryQuantity": 1, "inventoryFeedId": FEED}
    feed = {"id": FEED, "resourceType": "webhook", "hash": "h7"}
    with odd_server(rows={"inventory-feeds": [feed], "inventory-feed-variants": [{**row, "status": "removed"}]}) as odd:
        assert deliver(odd, schema(), variant(1, 1)).of().sent == 1
        odd.rows["inventory-feed-variants"] = [{**row, "status": "connected"}]
        assert deliver(odd, schema(), variant(1, 1)).of().unchanged == 1


def shipment(*ids: int, number: str = "T1", purchase: int = 21) -> dict[str, Any]:
    """A RECORD of a shipment."""
    return record(SHIPMENTS, purchaseId=purchase, trackingNumber=number, ids=list(ids))


def shipped(sandbox: Sandbox) -> list[tuple[str, int]]:
    """Tracking number and item of everything that was shipped."""
    numbers = {row["id"]: row["trackingNumber"] for row in sandbox.rows("dropshipments")}
    return sorted((numbers[row["dropshipmentId"]], row["purchaseItemId"]) for row in sandbox.rows("dropshipment_items"))


@pytest.fixture
def parcels() -> Any:
    """A sandbox whose purchase 21 has four items: 210 to 213."""
    with jetti() as sandbox:
        for number in (211, 212, 213):
            sandbox.upsert("purchase_items", {"id": number, "purchaseId": 21, "quantity": 1})
        yield sandbox


@pytest.mark.parametrize("order", list(itertools.permutations([(210,), (211,), (212,)]))[:3])
@pytest.mark.parametrize("batch_size", [1, 50])
def test_rows_of_one_shipment_are_united(parcels: Sandbox, order: tuple[tuple[int]], batch_size: int) -> None:
    """A row per item is one call with all items."""
    messages = [shipment(*ids) for ids in order]
    outcome = deliver(parcels, schema(SHIPMENTS), *messages, state(1), batch_size=batch_size)
    assert (outcome.error, outcome.states) == (None, [1])
    assert (outcome.of(SHIPMENTS).merged, outcome.of(SHIPMENTS).sent) == (2, 1)
    assert shipped(parcels) == [("T1", 210), ("T1", 211), ("T1", 212)]
    assert len(parcels.requests.writes) == 1


@pytest.mark.parametrize(
    ("first", "later", "expected", "calls"),
    [
        pytest.param([shipment(210)], [shipment(210), shipment(211)], [210, 211], 2, id="one-more-item"),
        pytest.param([shipment(210, 211)], [shipment(210)], [210, 211], 1, id="nothing-new"),
        pytest.param([shipment(210)], [shipment()], [210, 211, 212, 213], 2, id="all-that-is-left"),
        pytest.param([shipment()], [shipment(212)], [210, 211, 212, 213], 1, id="all-were-shipped"),
        pytest.param([shipment()], [shipment()], [210, 211, 212, 213], 1, id="all-again"),
        pytest.param([shipment(210)], [shipment(211, number=" t-1 ")], [210, 211], 2, id="written-otherwise"),
    ],
)
def test_what_is_shipped_is_not_shipped_again(
    parcels: Sandbox, first: list[Any], later: list[Any], expected: list[int], calls: int
) -> None:
    """A later run ships the items that are not shipped under the number yet, and no others."""
    deliver(parcels, schema(SHIPMENTS), *first)
    outcome = deliver(parcels, schema(SHIPMENTS), *later, state(1))
    assert (outcome.error, outcome.states) == (None, [1])
    assert sorted(item for _, item in shipped(parcels)) == expected
    assert len(parcels.requests.writes) == calls


def test_a_404_of_a_path_is_no_removal(tmp_path: Path) -> None:
    """The row is still there, so the path is wrong: the run stops, and STATE waits."""
    feed = {"id": FEED, "resourceType": "webhook", "hash": "h7"}
    row = {"id": 1, "externalId": "e1", "inventoryFeedId": FEED}
    with odd_server(rows={"inventory-feeds": [feed], "inventory-feed-variants": [row]}) as odd:
        odd.answer = lambda call: (404, b"<html>") if call.method == "DELETE" else None
        outcome = deliver(
            odd, schema(REMOVALS), removal(1), state(1), on_reject="set_aside", rejects_path=str(tmp_path / "r")
        )
        assert isinstance(outcome.error, SettingsError)
        assert "Jetti does not have this path" in str(outcome.error)
        assert outcome.states == []


@pytest.mark.parametrize("confirm_seconds", [0, 5])
def test_a_bad_record_stops_the_run_behind_those_before_it(confirm_seconds: int) -> None:
    """Thirty good records and their STATE are delivered first; nothing behind the bad record is sent."""
    with jetti() as sandbox:
        outcome = deliver(
            sandbox, schema(), *(variant(n, n) for n in range(30)), state("good"), variant(30, -1), variant(31, 1),
            state("bad"), confirm_seconds=confirm_seconds,
        )  # fmt: skip
        assert isinstance(outcome.error, RecordError)
        assert outcome.states == ["good"]
        assert stock(sandbox) == {f"e{n}": n for n in range(30)}


def test_a_record_that_jetti_refuses_stops_the_run_behind_those_before_it() -> None:
    """What came before the refused record is delivered although it was sent together with it."""
    products = [record("products", externalId=f"p{n}", sku=f"k{n}", name="x") for n in range(50)]
    products[17]["record"].pop("sku")
    with jetti() as sandbox:
        outcome = deliver(
            sandbox, schema("products"), *products[:17], state("good"), *products[17:], state("bad"), delivery="api"
        )
        assert isinstance(outcome.error, RecordError)
        assert "p17" in str(outcome.error)
        assert outcome.states == ["good"]
        assert {f"p{n}" for n in range(17)} <= {row["externalId"] for row in sandbox.rows("channel_variants")}


@pytest.mark.parametrize(
    ("settings", "options", "error"),
    [
        pytest.param({"inventory_feed_id": 99}, {}, SettingsError, id="no-such-feed"),
        pytest.param({"inventory_feed_id": 8}, {}, SettingsError, id="feed-without-webhook"),
        pytest.param({"delivery": "api"}, {"daily_sku_limit": 5}, AccountLimitError, id="daily-limit"),
    ],
)
def test_an_error_of_the_account_stops_the_run(
    settings: dict[str, Any], options: dict[str, Any], error: type[Exception], tmp_path: Path
) -> None:
    """No record is set aside for it, STATE waits, and few calls are made."""
    with jetti(**options) as sandbox:
        sandbox.upsert("inventory_feeds", {"id": 8, "name": "Pull", "resourceType": "ftpCsv", "hash": "h8"})
        outcome = deliver(
            sandbox, schema(), *(variant(n, n) for n in range(300)), state(1),
            on_reject="set_aside", rejects_path=str(tmp_path / "r"), concurrency=1, **settings,
        )  # fmt: skip
        assert isinstance(outcome.error, error)
        assert outcome.states == []
        assert rejects(tmp_path / "r") == []
        assert len(sandbox.requests.writes) <= 6


@pytest.mark.parametrize("delivery", ["inbound", "api"])
@pytest.mark.parametrize("refused_from", [0, 60])
def test_equal_refusals_in_a_row_stop_the_run(delivery: str, refused_from: int, tmp_path: Path) -> None:
    """Twenty records are refused with one reason, and none is set aside: what is done before them is done."""
    feed = {"id": FEED, "resourceType": "webhook", "hash": "h7"}
    with odd_server(rows={"inventory-feeds": [feed], "inventory-feed-variants": []}) as odd:

        def answer(call: Call) -> tuple[int, object] | None:
            if call.method == "GET":
                return None
            items = call.body if isinstance(call.body, list) else [call.body]
            is_refused = max(item["inventoryQuantity"] for item in items) >= refused_from
            return (422, {"title": "api.odd"}) if is_refused else None

        odd.answer = answer
        messages = [one for n in range(300) for one in (variant(n, n), state(n))]
        outcome = deliver(
            odd, schema(), *messages, delivery=delivery, concurrency=1,
            on_reject="set_aside", rejects_path=str(tmp_path / "r"),
        )  # fmt: skip
        assert isinstance(outcome.error, RefusalsError)
        assert max(outcome.states, default=-1) == refused_from - 1
        assert rejects(tmp_path / "r") == []
        assert len(odd.writes) <= refused_from + 45


def test_a_queue_that_refuses_all_stops_the_run(tmp_path: Path) -> None:
    """It takes nearly everything, so a few equal refusals and nothing accepted are not about the records."""
    feed = {"id": FEED, "resourceType": "webhook", "hash": "h7"}
    with odd_server(rows={"inventory-feeds": [feed], "inventory-feed-variants": []}) as odd:
        odd.answer = lambda call: (400, b"") if call.method == "POST" else None
        outcome = deliver(
            odd, schema(), *(variant(n, n) for n in range(5)), state(1),
            on_reject="set_aside", rejects_path=str(tmp_path / "r"),
        )  # fmt: skip
        assert isinstance(outcome.error, RefusalsError)
        assert (outcome.states, rejects(tmp_path / "r")) == ([], [])


def test_refusals_with_something_accepted_between_them_do_not_stop_the_run(tmp_path: Path) -> None:
    """Every second record is refused, and set aside."""
    feed = {"id": FEED, "resourceType": "webhook", "hash": "h7"}
    with odd_server(rows={"inventory-feeds": [feed], "inventory-feed-variants": []}) as odd:
        odd.answer = lambda call: (
            (422, {"title": "api.odd"}) if call.method == "PUT" and call.body["inventoryQuantity"] % 2 else None
        )
        outcome = deliver(
            odd, schema(), *(variant(n, n) for n in range(100)), state(1),
            delivery="api", on_reject="set_aside", rejects_path=str(tmp_path / "r"),
        )  # fmt: skip
        assert (outcome.code, outcome.states, outcome.of().rejected, outcome.of().sent) == (1, [1], 50, 50)
        assert len(rejects(tmp_path / "r")) == 51


PLANS: dict[str, list[Any]] = {
    "repeated-keys": [schema(), *(variant(n % 7, n) for n in range(60))],
    "shipments-that-exist": [schema(SHIPMENTS), shipment(210), shipment(211), shipment(number="T2", purchase=22)],
    "removals": [schema(), schema(REMOVALS), variant(1, 4), removal(1), removal(2), variant(3, 3)],
    "bad-records": [schema(), variant(1, 1), variant(2, "many"), record(vendorSku="none"), variant(3, 3)],
    "providers": [
        schema("dropship_providers"),
        *(record("dropship_providers", externalId=one, name="x") for one in ("maker", "new", "new")),
    ],
    "several-parts": [
        schema("acknowledgements"),
        record(
            "acknowledgements", sku="s1", vendorSkus=[{"vendorSku": f"v{n}", "dropshipProviderId": 3} for n in (1, 2)]
        ),
    ],
}


@pytest.mark.parametrize(
    "settings",
    [{}, {"delivery": "api"}, {"max_updates": 3}, {"max_updates": 3, "max_updates_order": "largest_change"}],
    ids=["inbound", "api", "max-updates", "largest-change"],
)
@pytest.mark.parametrize("plan", PLANS)
def test_a_plan_is_what_the_run_does(plan: str, settings: dict[str, Any], tmp_path: Path) -> None:
    """A dry run and the run after it have the same figures, and each record has one outcome."""
    settings = {**settings, "on_reject": "set_aside", "rejects_path": str(tmp_path / "r")}
    with jetti() as sandbox:
        for number in (1, 2):
            row = {"externalId": f"e{number}", "vendorSku": f"v{number}", "inventoryFeedId": FEED}
            sandbox.upsert(VARIANTS, row)
        sandbox.upsert("purchase_items", {"id": 211, "purchaseId": 21, "quantity": 1})
        deliver(sandbox, schema(SHIPMENTS), shipment(210))
        before = len(sandbox.requests.writes)
        planned = deliver(sandbox, *PLANS[plan], dry_run=True, **settings)
        assert len(sandbox.requests.writes) == before
        done = deliver(sandbox, *PLANS[plan], **settings)
        assert (planned.code, planned.error) == (done.code, done.error)
        for figures in (*planned.figures.values(), *done.figures.values()):
            figures.seconds = 0
            assert figures.open == 0
        assert planned.figures == done.figures


@pytest.mark.parametrize("path", ["file/feed.csv", "missing/deep/feed.csv"])
def test_a_plan_knows_whether_the_feed_file_can_be_written(path: str, tmp_path: Path) -> None:
    """A folder that cannot be made fails the dry run as it fails the run, and a file is not written."""
    (tmp_path / "file").write_text("in the way")
    settings: dict[str, Any] = {"delivery": "file", "feed_mode": "replace", "feed_path": str(tmp_path / path)}
    with jetti() as sandbox:
        planned = ending(sandbox, dry_run=True, **settings)
        assert not (tmp_path / path).exists()
        done = ending(sandbox, **settings)
    assert planned == done
    assert (planned == "None") is path.startswith("missing")


def ending(sandbox: Sandbox, **settings: Any) -> str:
    """The error with which a run of one record ends, or None, as text."""
    try:
        return str(deliver(sandbox, schema(), variant(1, 1), **settings).error)
    except JettiError as error:
        return str(error)


def test_a_key_that_comes_again_waits_for_its_earlier_value(caplog: pytest.LogCaptureFixture) -> None:
    """Jetti's queue takes data in any order. So one later value is sent when the earlier one is visible."""
    with jetti(inbound_delay=0.3) as sandbox:
        settings: dict[str, Any] = {"skip_unchanged": False, "batch_size": 1, "concurrency": 1}
        messages = [schema(), variant(1, 1), variant(2, 2), variant(1, 3), variant(1, 4), state(1)]
        outcome = deliver(sandbox, *messages, confirm_seconds=1, **settings)
        assert (outcome.states, outcome.of().merged, outcome.of().confirmed) == ([1], 1, 3)
        assert [one.body[0]["inventoryQuantity"] for one in sandbox.requests.writes] == [1, 2, 4]
        assert stock(sandbox) == {"e1": 4, "e2": 2}
        assert "more than once" not in caplog.text
        deliver(sandbox, *messages, **settings)
        assert "Some keys were sent more than once in this run" in caplog.text


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_during_the_start_is_no_traceback(signum: signal.Signals, tmp_path: Path) -> None:
    """From the first handler on, whatever is not built yet."""
    code = (
        "import os, signal\n"
        "from tap_jetti.target import target\n"
        "def start(*_, **__):\n"
        f"    os.kill(os.getpid(), {int(signum)})\n"
        "    raise SystemExit('the signal did not arrive')\n"
        "target.Pipeline = start\n"
        "target.main()\n"
    )
    config = tmp_path / "config.json"
    with jetti() as sandbox:
        config.write_text(json.dumps(settings_for(sandbox)))
        done = subprocess.run(
            [sys.executable, "-c", code, "--config", str(config)],
            input=b"", capture_output=True, check=False, cwd=tmp_path, timeout=60,
        )  # fmt: skip
    assert done.returncode == 128 + signum
    assert b"Traceback" not in done.stderr
    assert f"Stopped by {signum.name}" in done.stderr.decode()


@pytest.mark.parametrize("closed", [(1,), (0,), (0, 1)], ids=["stdout", "stdin", "both"])
def test_closed_streams_are_said_in_one_line(closed: tuple[int, ...], tmp_path: Path) -> None:
    """A shell can start a program without standard input or output; a STATE that cannot leave is no success."""
    with jetti() as sandbox:
        config = tmp_path / "config.json"
        config.write_text(json.dumps(settings_for(sandbox)))
        redirections = " ".join({0: "<&-", 1: ">&-"}[one] for one in closed)
        target = f"{sys.executable} -c 'from tap_jetti.cli import target; target()' --config {config}"
        done = subprocess.run(
            ["/bin/sh", "-c", f"{target} {redirections}"],
            input=as_lines([schema(), variant(1, 1), state(1)]).encode(),
            capture_output=True, check=False, cwd=tmp_path, timeout=60,
        )  # fmt: skip
    errors = [line for line in done.stderr.decode().splitlines() if "ERROR" in line]
    assert done.returncode not in {0, -6}
    assert b"Traceback" not in done.stderr
    assert len(errors) == 1
