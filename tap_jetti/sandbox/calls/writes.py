"""The tables of write calls: which method and path calls which function, in the API and inbound."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from tap_jetti.facts import resources
from tap_jetti.sandbox.calls import (
    cancellations,
    channel_products,
    channel_sales,
    connections,
    custom_values,
    feeds,
    levels,
    shipments,
    validation,
)
from tap_jetti.sandbox.data import models
from tap_jetti.sandbox.data.account import Account
from tap_jetti.sandbox.http.problems import Problem

if TYPE_CHECKING:
    from tap_jetti.sandbox.calls.inbound import Job
    from tap_jetti.sandbox.data.documents import Document

Write = Callable[[Account, int, Any], object]
"""A call that is processed at once: takes the id in the path and the body, returns the body of the response."""

Queue = Callable[[Account, int, Any], "list[Job]"]
"""A call that is queued: takes the id of the feed or channel and the body, returns the jobs."""

WRITES: dict[tuple[str, str, str], Write] = {
    ("PUT", "inventory_feeds", "parse-webhook"): feeds.parse_webhook,
    ("DELETE", "inventory_feeds", "remove-by-external-id"): feeds.remove,
    ("PUT", "channels", "acknowledge-variant"): channel_products.acknowledge,
    ("PUT", "channels", "acknowledge-inventory-feed-variants"): connections.acknowledge,
    ("PUT", "channels", "disconnect-inventory-feed-variants"): connections.disconnect,
    ("POST", "channels", "import-connector-variant-batches"): channel_products.import_batch,
    ("POST", "channels", "import-connector-variant-batch"): channel_products.import_batch,
    ("POST", "channels", "manual-sale"): channel_sales.manual_sale,
    ("PUT", "channels", "set-variant-level"): levels.set_channel_level,
    ("PUT", "channels", "variant-set-level"): levels.set_channel_level,
    ("POST", "purchases", "ship"): shipments.ship,
    ("PUT", "purchases", "cancel"): cancellations.cancel_purchase,
    ("POST", "sales", "cancel"): cancellations.cancel_sale,
    ("PUT", "variants", "set-level"): levels.set_level,
}
"""Calls on one row that are processed at once, by method, resource and action."""

QUEUED: dict[tuple[str, str, str], Queue] = {
    ("PUT", "channels", "acknowledge-variant-batches"): connections.acknowledgements,
    ("PUT", "channels", "disconnect-variant-batches"): connections.disconnections,
    ("PUT", "channels", "disconnect-inventory-feed-variant-batches"): connections.disconnections,
}
"""Calls of the API that are queued, by method, resource and action."""

INBOUND: dict[tuple[str, str, str], Queue] = {
    ("POST", "inventory-feeds", "parse-webhooks"): feeds.jobs,
    (
        "PUT",
        "custom-channels",
        "acknowledge-inventory-feed-variant-batches",
    ): connections.acknowledgements,
    (
        "PUT",
        "custom-channels",
        "disconnect-inventory-feed-variant-batches",
    ): connections.disconnections,
    ("POST", "custom-channels", "products"): channel_products.jobs,
    ("POST", "custom-channels", "manual-sale"): channel_sales.jobs,
}
"""Calls of the inbound host, by method, kind of webhook hash and action."""

CREATED = frozenset({"dropship_providers", "inventory_feeds"})
"""Resources to which rows are added with POST."""


def create(account: Account, resource: str, body: object) -> Document:
    """Add a row from its fields.

    Raises:
        Problem: A field is missing or invalid, or another row has the external id.
    """
    fields = _fields(account, resource, body)
    validation.require_columns(resource, fields)
    _check_external_id(account, resource, fields, None)
    return account.create(resource, fields)


def update(account: Account, resource: str, row_id: int, body: object) -> Document:
    """Change the given fields of a row; returns the whole row.

    Raises:
        Problem: There is no such row, a value is invalid, or another row has the external id.
    """
    account.get(resource, row_id)
    fields = _fields(account, resource, body)
    _check_external_id(account, resource, fields, row_id)
    feeds.count_against_quota(account, resource)
    return account.update(resource, row_id, fields)


@cache
def with_custom_fields() -> frozenset[str]:
    """The resources that have custom fields."""
    return frozenset(name for name in resources.names() if custom_values.values_resource(name) in resources.names())


def disabled(account: Account) -> frozenset[str]:
    """The actions that the options disable, since only their other name is accepted."""
    options = account.options
    short, long = "disconnect-variant-batches", "disconnect-inventory-feed-variant-batches"
    batches, one = "import-connector-variant-batches", "import-connector-variant-batch"
    guide, reference = "set-variant-level", "variant-set-level"
    return frozenset(
        name
        for name, exists in (
            (short, options.disconnect_path != "long"),
            (long, options.disconnect_path != "short"),
            (batches, options.products_path != "batch"),
            (one, options.products_path != "batches"),
            (guide, options.channel_level_path != "reference"),
            (reference, options.channel_level_path != "guide"),
        )
        if not exists
    )


def _fields(account: Account, resource: str, body: object) -> Document:
    strict = account.options.write_validation
    fields = validation.writable_fields(resource, validation.as_object(body), strict=strict)
    for key, target in resources.references(resource).items() if strict else ():
        if fields.get(key) is not None and account.database.row(target, fields[key]) is None:
            title = f"api.{resource}.{models.singular(target)}.missing"
            raise Problem(422, title, f"There is no {target} {fields[key]}.", field=key)
    return fields


def _check_external_id(account: Account, resource: str, fields: Document, row_id: int | None) -> None:
    if resource != "dropship_providers" or fields.get("externalId") is None:
        return
    taken = account.find(resource, externalId=fields["externalId"])
    if taken is not None and taken["id"] != row_id:
        raise Problem(409, f"api.{resource}.external_id.taken", "Another row has this externalId.")
