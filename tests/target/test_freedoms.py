"""What is not documented of Jetti may be either way: each is tried against a server that chose the other one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from odd_server import odd_server
from target_runs import deliver, record, rejects, schema, state, variant

from tap_jetti.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from odd_server import Call

FEED_7 = {"inventoryFeedId": "7"}
FEED_ROW = {"id": "7", "name": "Stock", "resourceType": "webhook", "dropshipProviderId": "3"}


def account(**rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The rows of a small account that writes its ids as text."""
    return {
        "inventory-feeds": [{**FEED_ROW, "hash": "h7"}],
        "inventory-feed-variants": [],
        "custom-channels": [{"id": "2", "channelId": "5", "webhookHash": "c5"}],
        "channels": [{"id": "5"}],
        "dropshipments": [],
        "dropship-providers": [],
        **{name.replace("_", "-"): found for name, found in rows.items()},
    }


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        pytest.param("/api/inventory-feeds/7.json", 200, FEED_ROW, id="hash-only-listed"),
        pytest.param("/api/inventory-feeds/7.json", 404, b"", id="feed-only-listed"),
        pytest.param("/api/inventory-feeds.json", 200, [FEED_ROW], id="hash-not-listed"),
        pytest.param("/api/inventory-feeds.json", 200, [], id="feed-not-listed"),
        pytest.param("/api/inventory-feeds.json", 400, b"", id="condition-refused"),
        pytest.param("/api/inventory-feeds.json", 404, b"", id="no-list"),
    ],
)
def test_the_hash_of_a_feed_is_found_wherever_it_is_shown(path: str, status: int, body: object) -> None:
    """It is documented of the list alone, and a feed asked for by its id may show it or not."""

    def answer(call: Call) -> tuple[int, object] | None:
        return (status, body) if (call.method, call.path) == ("GET", path) else None

    with odd_server(rows=account(), answer=answer) as odd:
        outcome = deliver(odd, schema(), variant(1, 1), state(1))
        assert (outcome.error, outcome.states) == (None, [1])
        assert [call.headers["jetti-webhook-hash"] for call in odd.calls if call.method == "POST"] == ["h7"]
        assert not any("Authorization" in call.headers for call in odd.calls if call.method == "POST")


@pytest.mark.parametrize("body", [[None], {}, 5, [[1]], [{"id": "x"}], [{"externalId": "e1"}], "<html>"], ids=repr)
def test_a_look_up_with_a_nonsensical_answer_is_replaced_by_a_read(
    body: object, caplog: pytest.LogCaptureFixture
) -> None:
    """The feed is read as a whole, as if Jetti had refused the question."""
    shown = {"externalId": "e1", "vendorSku": "v1", "inventoryQuantity": 1, "updatedAt": "2024-01-01T00:00:00.000Z"}

    def answer(call: Call) -> tuple[int, object] | None:
        is_look_up = any("externalId" in name for name, _ in call.query)
        return (200, body) if is_look_up and call.path.endswith("variants.json") else None

    rows = account(inventory_feed_variants=[{"id": "1", **FEED_7, **shown}])
    with odd_server(rows=rows, answer=answer) as odd:
        outcome = deliver(odd, schema(), variant(1, 1), variant(2, 2), state(1))
        assert (outcome.error, outcome.states) == (None, [1])
        assert (outcome.of().unchanged, outcome.of().sent) == (1, 1)
    assert "does not filter inventory_feed_variants" in caplog.text


@pytest.mark.parametrize(
    "body", [{**FEED_ROW, "id": 8, "hash": "h8"}, [FEED_ROW], None, 7], ids=["other", "list", "null", "number"]
)
def test_the_hash_of_another_feed_is_not_used(body: object) -> None:
    """Data would go into a feed that nobody named."""
    path = "/api/inventory-feeds/7.json"
    with odd_server(
        rows={**account(), "inventory-feeds": []}, answer=lambda call: (200, body) if call.path == path else None
    ) as odd:
        outcome = deliver(odd, schema(), variant(1, 1), state(1))
        assert (outcome.states, odd.writes) == ([], [])
        assert "inventory-feeds/7.json" in str(outcome.error)


@pytest.mark.parametrize("delivery", ["inbound", "api"])
def test_a_problem_is_a_refusal_though_its_status_line_says_200(delivery: str) -> None:
    """What Jetti names as a problem in the body of an answer to a write was not written, and STATE does not pass it."""
    problem = {"status": 422, "title": "api.inventory_feeds.invalid", "detail": "no"}
    with odd_server(rows=account(), answer=lambda call: (200, problem) if call.method != "GET" else None) as odd:
        outcome = deliver(odd, schema(), variant(1, 1), state(1), delivery=delivery)
        assert (outcome.code, outcome.states) == (1, [])
        assert "api.inventory_feeds.invalid" in str(outcome.error)


def test_a_batch_is_not_taken_apart_after_the_record_that_stops_the_run() -> None:
    """Of a batch that is refused as a whole, only what leads to its first record is sent again."""
    refuse = {"answer": lambda call: (422, {"title": "no"}) if call.method == "POST" else None}
    with odd_server(rows=account(), **refuse) as odd:
        outcome = deliver(odd, schema(), *(variant(number, 1) for number in range(50)), state(1))
        assert "e0" in str(outcome.error)
        assert [len(body) for _, _, body in odd.writes] == [50, 25, 12, 6, 3, 1]


def test_a_shipment_is_recognised_though_its_ids_are_texts() -> None:
    """What was shipped is not shipped again, whatever type the API gives the purchase's id."""
    shipped = [{"id": "1", "purchaseId": "21", "trackingNumber": "T1"}]
    with odd_server(rows=account(dropshipments=shipped)) as odd:
        shipment = record("shipments", purchaseId=21, trackingNumber="T1")
        outcome = deliver(odd, schema("shipments"), shipment, state(1))
        assert (outcome.states, outcome.of("shipments").unchanged) == ([1], 1)
        assert odd.writes == []


ROW = {"id": "1", "externalId": "e1", "vendorSku": "v1", "inventoryQuantity": "1", **FEED_7}


@pytest.mark.parametrize("is_read_first", [True, False])
def test_what_a_removal_takes_away_is_sent_again(is_read_first: bool) -> None:
    """Behind a removal of its row a record is no more unchanged, also where the feed is read only after it."""
    removals = "inventory_feed_variant_removals"
    messages = [record(removals, externalId="e1"), variant(1, 1), state(1)]
    if is_read_first:
        messages.insert(0, variant(1, 1))
    with odd_server(rows=account(inventory_feed_variants=[ROW])) as odd:
        outcome = deliver(odd, schema(), schema(removals), *messages)
        assert outcome.states[-1] == 1
        assert [method for method, _, _ in odd.writes] == ["DELETE", "POST"]


@pytest.mark.parametrize("status", [400, 404, 410, 422, 500])
@pytest.mark.parametrize(
    ("rows", "left"),
    [
        pytest.param([], [], id="gone"),
        pytest.param([{**ROW, "status": "removed"}], [], id="marked-as-removed"),
        pytest.param([{**ROW, "inventoryFeedId": "8"}], [], id="in-another-feed"),
        pytest.param([{**ROW, "status": "connected"}], ["e1"], id="there"),
    ],
)
def test_what_is_gone_is_removed_however_jetti_refuses_to_remove_it_again(
    status: int, rows: list[dict[str, Any]], left: list[str], tmp_path: Path
) -> None:
    """A run that was killed removes again what it removed, and must get past it."""

    def answer(call: Call) -> tuple[int, object] | None:
        return (status, {"title": "api.inventory_feed_variants.odd"}) if call.method == "DELETE" else None

    removals, path = "inventory_feed_variant_removals", tmp_path / "r"
    with odd_server(rows=account(inventory_feed_variants=rows), answer=answer) as odd:
        outcome = deliver(
            odd, schema(removals), record(removals, externalId="e1"), state(1),
            on_reject="set_aside", rejects_path=str(path), delivery="api",
        )  # fmt: skip
        assert outcome.states == [1]
    assert [message["record"]["externalId"] for message in rejects(path) if "record" in message] == left


def test_a_row_of_another_feed_is_not_compared_with() -> None:
    """Where the server gives rows that were not asked for, a record is new rather than unchanged."""
    with odd_server(rows=account()) as odd:
        odd.answer = lambda call: (
            (200, [{**ROW, "inventoryFeedId": "8"}] if ("where[id][$gte]", "0") in call.query else [])
            if call.path == "/api/inventory-feed-variants.json"
            else None
        )
        assert deliver(odd, schema(), variant(1, 1), state(1)).of().sent == 1


PRODUCTS = [record("products", externalId=f"p{n}", sku=f"k{n}") for n in range(50)]


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
@pytest.mark.parametrize("poison", [0, 17, 49])
def test_a_poison_record_is_isolated_whatever_it_is_refused_with(status: int, poison: int, tmp_path: Path) -> None:
    """Its neighbours go, also where a 404 is about a record, and the batch is sent in few calls."""

    def answer(call: Call) -> tuple[int, object] | None:
        is_refused = call.method == "POST" and any(one["sku"] == f"k{poison}" for one in call.body)
        return (status, {"title": "api.variants.odd"}) if is_refused else None

    with odd_server(rows=account(), answer=answer) as odd:
        outcome = deliver(
            odd, schema("products"), *PRODUCTS, state(1),
            delivery="api", on_reject="set_aside", rejects_path=str(tmp_path / "r"),
        )  # fmt: skip
        assert (outcome.states, outcome.code) == ([1], 1)
        assert (outcome.of("products").sent, outcome.of("products").rejected) == (49, 1)
        assert [one["record"]["sku"] for one in rejects(tmp_path / "r")[1:]] == [f"k{poison}"]
        assert len(odd.writes) <= 24


def test_a_path_that_leads_nowhere_is_not_tried_for_every_record(tmp_path: Path) -> None:
    """Where the channel does not exist the run stops after a few calls; nothing is set aside, STATE waits."""
    with odd_server(rows=account()) as odd:
        odd.answer = lambda call: (404, {"title": "api.channels.missing"}) if call.method == "POST" else None
        outcome = deliver(
            odd, schema("products"), *PRODUCTS, state(1),
            delivery="api", on_reject="set_aside", rejects_path=str(tmp_path / "r"),
        )  # fmt: skip
        assert isinstance(outcome.error, SettingsError)
        assert (outcome.states, rejects(tmp_path / "r")) == ([], [])
        assert len(odd.writes) == 8  # the batch and three single records, by both names of the endpoint


@pytest.mark.parametrize("value", ["1e9999999", "[" * 150 + "]" * 150], ids=["huge-exponent", "deeply-nested"])
def test_odd_values_are_compared_all_the_same(value: str) -> None:
    """Neither the size of a number nor the depth of a list breaks the comparison."""
    with odd_server(rows=account(inventory_feed_variants=[{**ROW, "images": {"b": 1}}])) as odd:
        line = json.dumps(record(externalId="e1", images="?")).replace('"?"', '{"a": ' + value + "}")
        outcome = deliver(odd, schema("inventory_feed_variants", externalId={}, images={}), line, state(1))
        assert (outcome.error, outcome.states, outcome.of().sent) == (None, [1], 1)


@pytest.mark.parametrize("written", [[3, "3"], ["3", 3.0], [3.0, 3]])
def test_one_feed_is_not_made_twice_however_its_provider_is_written(written: list[Any]) -> None:
    """Two records mean the same feed, though a warehouse changed a number's type and the list lags behind."""
    feeds = [record("inventory_feeds", dropshipProviderId=one, name="New", resourceType="webhook") for one in written]
    with odd_server(rows=account()) as odd:
        odd.answer = lambda call: (200, {"id": "8"}) if call.method == "POST" else None
        outcome = deliver(odd, schema("inventory_feeds"), *feeds, state(1))
        assert outcome.error is None
        made = [("POST", "/api/inventory-feeds.json"), ("PUT", "/api/inventory-feeds/8.json")]
        assert [(method, path) for method, path, _ in odd.writes] == made


def test_the_other_name_is_said_once_though_many_calls_learn_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """Calls in flight side by side get the same 404, and one of them says so."""
    with odd_server(rows=account()) as odd:
        odd.answer = lambda call: (404, b"") if call.path.endswith("-batches.json") else None
        outcome = deliver(odd, schema("products"), *PRODUCTS, batch_size=2, delivery="api")
        assert outcome.error is None
        assert caplog.text.count("from now on") == 1
