"""What can be written to Jetti: one action a write call, each with the schema of its records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.sinks.connections import Acknowledgements, Disconnections
from tap_jetti.sinks.custom_fields import CustomFields
from tap_jetti.sinks.feed_variants import FeedVariantRemovals, FeedVariants
from tap_jetti.sinks.products import Products
from tap_jetti.sinks.purchase_statuses import PurchaseStatuses
from tap_jetti.sinks.registrations import DropshipProviders, InventoryFeeds
from tap_jetti.sinks.sales import Sales
from tap_jetti.sinks.shipments import Shipments

if TYPE_CHECKING:
    from tap_jetti.sinks.action import Action

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
"""All actions by name; the first is what the target is mostly used for."""

__all__ = ["ACTIONS"]
