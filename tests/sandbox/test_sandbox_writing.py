from __future__ import annotations

from typing import Any

import pytest

FEED = {"id": 1, "updatedAt": None, "dropshipProviderId": 1, "resourceType": "webhook"}
SALE: dict[str, Any] = {
    "externalId": "S1",
    "saleDefaults": {"notes": "by hand"},
    "customer": {"firstName": "Customer", "lastName": "17", "email": "customer17@example.com"},
    "lineItems": [
        {
            "externalId": "L1",
            "name": "Line 1",
            "quantity": 2,
            "price": 3.5,
            "taxable": True,
            "variant": {"externalId": "X", "sku": "A"},
            "properties": [{"key": "colour", "value": "green"}],
        }
    ],
    "shipping": [{"code": "std", "name": "Standard", "serviceLevel": "standard", "price": 5}],
    "source": "manual",
}


@pytest.fixture
def client(start):
    """A client of a sandbox with the rows that the tests need."""
    client = start(clock=lambda: 1_700_000_000.123456)
    fill = client.sandbox.replace
    fill("dropship_providers", [{"id": 1, "updatedAt": None, "externalId": "P1", "name": "Provider 1"}])
    fill("inventory_feeds", [FEED, {**FEED, "id": 2, "resourceType": "ftpCsv"}])
    fill(
        "inventory_feed_variants",
        [
            {
                "id": number,
                "updatedAt": None,
                "inventoryFeedId": 1,
                "externalId": f"E{number}",
                "vendorSku": f"V{number}",
            }
            for number in (1, 2)
        ],
    )
    fill("variants", [{"id": 5, "updatedAt": None, "sku": "A"}])
    fill("channels", [{"id": 3, "updatedAt": None}])
    fill("custom_channels", [{"id": 9, "updatedAt": None, "channelId": 3}])
    fill("sales", [{"id": 1, "updatedAt": None}])
    fill("purchases", [{"id": 4, "updatedAt": None, "saleId": 1}])
    fill("purchase_items", [{"id": number, "updatedAt": None, "purchaseId": 4, "quantity": 1} for number in (6, 7)])
    fill("purchase_statuses", [{"id": 2, "updatedAt": None, "name": "Sent"}])
    return client


def refused(client, method, path, body):
    """The status and title of a write that must fail."""
    response = client.request(method, path, body)
    assert response.status_code >= 400, response.text
    return response.status_code, response.json()["title"]


def only(client, resource, **wanted):
    """The one row with these values."""
    [row] = [row for row in client.sandbox.rows(resource) if wanted.items() <= row.items()]
    return row


def test_feed_variant_is_upserted(client):
    """parse-webhook adds a feed variant; the next call changes only the fields that it has."""
    path = "inventory-feeds/1/parse-webhook.json"
    added = client.write("PUT", path, {"externalId": "N", "vendorSku": "VN", "inventoryQuantity": 3})
    assert (added["status"], added["barcode"], added["companyId"]) == ("pending", None, 1)
    changed = client.write("PUT", path, {"externalId": "N", "inventoryQuantity": "4"})
    assert changed == {**added, "inventoryQuantity": 4}
    assert changed["updatedAt"] == "2023-11-14T22:13:20.123Z"
    assert client.sandbox.count("inventory_feed_variants") == 3


def test_feed_variant_connects_by_sku(client):
    """A feed that connects automatically connects a new feed variant to the variant of its sku."""
    client.sandbox.upsert("inventory_feeds", {"id": 1, "automaticallyConnect": True})
    added = client.write("PUT", "inventory-feeds/1/parse-webhook.json", {"externalId": "N", "vendorSku": "A"})
    assert (added["variantId"], added["status"]) == (5, "connected")
    assert only(client, "inventory_feed_variant_connections")["scope"] == "automated"


@pytest.mark.parametrize(
    ("feed", "body", "status"),
    [
        pytest.param(2, {"externalId": "N", "vendorSku": "VN"}, 422, id="not-a-webhook-feed"),
        pytest.param(8, {"externalId": "N", "vendorSku": "VN"}, 404, id="no-such-feed"),
        pytest.param(1, {"vendorSku": "VN"}, 422, id="no-external-id"),
        pytest.param(1, {"externalId": "N"}, 422, id="new-without-vendor-sku"),
        pytest.param(1, {"externalId": "E1", "vendorSku": None}, 422, id="null-vendor-sku"),
        pytest.param(1, {"externalId": "E1", "inventoryQuantity": -1}, 422, id="negative"),
        pytest.param(1, {"externalId": "E1", "inventoryQuantity": "many"}, 422, id="text-quantity"),
        pytest.param(1, {"externalId": "E1", "costPrice": [1]}, 422, id="list-price"),
        pytest.param(1, {"externalId": "E1", "taxable": "yes"}, 422, id="text-boolean"),
        pytest.param(1, {"externalId": "E1", "tags": "new"}, 422, id="text-list"),
        pytest.param(1, {"externalId": "E1", "lastFetchedAt": "today"}, 422, id="bad-date"),
        pytest.param(1, [], 400, id="not-an-object"),
    ],
)
def test_refused_feed_variant(client, feed, body, status):
    """An invalid feed variant is a problem with a dotted title, and nothing is written."""
    before = client.sandbox.rows("inventory_feed_variants")
    found, title = refused(client, "PUT", f"inventory-feeds/{feed}/parse-webhook.json", body)
    assert (found, title[:4]) == (status, "api.")
    assert client.sandbox.rows("inventory_feed_variants") == before


def test_permanent_errors(client):
    """With the option every refused write has the status 500."""
    client.sandbox.options.permanent_errors = "500"
    assert refused(client, "POST", "dropship-providers.json", {}) == (500, "api.dropship_providers.create.missing")


def test_daily_limit(client):
    """No more feed variants are updated per day than the plan's SKU limit."""
    client.sandbox.options.daily_sku_limit = 1
    client.write("PUT", "inventory-feed-variants/1.json", {"inventoryQuantity": 1})
    found = refused(client, "PUT", "inventory-feed-variants/2.json", {"inventoryQuantity": 1})
    assert found == (422, "api.inventory_feed_variants.daily_limit")


@pytest.mark.parametrize(("removal", "left"), [("delete", [2]), ("mark", [1, 2])])
def test_remove(client, removal, left):
    """remove-by-external-id deletes the row, or marks it as removed."""
    client.sandbox.options.removal = removal
    path = "inventory-feeds/1/remove-by-external-id.json"
    client.write("DELETE", path, {"externalId": "E1"})
    assert [row["id"] for row in client.sandbox.rows("inventory_feed_variants")] == left
    assert refused(client, "DELETE", path, {"externalId": "none"})[0] == 404


@pytest.mark.parametrize("provider", [{"dropshipProviderId": 1}, {"dropshipProviderExternalId": "P1"}])
def test_acknowledge_and_disconnect(client, provider):
    """An acknowledgement connects a feed variant to the variant with a sku; a disconnection disconnects it."""
    body = {"sku": "A", "vendorSkus": [{"vendorSku": "V1", **provider}]}
    client.write("PUT", "channels/3/acknowledge-inventory-feed-variants.json", body)
    client.write("PUT", "channels/3/acknowledge-inventory-feed-variants.json", body)
    row = only(client, "inventory_feed_variants", id=1)
    assert (row["variantId"], row["status"]) == (5, "connected")
    client.write("PUT", "channels/3/disconnect-inventory-feed-variants.json", body)
    row = only(client, "inventory_feed_variants", id=1)
    assert (row["variantId"], row["status"]) == (None, "pending")
    actions = [row["action"] for row in client.sandbox.rows("inventory_feed_variant_connections")]
    assert actions == ["connected", "disconnected"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"sku": "none", "vendorSkus": [{"vendorSku": "V1", "dropshipProviderId": 1}]}, 404, id="sku"),
        pytest.param({"sku": "A", "vendorSkus": [{"vendorSku": "V1", "dropshipProviderId": 8}]}, 500, id="provider"),
        pytest.param({"sku": "A", "vendorSkus": [{"vendorSku": "V8", "dropshipProviderId": 1}]}, 500, id="vendor-sku"),
        pytest.param({"sku": "A"}, 422, id="no-vendor-skus"),
    ],
)
def test_refused_acknowledgement(client, body, status):
    """An invalid acknowledgement is a problem, sometimes with status 500."""
    assert refused(client, "PUT", "channels/3/acknowledge-inventory-feed-variants.json", body)[0] == status


@pytest.mark.parametrize(
    ("mode", "name", "status"),
    [
        pytest.param("both", "disconnect-variant-batches", 200, id="both-short"),
        pytest.param("both", "disconnect-inventory-feed-variant-batches", 200, id="both-long"),
        pytest.param("short", "disconnect-inventory-feed-variant-batches", 404, id="short"),
        pytest.param("long", "disconnect-variant-batches", 404, id="long"),
    ],
)
def test_disconnect_path(client, mode, name, status):
    """The batch call exists under the name that the option sets."""
    client.sandbox.options.disconnect_path = mode
    assert client.request("PUT", f"channels/3/{name}.json", []).status_code == status


def test_queued_batches(client):
    """A batch of acknowledgements is applied later; one of more than 50 is refused."""
    path = "channels/3/acknowledge-variant-batches.json"
    body = {"sku": "A", "vendorSkus": [{"vendorSku": "V1", "dropshipProviderId": 1}]}
    client.write("PUT", path, [body])
    assert only(client, "inventory_feed_variants", id=1).get("variantId") is None
    client.sandbox.settle()
    assert only(client, "inventory_feed_variants", id=1)["variantId"] == 5
    assert refused(client, "PUT", path, [body] * 51) == (422, "api.batch.too_large")


def test_acknowledge_variant(client):
    """An acknowledged variant has its external id in the channel."""
    for _ in range(2):
        client.write("PUT", "channels/3/acknowledge-variant.json", {"externalId": 77, "sku": "A"})
    row = only(client, "channel_variants")
    assert (row["externalId"], row["variantId"], row["channelId"]) == ("77", 5, 3)


@pytest.mark.parametrize("name", ["import-connector-variant-batches", "import-connector-variant-batch"])
def test_products(client, name):
    """Products are added or updated by their external id in the channel."""
    for label in ("Chair", "Armchair"):
        client.write("POST", f"channels/3/{name}.json", [{"externalId": "C1", "sku": "CHAIR", "name": label}])
    assert only(client, "variants", sku="CHAIR")["name"] == "Armchair"
    assert only(client, "channel_variants", externalId="C1")["externalSku"] == "CHAIR"
    assert client.sandbox.count("products") == 1


def test_manual_sale(client):
    """A sale is added with its customer, lines and shipping; the next call updates it."""
    added = client.write("POST", "channels/3/manual-sale.json", SALE)
    again = client.write("POST", "channels/3/manual-sale.json", {**SALE, "shipping": []})
    assert (added["id"], added["total"], again["id"], again["total"]) == (2, 12.0, 2, 7.0)
    line = only(client, "sale_items")
    assert (line["saleId"], line["variantId"], line["properties"]) == (2, 5, SALE["lineItems"][0]["properties"])
    assert only(client, "customers")["email"] == "customer17@example.com"
    imports = client.sandbox.rows("sale_imports")
    assert [(row["status"], row["saleId"], row["externalId"]) for row in imports] == [("success", 2, "S1")] * 2


@pytest.mark.parametrize("create", [False, True])
def test_sale_of_unknown_variant(client, create):
    """An unknown variant is created if the sale says so; if not, it is a problem with status 500."""
    line = {**SALE["lineItems"][0], "variant": {"externalId": "unknown"}}
    sale = {**SALE, "lineItems": [line], "options": {"findOrCreateChannelVariant": create}}
    if create:
        client.write("POST", "channels/3/manual-sale.json", sale)
        assert only(client, "channel_variants")["externalId"] == "unknown"
    else:
        found = refused(client, "POST", "channels/3/manual-sale.json", sale)
        assert found == (500, "api.channels.process_sale.missing")
    assert only(client, "sale_imports")["status"] == ("success" if create else "error")


@pytest.mark.parametrize("missing", ["externalId", "customer", "lineItems"])
def test_incomplete_sale(client, missing):
    """A sale without a required field is refused."""
    body = {name: value for name, value in SALE.items() if name != missing}
    assert refused(client, "POST", "channels/3/manual-sale.json", body)[0] == 422


def test_provider(client):
    """A provider needs only a name; a PUT changes the fields that it has and returns the whole row."""
    added = client.write("POST", "dropship-providers.json", {"name": "Provider 2"})
    changed = client.write("PUT", f"dropship-providers/{added['id']}.json", {"city": "Easton"})
    assert changed == {**added, "city": "Easton"}
    taken = refused(client, "PUT", f"dropship-providers/{added['id']}.json", {"externalId": "P1"})
    assert taken == (409, "api.dropship_providers.external_id.taken")


def test_feed(client):
    """A feed needs a provider that exists and a known resource type."""
    body = {"dropshipProviderId": 1, "name": "Feed 3", "resourceType": "webhook"}
    added = client.write("POST", "inventory-feeds.json", body)
    assert client.sandbox.feed_hash(added["id"]) == added["hash"]
    assert refused(client, "POST", "inventory-feeds.json", {**body, "dropshipProviderId": 8})[0] == 422
    assert refused(client, "POST", "inventory-feeds.json", {**body, "resourceType": "pigeon"})[0] == 422


def test_ship(client):
    """Each call adds a dropshipment with its items and a transaction: it is not idempotent."""
    body = {"inventoryStatus": "shipped", "trackingNumber": "T1", "trackingCompany": "UPS", "ids": []}
    client.write("POST", "purchases/4/ship.json", body)
    client.write("POST", "purchases/4/ship.json", {**body, "ids": [7]})
    rows = client.sandbox.rows
    assert [row["trackingNumber"] for row in rows("dropshipments")] == ["T1", "T1"]
    assert [row["purchaseItemId"] for row in rows("dropshipment_items")] == [6, 7, 7]
    assert [row["dropshipmentId"] for row in rows("transactions")] == [1, 2]
    assert only(client, "purchases")["inventoryStatus"] == "shipped"
    assert refused(client, "POST", "purchases/4/ship.json", {"ids": [99]})[0] == 422
    assert refused(client, "POST", "purchases/99/ship.json", {"ids": []})[0] == 404


def test_purchase_status(client):
    """The status of a purchase must exist."""
    assert client.write("PUT", "purchases/4.json", {"purchaseStatusId": 2})["purchaseStatusId"] == 2
    found = refused(client, "PUT", "purchases/4.json", {"purchaseStatusId": 8})
    assert found == (422, "api.purchases.purchase_status.missing")


@pytest.mark.parametrize(("resource", "row_id", "owner"), [("sales", 1, "saleId"), ("purchases", 4, "purchaseId")])
def test_custom_fields(client, resource, row_id, owner):
    """Custom fields are set by key; setting one again changes its row."""
    for value in ("green", "blue"):
        body = {"customFields": [{"key": "colour", "value": value}]}
        client.write("PUT", f"{resource}/{row_id}/sync-custom-fields.json", body)
    row = only(client, f"custom_field_{resource}")
    assert (row[owner], row["value"]) == (row_id, "blue")
    assert only(client, "custom_fields")["name"] == "colour"
    assert refused(client, "PUT", f"{resource}/{row_id}/sync-custom-fields.json", {})[0] == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "sales.json"), ("PUT", "sales.json"), ("DELETE", "sales/1.json"), ("PUT", "sales/1/ship.json")],
)
def test_no_such_call(client, method, path):
    """Calls that the contract does not list are answered 404."""
    assert refused(client, method, path, {})[0] == 404
