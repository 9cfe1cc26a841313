"""Products that a channel sends: its variants become channel variants."""

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
    """Tell that a variant is published in the channel under an external id.

    Raises:
        Problem: There is no variant of the sku.
    """
    fields = validation.whole(body)
    validation.present(fields, "api.channels.acknowledge_variant.missing", "externalId", "sku")
    account.get("channels", channel_id)
    variant = account.find("variants", sku=str(fields["sku"]))
    if variant is None:
        raise Problem(
            404,
            "api.channels.acknowledge_variant.variant_missing",
            "There is no variant of this sku.",
        )
    return channel_variant(account, channel_id, variant, str(fields["externalId"]))


def import_batch(account: Account, channel_id: int, body: object) -> list[Document]:
    """Add or update the variants of a batch; answers the channel variants.

    Raises:
        Problem: One of them is refused; then none is applied.
    """
    account.get("channels", channel_id)
    with account.database.transaction():
        return [import_one(account, channel_id, item) for item in validation.batch(body)]


def import_one(account: Account, channel_id: int, body: object) -> Document:
    """Add or update one variant, known by its external id in the channel, else by its sku.

    Raises:
        Problem: It has neither, or a field is bad.
    """
    item = validation.whole(body)
    sku = item.get("sku") or item.get("externalSku")
    validation.present({"externalId": item.get("externalId"), "sku": sku}, _MISSING, "externalId", "sku")
    fields = validation.writable("variants", item, strict=account.options.write_validation)
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
    return [_job(account, channel_id, item) for item in validation.batch(body)]


def channel_variant(account: Account, channel_id: int, variant: Document, external_id: str) -> Document:
    """Add or update what a variant is in a channel."""
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
