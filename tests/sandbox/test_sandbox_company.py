import pytest

from tap_jetti.facts import resources
from tap_jetti.sandbox import Options, Sandbox

NAMES = resources.names()


@pytest.fixture(scope="module")
def company():
    """All rows of a company."""
    with Sandbox(Options(scale=0.03, seed=5)) as sandbox:
        yield {name: sandbox.rows(name) for name in NAMES}


def test_every_resource_has_rows(company):
    """Every resource with a schema has at least three rows, each with all its fields."""
    for name in NAMES:
        assert len(company[name]) >= 3, name
        documented = set(resources.schema(name)["properties"])
        assert all(documented <= set(row) for row in company[name]), name


def test_foreign_keys_resolve(company):
    """Every foreign key leads to a row."""
    ids = {name: {row["id"] for row in company[name]} for name in NAMES}
    for name in NAMES:
        for key, target in resources.references(name).items():
            values = {int(row[key]) for row in company[name] if row[key] is not None}
            assert values <= ids[target], (name, key)


def test_orders_are_consistent(company):
    """Dropshipments, purchases and sales refer to each other consistently."""
    sale_of_item = {row["id"]: row["saleId"] for row in company["sale_items"]}
    sale_of_purchase = {row["id"]: row["saleId"] for row in company["purchases"]}
    purchase_of_item = {row["id"]: row["purchaseId"] for row in company["purchase_items"]}
    purchase_of_shipment = {row["id"]: row["purchaseId"] for row in company["dropshipments"]}
    for row in company["purchase_items"]:
        assert sale_of_item[row["saleItemId"]] == sale_of_purchase[row["purchaseId"]]
    for row in company["dropshipment_items"]:
        assert purchase_of_item[row["purchaseItemId"]] == purchase_of_shipment[row["dropshipmentId"]]


def test_deterministic():
    """The same seed generates the same company, another seed a different one."""

    def made(seed):
        with Sandbox(Options(scale=0.01, seed=seed, clock=lambda: 1_700_000_000.0)) as sandbox:
            return {name: sandbox.rows(name) for name in NAMES}

    assert made(3) == made(3)
    assert made(3) != made(4)


def test_dates(company):
    """Dates are recent, in the past, and null only in resources whose dates may be null."""
    for name in NAMES:
        nulls = [row for row in company[name] if row["updatedAt"] is None]
        assert not nulls or resources.replication_key(name) is None, name
    dates = [row["updatedAt"] for row in company["inventory_feed_variants"]]
    assert max(dates.count(date) for date in set(dates)) > 10
    assert any(row["updatedAt"] is None for row in company["sale_invoices"])


def test_secrets_and_deviations(company):
    """Rows have secrets with fake values, URLs with credentials, and undocumented values of enums."""
    for name in NAMES:
        for row in company[name]:
            assert all(str(row[field]).startswith("fake-") for field in resources.secret_fields(name))
    assert any("user:password@" in (row["resourceLocation"] or "") for row in company["inventory_feeds"])
    assert "shipped" in {row["inventoryStatus"] for row in company["purchases"]}
    assert company["inventory_feeds"][0]["resourceType"] == "webhook"
    assert all(row["id"] != row["channelId"] for row in company["custom_channels"] if row["id"] != 2)
    assert "displayName" in company["sales"][0]
