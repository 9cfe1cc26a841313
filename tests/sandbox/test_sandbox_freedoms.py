"""Freedoms that the API's contract leaves to servers: each is an option."""

from __future__ import annotations

import pytest

from tap_jetti.sandbox import Options

WHERE = "where[id][$in]"


def sales(client, count=5):
    """Fill a table."""
    client.sandbox.replace("sales", [{"id": number, "updatedAt": "2024-01-01"} for number in range(1, count + 1)])


def test_a_cap_may_begin_later(start):
    """The first pages are as large as they were asked for."""
    client = start(page_cap=2, page_cap_after=1)
    sales(client)
    assert [len(client.ids("limit=4")) for _ in range(3)] == [4, 2, 2]


def test_a_cap_in_bytes_gives_whole_rows(start):
    """A page has as many rows as there is room for, and at least one."""
    client = start(page_cap_bytes=200)
    sales(client)
    assert 1 < len(client.ids("limit=5")) < 5


def test_a_cap_of_a_resource_is_a_number_of_rows():
    """Another text is an error of the options."""
    with pytest.raises(ValueError, match="such as sales=5"):
        Options(page_caps=("sales",))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("none", {5}), ("low", {3, 4, 5}), ("high", {5, 6, 7}), ("zero", {0, 5}), ("stale", {5})],
)
def test_counts_may_be_wrong(start, kind, expected):
    """Each kind of wrong count stays within its bounds."""
    client = start(count_error=kind)
    sales(client)
    assert {client.read("sales/count.json")["count"] for _ in range(40)} == expected
    sales(client, 9)
    assert (client.read("sales/count.json")["count"] == 5) == (kind == "stale")


@pytest.mark.parametrize(("mode", "status"), [("never", 200), ("many", 400)])
def test_a_list_with_a_great_index_may_be_an_object(start, mode, status):
    """Common parsers take a list with an index above 20 for an object; one that is appended to stays a list."""
    client = start(refuse_attributes=mode)
    sales(client)
    assert client.get(f"sales.json?{WHERE}[21]=1").status_code == status
    assert client.ids("&".join(f"{WHERE}[]={number}" for number in range(1, 40)) + "&limit=9&order[attribute]=id")


def test_a_change_of_a_child_may_move_its_parent(start):
    """The rows that a changed row refers to get a new updatedAt if the option says so."""
    client = start()
    sales(client, 2)
    client.sandbox.upsert("sale_items", {"id": 1, "saleId": 2, "updatedAt": "2024-01-01"})
    dates = [row["updatedAt"] for row in client.sandbox.rows("sales")]
    client.write("PUT", "sale-items/1.json", {"quantity": 2})
    assert [row["updatedAt"] for row in client.sandbox.rows("sales")] == dates
    client.sandbox.options.touch_parents = True
    client.write("PUT", "sale-items/1.json", {"quantity": 3})
    after = [row["updatedAt"] for row in client.sandbox.rows("sales")]
    assert (after[0], after[1] > dates[1]) == (dates[0], True)


def test_a_date_header_may_stand_still(start):
    """It is that of the first answer, until the option ends."""
    now = [1_700_000_000.0]
    client = start(clock=lambda: now[0], freeze_date=True)
    sales(client)
    dates = []
    for frozen in (True, True, False):
        client.sandbox.options.freeze_date = frozen
        dates.append(client.get("sales.json").headers["Date"])
        now[0] += 100
    assert dates[0] == dates[1] != dates[2]


@pytest.mark.parametrize(
    ("way", "resource", "sent", "stored"),
    [
        ("trim", "sales", {"notes": " a b ", "externalId": " x "}, {"notes": "a b", "externalId": " x "}),
        ("lower", "variants", {"tags": ["A", "b"]}, {"tags": ["a", "b"]}),
        ("round", "variants", {"costPrice": 1.239}, {"costPrice": 1.24}),
        ("empty", "sales", {"notes": ""}, {"notes": None}),
        ("compact", "dropshipments", {"trackingNumber": "1z 9 a"}, {"trackingNumber": "1Z9A"}),
    ],
)
def test_values_may_be_normalised(start, way, resource, sent, stored):
    """What is stored, and shown, is another form of what was sent; keys stay as they are."""
    client = start()
    client.sandbox.upsert(resource, {"id": 1})
    path = f"{resource}/1.json"
    assert sent.items() <= client.write("PUT", path, sent).items()
    client.sandbox.options.normalise = (way,)
    assert stored.items() <= client.write("PUT", path, sent).items()


@pytest.mark.parametrize("status", ["404", "200", "422"])
def test_a_removal_of_what_does_not_exist(start, status):
    """How it is answered is not documented."""
    client = start(removal_of_missing=status)
    client.sandbox.upsert("inventory_feeds", {"id": 1, "resourceType": "webhook"})
    path = "inventory-feeds/1/remove-by-external-id.json"
    assert client.request("DELETE", path, {"externalId": "no"}).status_code == int(status)


@pytest.mark.parametrize("order", ["arrival", "random"])
def test_the_queue_may_reorder(start, order):
    """A later update of a key may be applied before an earlier one."""
    now = [1_700_000_000.0]
    client = start(clock=lambda: now[0], inbound_order=order, inbound_delay=5.0)
    client.sandbox.upsert("inventory_feeds", {"id": 1, "resourceType": "webhook"})
    client.sandbox.upsert("inventory_feed_variants", {"id": 1, "inventoryFeedId": 1, "externalId": "a"})
    last = set()
    for number in range(20):
        body = [{"externalId": "a", "inventoryQuantity": quantity} for quantity in (number, number + 1000)]
        client.inbound("POST", "inventory-feeds/parse-webhooks.json", body, client.sandbox.feed_hash(1))
        now[0] += 11
        client.sandbox.settle()
        last.add(client.sandbox.rows("inventory_feed_variants")[0]["inventoryQuantity"] >= 1000)
    assert last == ({True} if order == "arrival" else {True, False})


def test_the_fate_of_sales_may_be_hidden(start):
    """That sale_imports shows it is inferred."""
    client = start(sale_imports=False)
    client.sandbox.upsert("channels", {"id": 3})
    assert client.request("POST", "channels/3/manual-sale.json", {"externalId": "S"}).status_code == 422
    assert client.sandbox.rows("sale_imports") == []
