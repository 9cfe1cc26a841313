"""The list of the streams: one per resource, and one per snapshot of ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.facts import resources
from tap_jetti.facts.resources import REPLICATION_KEY
from tap_jetti.tap.resource_stream import ResourceStream
from tap_jetti.tap.snapshot_stream import SnapshotStream

if TYPE_CHECKING:
    from singer_sdk import Tap

    from tap_jetti.tap.base_stream import BaseStream
    from tap_jetti.tap.run_context import RunContext

SELECTED_BY_DEFAULT = frozenset(
    {
        "channels",
        "customers",
        "dropship_providers",
        "dropshipment_items",
        "dropshipments",
        "fulfillment_items",
        "fulfillments",
        "inventory_feed_variants",
        "inventory_feeds",
        "products",
        "purchase_invoices",
        "purchase_items",
        "purchase_statuses",
        "purchases",
        "sale_invoices",
        "sale_items",
        "sale_return_items",
        "sale_returns",
        "sales",
        "tracking_events",
        "transactions",
        "transfers",
        "variants",
        "vendors",
        "warehouses",
    }
)
"""The streams that are selected if the catalog does not say: those of the business itself."""

DATES_MAY_BE_NULL = frozenset(
    {
        "purchase_invoice_payments",
        "purchase_invoices",
        "purchase_return_payments",
        "purchase_shipping_rates",
        "sale_invoice_payments",
        "sale_invoices",
        "sale_return_payments",
        "sale_shipping_rates",
    }
)
"""The streams without a replication key: their `updatedAt` may be null, and such rows would never be read."""


def all_streams(tap: Tap, run: RunContext) -> list[BaseStream]:
    """Create all streams that can be selected.

    Args:
        tap: The tap, for the SDK.
        run: What the streams of this run share.
    """
    return [
        *(
            ResourceStream(
                tap,
                run,
                name,
                replication_key=None if name in DATES_MAY_BE_NULL else REPLICATION_KEY,
                selected_by_default=name in SELECTED_BY_DEFAULT,
            )
            for name in resources.names()
        ),
        *(SnapshotStream(tap, run, resource) for resource in run.settings["id_snapshots"]),
    ]
