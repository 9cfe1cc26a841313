"""What can be written to Jetti: one action per kind of write, each with the schema of its records."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from tap_jetti.target.actions.cancellations import Cancellations
from tap_jetti.target.actions.connections import Acknowledgements, Disconnections
from tap_jetti.target.actions.custom_fields import CustomFields
from tap_jetti.target.actions.feed_variants import FeedVariantRemovals, FeedVariants
from tap_jetti.target.actions.products import Products
from tap_jetti.target.actions.providers_and_feeds import DropshipProviders, InventoryFeeds
from tap_jetti.target.actions.purchase_statuses import PurchaseStatuses
from tap_jetti.target.actions.resource_names import updated_resource
from tap_jetti.target.actions.sales import Sales
from tap_jetti.target.actions.shipments import Shipments
from tap_jetti.target.actions.stock_levels import ChannelInventoryLevels, InventoryLevels
from tap_jetti.target.actions.updates import Updates
from tap_jetti.target.name_matching import folded

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.target.actions.action import Action
    from tap_jetti.target.actions.context import ActionContext

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
        InventoryLevels,
        ChannelInventoryLevels,
        Updates,
        Cancellations,
    )
}
"""All actions by name."""

__all__ = ["ACTIONS", "action_named", "is_action", "without_prefix"]

_BY_FOLDED_NAME = {folded(name): name for name in ACTIONS}


def without_prefix(stream: str) -> str:
    """Return the action that a stream is named after, in any case and behind the names of a database and a schema.

    Taps of databases write ``public-inventory_feed_variants``, or ``PUBLIC.INVENTORY_FEED_VARIANTS``. A stream that is
    named after no action keeps its name.
    """
    ends = [stream, *(stream[match.end() :] for match in re.finditer("[-.]", stream))]
    for end in ends:
        if folded(end) in _BY_FOLDED_NAME:
            return _BY_FOLDED_NAME[folded(end)]
        resource = updated_resource(end)
        if resource is not None:
            return f"{resource}_updates"
    return stream


def is_action(name: str) -> bool:
    """Whether there is an action of this name: one of `ACTIONS`, or the updates of one resource (``sales_updates``)."""
    return name in ACTIONS or updated_resource(name) is not None


def action_named(name: str) -> Callable[[ActionContext], Action]:
    """Return what makes the action of a name for which `is_action` holds."""
    return ACTIONS[name] if name in ACTIONS else partial(Updates, resource=updated_resource(name))
