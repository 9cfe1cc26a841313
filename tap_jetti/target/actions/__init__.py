"""What can be written to Jetti: one action per kind of write, each with the schema of its records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.target.actions.connections import Acknowledgements, Disconnections
from tap_jetti.target.actions.custom_fields import CustomFields
from tap_jetti.target.actions.feed_variants import FeedVariantRemovals, FeedVariants
from tap_jetti.target.actions.products import Products
from tap_jetti.target.actions.providers_and_feeds import DropshipProviders, InventoryFeeds
from tap_jetti.target.actions.purchase_statuses import PurchaseStatuses
from tap_jetti.target.actions.sales import Sales
from tap_jetti.target.actions.shipments import Shipments

if TYPE_CHECKING:
    from tap_jetti.target.actions.action import Action

ACTIONS: dict[str, type[Action]] = {
    action.name: action
    for action in (
        FeedVariants,
        FeedVariantRemovals,
        Acknowledgements,
        Disconnections,
        Products,
        Sales,
        DropshipProviders,
        InventoryFeeds,
        Shipments,
        PurchaseStatuses,
        CustomFields,
    )
}
"""All actions by name."""

__all__ = ["ACTIONS"]
