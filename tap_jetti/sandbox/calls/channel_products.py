"""Products that a channel sends: each variant is written with its channel variant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tap_jetti.sandbox.calls import validation
from tap_jetti.sandbox.calls.inbound import Job
from tap_jetti.sandbox.http.problems import Problem

if TYPE_CHECKING:
    from tap_jetti.sandbox.data.account import Account
    from tap_jetti.sandbox.data.documents import Document

_MISSING = "api.channels.import_connector_variant.missing"


def acknowledge(account: Account, channel_id: int, body: object) -> Document:
    """Acknowledge that a variant is published in the channel with an external id.

    Raises:
        Problem: No variant has the sku.
    """
    fields = validation.as_object(body)
    validation.require(fields, "api.channels.acknowledge_variant.missing", "externalId", "sku")
    account.get("channels", channel_id)
    variant = account.find("variants", sku=str(fields["sku"]))
    if variant is None:
        raise Problem(
            404,
            "api.channels.acknowledge_variant.variant_missing",
            "No variant has this sku.",
        )
    return channel_variant(account, channel_id, variant, str(fields["externalId"]))


def import_batch(account: Account, channel_id: int, body: object) -> list[Document]:
    """Add or update the variants of a batch; returns the channel variants.

    Raises:
        Problem: One of them is invalid; none is written.
    """
    account.get("channels", channel_id)
    with account.database.transaction():
        return [import_one(account, channel_id, item) for item in validation.as_batch(body)]


def import_one(account: Account, channel_id: int, body: object) -> Document:
    """Add or update one variant, found by its external id in the channel or else by its sku.

    Raises:
        Problem: The external id or the sku is missing, or a value is invalid.
    """
    item = validation.as_object(body)
    sku = item.get("sku") or item.get("externalSku")
    validation.require({"externalId": item.get("externalId"), "sku": sku}, _MISSING, "externalId", "sku")
    fields = validation.writable_fields("variants", item, strict=account.options.write_validation)
    fields["sku"] = str(sku)
    external_id = str(item["externalId"])
    before = account.find("channel_variants", externalId=external_id, channelId=channel_id)
    variant = None
    if before is not None and before.get("variantId") is not None:
        variant = account.database.row("variants", before["variantId"])
    if variant is None:
        found = account.database.find("variants", sku=fields["sku"])
        variant = found[0] if found else None
    if variant is not None:
        written = account.change("variants", variant, fields)
    else:
        fields.setdefault("productId", _product(account, item)["id"])
        written = account.create("variants", fields)
    return channel_variant(account, channel_id, written, external_id)


def jobs(account: Account, channel_id: int, body: object) -> list[Job]:
    """The jobs of an inbound batch of products."""
    return [_job(account, channel_id, item) for item in validation.as_batch(body)]


def channel_variant(account: Account, channel_id: int, variant: Document, external_id: str) -> Document:
    """Add or update the channel variant of a variant."""
    fields = {
        "channelId": channel_id,
        "variantId": variant["id"],
        "externalId": external_id,
        "externalSku": variant.get("sku"),
        "source": "custom",
        "status": "connected",
    }
    database = account.database
    rows = database.find("channel_variants", externalId=external_id, channelId=channel_id)
    rows = rows or database.find("channel_variants", variantId=variant["id"], channelId=channel_id)
    if rows:
        return account.change("channel_variants", rows[0], fields)
    return account.create("channel_variants", fields)


def _job(account: Account, channel_id: int, item: object) -> Job:
    def is_new() -> bool:
        if not isinstance(item, Mapping):
            return False
        external_id = str(item.get("externalId"))
        return account.find("channel_variants", externalId=external_id, channelId=channel_id) is None

    return Job(is_new, lambda: import_one(account, channel_id, item))


def _product(account: Account, item: Mapping[str, Any]) -> Document:
    given = item.get("product")
    product = given if isinstance(given, Mapping) else {}
    name = str(product.get("name") or item.get("name") or item["externalId"])
    handle = str(product.get("handle") or name.lower().replace(" ", "-"))
    found = account.find("products", handle=handle)
    return found or account.create("products", {"name": name, "handle": handle})
