"""Every write call of the API is reached by an action: shown by what arrived and what it changed."""

from __future__ import annotations

from typing import Any

import pytest
from target_runs import CHANNEL, FEED, deliver, jetti, record, schema

INBOUND, API = "inbound", "api"

ACK = {"sku": "s1", "vendorSku": "v1", "dropshipProviderExternalId": "maker"}
ACK_2 = {"sku": "s2", "vendorSku": "v2", "dropshipProviderId": 3}
GROUPED = {
    "sku": "s1",
    "vendorSkus": [
        {"vendorSku": "v1", "dropshipProviderId": 3},
        {"vendorSku": "v2", "dropshipProviderId": 3},
    ],
}
SALE = {
    "externalId": "sale-1",
    "customer": {"email": "a@example.com", "firstName": "A", "lastName": "B"},
    "lineItems": [{"externalId": "l1", "name": "Cup", "quantity": 2, "price": 4.5, "variant": {"sku": "s1"}}],
}

CASES: dict[str, tuple[str, str, list[dict[str, Any]], list[tuple[str, str]]]] = {
    "variants-inbound": (
        "inventory_feed_variants",
        INBOUND,
        [{"externalId": "a", "vendorSku": "x", "inventoryQuantity": 1}],
        [("POST", "/webhooks/inventory-feeds/parse-webhooks.json")],
    ),
    "variants-api": (
        "inventory_feed_variants",
        API,
        [{"externalId": "a", "vendorSku": "x", "inventoryQuantity": 1}],
        [("PUT", f"/api/inventory-feeds/{FEED}/parse-webhook.json")],
    ),
    "variants-by-id": (
        "inventory_feed_variants",
        API,
        [{"id": 900, "inventoryQuantity": 5}],
        [("PUT", "/api/inventory-feed-variants/900.json")],
    ),
    "removals": (
        "inventory_feed_variant_removals",
        INBOUND,
        [{"externalId": "gone"}, {"externalId": "never-was"}],
        [("DELETE", f"/api/inventory-feeds/{FEED}/remove-by-external-id.json")] * 2,
    ),
    "acknowledge-one": (
        "acknowledgements",
        API,
        [ACK],
        [("PUT", f"/api/channels/{CHANNEL}/acknowledge-inventory-feed-variants.json")],
    ),
    "acknowledge-grouped": (
        "acknowledgements",
        API,
        [GROUPED],
        [("PUT", f"/api/channels/{CHANNEL}/acknowledge-inventory-feed-variants.json")],
    ),
    "acknowledge-batch": (
        "acknowledgements",
        API,
        [ACK, ACK_2],
        [("PUT", f"/api/channels/{CHANNEL}/acknowledge-variant-batches.json")],
    ),
    "acknowledge-inbound": (
        "acknowledgements",
        INBOUND,
        [ACK, ACK_2],
        [("PUT", "/webhooks/custom-channels/acknowledge-inventory-feed-variant-batches.json")],
    ),
    "acknowledge-variant": (
        "acknowledgements",
        INBOUND,
        [{"externalId": "shop-1", "sku": "s1"}, {"externalId": "shop-2", "sku": "s2", "vendorSku": None}],
        [("PUT", f"/api/channels/{CHANNEL}/acknowledge-variant.json")] * 2,
    ),
    "disconnect-one": (
        "disconnections",
        API,
        [ACK],
        [("PUT", f"/api/channels/{CHANNEL}/disconnect-inventory-feed-variants.json")],
    ),
    "disconnect-batch": (
        "disconnections",
        API,
        [ACK, ACK_2],
        [("PUT", f"/api/channels/{CHANNEL}/disconnect-variant-batches.json")],
    ),
    "disconnect-inbound": (
        "disconnections",
        INBOUND,
        [ACK, ACK_2],
        [("PUT", "/webhooks/custom-channels/disconnect-inventory-feed-variant-batches.json")],
    ),
    "products-api": (
        "products",
        API,
        [{"externalId": "p1", "sku": "s9", "name": "Plate"}, {"externalId": "p2", "sku": "s8", "name": "Pot"}],
        [("POST", f"/api/channels/{CHANNEL}/import-connector-variant-batches.json")],
    ),
    "products-inbound": (
        "products",
        INBOUND,
        [{"externalId": "p1", "sku": "s9", "name": "Plate"}],
        [("POST", "/webhooks/custom-channels/products.json")],
    ),
    "sales-api": ("sales", API, [SALE], [("POST", f"/api/channels/{CHANNEL}/manual-sale.json")]),
    "sales-inbound": ("sales", INBOUND, [SALE], [("POST", "/webhooks/custom-channels/manual-sale.json")]),
    "provider-created": (
        "dropship_providers",
        INBOUND,
        [{"externalId": "new", "name": "New"}],
        [("POST", "/api/dropship-providers.json")],
    ),
    "provider-found": (
        "dropship_providers",
        INBOUND,
        [{"externalId": "maker", "name": "Renamed"}],
        [("PUT", "/api/dropship-providers/3.json")],
    ),
    "provider-by-id": (
        "dropship_providers",
        INBOUND,
        [{"id": 3, "name": "Renamed"}],
        [("PUT", "/api/dropship-providers/3.json")],
    ),
    "feed-created": (
        "inventory_feeds",
        INBOUND,
        [{"dropshipProviderId": 3, "name": "More", "resourceType": "webhook"}],
        [("POST", "/api/inventory-feeds.json")],
    ),
    "feed-found": (
        "inventory_feeds",
        INBOUND,
        [{"dropshipProviderId": 3, "name": "Stock", "muteError": True}],
        [("PUT", f"/api/inventory-feeds/{FEED}.json")],
    ),
    "shipment": (
        "shipments",
        INBOUND,
        [{"purchaseId": 21, "trackingNumber": "T1", "trackingCompany": "Post"}],
        [("POST", "/api/purchases/21/ship.json")],
    ),
    "status-by-name": (
        "purchase_statuses",
        INBOUND,
        [{"purchaseId": 21, "purchaseStatus": "sent"}, {"purchaseId": 22, "purchaseStatusId": 2}],
        [("PUT", "/api/purchases/21.json"), ("PUT", "/api/purchases/22.json")],
    ),
    "custom-fields": (
        "custom_fields",
        INBOUND,
        [
            {"resource": "sales", "resourceId": 31, "key": "gift", "value": "yes"},
            {"resource": "sales", "resourceId": 31, "key": "note", "value": "fragile"},
            {"resource": "purchases", "resourceId": 21, "key": "dock", "value": 4},
        ],
        [("PUT", "/api/sales/31/sync-custom-fields.json"), ("PUT", "/api/purchases/21/sync-custom-fields.json")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_record_becomes_the_call_that_the_api_documents(case: str) -> None:
    """Each action makes its documented calls, no others, and all of them are accepted and take effect."""
    action, delivery, records, calls = CASES[case]
    with jetti() as sandbox:
        feed = {"inventoryFeedId": FEED, "inventoryQuantity": 1}
        for number in (1, 2):
            row = {"id": 900 + number, "externalId": f"w{number}", "vendorSku": f"v{number}", "variantId": 12, **feed}
            sandbox.upsert("inventory_feed_variants", row)
        sandbox.upsert("inventory_feed_variants", {"id": 900, "externalId": "gone", "vendorSku": "g", **feed})
        outcome = deliver(sandbox, schema(action), *(record(action, **fields) for fields in records), delivery=delivery)
        assert outcome.error is None
        assert outcome.code == 0
        made = [(entry.method, entry.path) for entry in sandbox.requests.writes]
        assert sorted(made) == sorted(calls)
        assert outcome.of(action).sent == len(records)
        assert sandbox.log == []


@pytest.mark.parametrize(("count", "warned"), [("none", 1), ("all", 0)])
def test_a_look_up_that_cannot_be_proven_is_said(count: str, warned: int, caplog: pytest.LogCaptureFixture) -> None:
    """If Jetti does not count what is looked up, one warning says that a row may be created a second time."""
    with jetti(count=count) as sandbox:
        deliver(
            sandbox,
            schema("dropship_providers"),
            record("dropship_providers", externalId="new", name="New"),
            record("dropship_providers", externalId="other", name="Other"),
        )
    assert caplog.text.count("may be created a second time") == warned


def test_effects_are_those_of_the_records() -> None:
    """Providers, statuses, custom fields and sales end up in Jetti as they were given."""
    with jetti() as sandbox:
        outcome = deliver(
            sandbox,
            schema("dropship_providers"),
            record("dropship_providers", externalId="maker", name="Renamed"),
            schema("purchase_statuses"),
            record("purchase_statuses", purchaseId=21, purchaseStatus="Late"),
            schema("custom_fields"),
            record("custom_fields", resource="sales", resourceId=31, key="gift", value="yes"),
            schema("sales"),
            record("sales", **SALE),
        )
        assert outcome.error is None
        providers = sandbox.rows("dropship_providers")
        assert [(row["externalId"], row["name"]) for row in providers] == [("maker", "Renamed")]
        statuses = {row["id"]: row["purchaseStatusId"] for row in sandbox.rows("purchases")}
        assert statuses == {21: 3, 22: 1, 23: 1}
        assert [row["value"] for row in sandbox.rows("custom_field_sales")] == ["yes"]
        assert {row["externalId"] for row in sandbox.rows("sales")} == {"old", "sale-1"}


@pytest.mark.parametrize(
    ("option", "action", "records", "names"),
    [
        pytest.param(
            {"disconnect_path": "long"},
            "disconnections",
            [ACK, ACK_2],
            ["disconnect-variant-batches", "disconnect-inventory-feed-variant-batches"],
            id="disconnections",
        ),
        pytest.param(
            {"products_path": "batch"},
            "products",
            [{"externalId": "p1", "sku": "s1"}, {"externalId": "p2", "sku": "s2"}],
            ["import-connector-variant-batches", "import-connector-variant-batch"],
            id="products",
        ),
    ],
)
def test_the_other_name_of_a_call_is_tried_once_and_remembered(
    option: dict[str, str],
    action: str,
    records: list[dict[str, Any]],
    names: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where the guides contradict each other the second name follows a 404, and alone from then on."""
    with jetti(**option) as sandbox:
        for number in (1, 2):
            row = {"externalId": f"w{number}", "vendorSku": f"v{number}", "inventoryFeedId": FEED}
            sandbox.upsert("inventory_feed_variants", row)
        fields = {"type": "object", "properties": {}}
        messages = [record(action, **{**one, "channelId": CHANNEL}) for one in records]
        again = {**schema(action), "schema": {**fields, "properties": {"sku": {}}}}
        outcome = deliver(
            sandbox, schema(action), *messages, again, *messages, delivery="api", concurrency=1, batch_size=2
        )
        assert outcome.error is None
        used = [entry.path.rpartition("/")[2].removesuffix(".json") for entry in sandbox.requests.writes]
        assert used == [*names, names[1]]
        assert caplog.text.count(f"using {names[1]} from now on") == 1


def test_unknown_and_ambiguous_names_of_a_status_are_rejected() -> None:
    """A status that no name, or only several in another case, stand for is refused before anything is sent."""
    with jetti() as sandbox:
        for name in ("nowhere", "LATE"):
            outcome = deliver(
                sandbox,
                schema("purchase_statuses"),
                record("purchase_statuses", purchaseId=21, purchaseStatus=name),
            )
            assert "purchaseStatus.unknown" in str(outcome.error)
        assert sandbox.requests.writes == []


def test_a_sale_says_that_it_is_manual() -> None:
    """The documented body has a source; a record may name another one."""
    with jetti() as sandbox:
        other = {**SALE, "externalId": "sale-2", "source": "import"}
        deliver(sandbox, schema("sales"), record("sales", **SALE), record("sales", **other), delivery="api")
        bodies = sorted((entry.body for entry in sandbox.requests.writes), key=lambda body: body["externalId"])
        assert bodies == [{**SALE, "source": "manual"}, other]
