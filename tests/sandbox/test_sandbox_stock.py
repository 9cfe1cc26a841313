"""Rows of any resource are changed by their ids; stock is set; purchases and sales are cancelled."""

from __future__ import annotations

import pytest

from tap_jetti.facts import resources


@pytest.fixture
def client(start):
    """A client of a sandbox with a variant in a channel, a sale and its purchase."""
    client = start()
    put = client.sandbox.upsert
    put("variants", {"id": 5, "sku": "A", "inventoryQuantity": 3})
    put("channels", {"id": 3})
    put("channel_variants", {"id": 8, "channelId": 3, "variantId": 5, "externalId": "shop-5"})
    put("adjustment_reasons", {"id": 2, "name": "Count"})
    put("sales", {"id": 1})
    put("purchases", {"id": 4, "saleId": 1, "cancelled": False})
    for number in (6, 7):
        put("sale_items", {"id": number, "saleId": 1, "quantity": 2})
        put("purchase_items", {"id": number, "purchaseId": 4, "quantity": 2})
    return client


def field(client, resource, name):
    """The values of a field, by id."""
    return [row.get(name) for row in client.sandbox.rows(resource)]


def test_any_row_is_changed_by_its_id(client):
    """PUT changes the given fields of a row of any resource, and returns the whole row."""
    for resource in resources.names():
        client.sandbox.upsert(resource, {"id": 90, "companyId": 1, "mark": resource})
        path = f"{resources.api_name(resource)}/90.json"
        assert client.write("PUT", path, {})["mark"] == resource
        assert client.request("PUT", path.replace("90", "91"), {}).status_code == 404


def test_a_changed_row_refers_to_rows_that_exist(client):
    """A foreign key that leads nowhere is refused."""
    assert client.write("PUT", "sales/1.json", {"notes": "n"})["notes"] == "n"
    response = client.request("PUT", "sales/1.json", {"customerId": 77})
    assert (response.status_code, response.json()["title"]) == (422, "api.sales.customer.missing")


def test_stock_of_a_variant(client):
    """set-level sets the quantity and records the difference as an adjustment."""
    body = {"quantity": 10, "adjustmentReasonId": 2, "notes": "counted"}
    assert client.write("PUT", "variants/5/set-level.json", body)["inventoryQuantity"] == 10
    assert field(client, "adjustments", "quantity") == [7]
    assert field(client, "adjustments", "adjustmentReasonId") == [2]


@pytest.mark.parametrize("path", ["set-variant-level", "variant-set-level"])
def test_stock_of_a_variant_in_a_channel(client, path):
    """The variant is found by its external id in the channel; both spellings of the path are known."""
    client.write("PUT", f"channels/3/{path}.json", {"quantity": 4, "externalId": "shop-5"})
    assert field(client, "variants", "inventoryQuantity") == [4]
    client.sandbox.options.channel_level_path = "reference" if path.startswith("set") else "guide"
    client.sandbox.options.permanent_errors = "500"
    assert client.request("PUT", f"channels/3/{path}.json", {}).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status", "title"),
    [
        ("variants/5/set-level", {}, 422, "api.variants.set_level.missing"),
        ("variants/5/set-level", {"quantity": "x"}, 422, "api.variants.inventoryQuantity.invalid"),
        (
            "variants/5/set-level",
            {"quantity": 1, "adjustmentReasonId": 9},
            422,
            "api.variants.set_level.reason_missing",
        ),
        ("variants/99/set-level", {"quantity": 1}, 404, "api.variants.missing"),
        ("channels/3/set-variant-level", {"quantity": 1}, 422, "api.channels.set_variant_level.missing"),
        (
            "channels/3/set-variant-level",
            {"quantity": 1, "externalId": "no"},
            404,
            "api.channels.set_variant_level.variant_missing",
        ),
    ],
)
def test_stock_that_is_refused(client, path, body, status, title):
    """What is missing or unknown is a problem."""
    response = client.request("PUT", f"{path}.json", body)
    assert (response.status_code, response.json()["title"]) == (status, title)


def test_a_purchase_is_cancelled_by_items(client):
    """Items are cancelled, then the rest; each call adds a sale return, and `cancelled` stays false."""
    body = {"ids": [6], "setQuantities": True, "status": "cancelled"}
    assert client.write("PUT", "purchases/4/cancel.json", body)["purchaseId"] == 4
    assert field(client, "purchases", "cancellationStatus") == ["partial"]
    assert field(client, "purchase_items", "quantityCancelled") == [2, None]
    client.write("PUT", "purchases/4/cancel.json", {**body, "ids": []})
    assert field(client, "purchases", "cancellationStatus") == ["full"]
    assert field(client, "purchases", "cancelled") == [False]
    assert client.sandbox.count("sale_returns") == 2
    assert client.request("PUT", "purchases/4/cancel.json", {"ids": [99]}).status_code == 422


def test_a_sale_is_cancelled(client):
    """Without a list of items all of them are; the answer is a list of sale returns."""
    [returned] = client.write("POST", "sales/1/cancel.json", {})
    assert returned["saleId"] == 1
    assert field(client, "sales", "cancelled") == [True]
    assert field(client, "sale_items", "quantityCancelled") == [2, 2]
