"""Resources and the names of their models, as the API spells them in an include."""

import inflection
import pytest

from tap_jetti.facts import resources
from tap_jetti.sandbox.data import models


@pytest.mark.parametrize(
    ("resource", "singular", "model"),
    [
        ("sale_items", "sale_item", "SaleItem"),
        ("purchase_statuses", "purchase_status", "PurchaseStatus"),
        ("currencies", "currency", "Currency"),
        ("customer_addresses", "customer_address", "CustomerAddress"),
        ("inventory_feed_price_lists", "inventory_feed_price_list", "InventoryFeedPriceList"),
    ],
)
def test_a_model_is_the_singular_of_its_resource(resource, singular, model):
    """The model of a resource is its singular in PascalCase."""
    assert models.singular(resource) == singular
    assert models.model(resource) == model


@pytest.mark.parametrize("resource", resources.names())
def test_every_model_leads_back_to_its_resource(resource):
    """The plural that the tap derives from a model is the name of its resource."""
    assert models.models()[models.model(resource)] == resource
    assert inflection.pluralize(inflection.underscore(models.model(resource))) == resource
    assert inflection.pluralize(models.singular(resource)) == resource != models.singular(resource)


def test_the_key_that_is_named_for_a_resource_wins():
    """Of two foreign keys to one resource, an include uses the one that is named for it."""
    found = models.association("variants", "dropship_providers")
    assert found is not None
    assert found.foreign_key == "dropshipProviderId"
    assert not found.many
