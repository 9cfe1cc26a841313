import pytest

BATCH = "inventory-feeds/parse-webhooks.json"


@pytest.fixture
def clock():
    """A clock that only moves when a test moves it."""

    class Clock:
        now = 1_700_000_000.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def client(start, clock):
    """A client of a sandbox with the rows that the tests need."""
    client = start(clock=clock, inbound_delay=5.0)
    fill = client.sandbox.replace
    fill("dropship_providers", [{"id": 1, "updatedAt": None, "externalId": "P1"}])
    fill("inventory_feeds", [{"id": 1, "updatedAt": None, "dropshipProviderId": 1, "resourceType": "webhook"}])
    fill("variants", [{"id": 5, "updatedAt": None, "sku": "A"}])
    fill("channels", [{"id": 3, "updatedAt": None}])
    fill("custom_channels", [{"id": 9, "updatedAt": None, "channelId": 3}])
    return client


def item(external_id, quantity=1):
    """A feed variant as it is sent."""
    return {"externalId": external_id, "vendorSku": f"V{external_id}", "inventoryQuantity": quantity}


def quantities(client):
    """The quantities that the sandbox holds, by external id."""
    return {row["externalId"]: row["inventoryQuantity"] for row in client.sandbox.rows("inventory_feed_variants")}


def send(client, body, secret=None):
    """Send an inbound batch, which must be accepted."""
    response = client.inbound("POST", BATCH, body, secret or client.sandbox.feed_hash(1))
    assert response.status_code == 200
    return response


def test_shows_after_the_delay(client, clock):
    """Inbound records become visible after the delay, by the server's clock."""
    send(client, [item("a")])
    clock.now += 4
    assert client.ids("limit=9", "inventory-feed-variants") == []
    clock.now += 1
    assert client.ids("limit=9", "inventory-feed-variants") == [1]


def test_new_before_updates(client):
    """Additions are applied before updates; records of one key keep their order."""
    send(client, [item("a")])
    client.sandbox.settle()
    send(client, [item("a", 2), item("b", 1), item("b", 7), item("a", 3)])
    client.sandbox.settle()
    assert quantities(client) == {"a": 3, "b": 7}
    assert [entry.body[0]["externalId"] for entry in client.sandbox.requests.inbound] == ["a", "a"]


def test_update_merges(client):
    """An update changes only the fields that it has, also to null."""
    send(client, [{**item("a"), "barcode": "1", "name": "Chair"}])
    client.sandbox.settle()
    send(client, [{"externalId": "a", "barcode": None, "tags": ["new"]}])
    client.sandbox.settle()
    [row] = client.sandbox.rows("inventory_feed_variants")
    assert (row["barcode"], row["name"], row["tags"], row["vendorSku"]) == (None, "Chair", ["new"], "Va")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([item(str(number)) for number in range(51)], id="too-many"),
        pytest.param([{"externalId": "a", "vendorSku": "V", "inventoryQuantity": "x"}], id="bad-field"),
        pytest.param([{"vendorSku": "V"}], id="no-key"),
        pytest.param(["text"], id="no-object"),
        pytest.param({}, id="no-array"),
    ],
)
def test_invalid_records_are_answered_200(client, body):
    """Invalid records are answered 200, and only the log shows them."""
    send(client, body)
    client.sandbox.settle()
    assert quantities(client) == {}
    assert client.sandbox.log


@pytest.mark.parametrize(("refuse", "status"), [(False, 200), (True, 401)])
def test_unknown_hash(client, refuse, status):
    """Records with an unknown hash are dropped; the status is 200, or 401 if the option says so."""
    client.sandbox.options.refuse_unknown_hash = refuse
    assert client.inbound("POST", BATCH, [item("a")], "wrong").status_code == status
    client.sandbox.settle()
    assert quantities(client) == {}


def test_loss(client):
    """The share of records that the option sets is silently not applied."""
    client.sandbox.options.inbound_loss = 0.5
    send(client, [item(str(number)) for number in range(50)])
    client.sandbox.settle()
    assert 0 < len(quantities(client)) < 50


def test_daily_limit(client):
    """Records beyond the plan's SKU limit are silently not applied."""
    client.sandbox.options.daily_sku_limit = 3
    send(client, [item(str(number)) for number in range(5)])
    client.sandbox.settle()
    assert len(quantities(client)) == 3


def test_inbound_is_not_limited(client):
    """Inbound calls do not count against the rate limit."""
    client.sandbox.options.rate = 2.0
    for _ in range(5):
        send(client, [])
    client.read("sales.json")


@pytest.mark.parametrize("custom", [True, False], ids=["custom-channel", "channel"])
def test_channel_calls(client, custom):
    """The hash of a channel identifies it for products, sales and acknowledgements."""
    if not custom:
        client.sandbox.delete("custom_channels", 9)
    secret = client.sandbox.channel_hash(3)
    sale = {
        "externalId": "S1",
        "customer": {"email": "customer1@example.com"},
        "lineItems": [{"externalId": "L1", "quantity": 1, "price": 2, "variant": {"externalId": "C1"}}],
    }
    connection = [{"sku": "A", "vendorSkus": [{"vendorSku": "Va", "dropshipProviderExternalId": "P1"}]}]
    calls = [
        ("POST", "custom-channels/products.json", [{"externalId": "C1", "sku": "CHAIR"}]),
        ("POST", "custom-channels/manual-sale.json", sale),
        ("PUT", "custom-channels/acknowledge-inventory-feed-variant-batches.json", connection),
    ]
    send(client, [item("a")])
    client.sandbox.settle()
    for method, path, body in calls:
        assert client.inbound(method, path, body, secret).status_code == 200
        client.sandbox.settle()
    rows = client.sandbox.rows
    assert (rows("sales")[0]["channelId"], rows("channel_variants")[0]["channelId"]) == (3, 3)
    assert rows("inventory_feed_variants")[0]["variantId"] == 5
    path = "custom-channels/disconnect-inventory-feed-variant-batches.json"
    client.inbound("PUT", path, connection, secret)
    client.sandbox.settle()
    assert rows("inventory_feed_variants")[0]["variantId"] is None


def test_wrong_method(client):
    """An inbound call that does not exist is answered 404."""
    assert client.inbound("PUT", BATCH, [], client.sandbox.feed_hash(1)).status_code == 404
