"""Acknowledgements and disconnections: which feed variant supplies which variant.

A connected feed variant has a ``variantId`` and the status ``connected``; each change is also
a row of ``inventory_feed_variant_connections``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.sandbox.calls import feeds, validation
from tap_jetti.sandbox.calls.inbound import Job
from tap_jetti.sandbox.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_jetti.sandbox.data.account import Account
    from tap_jetti.sandbox.data.database import Row
    from tap_jetti.sandbox.data.documents import Document


def acknowledge(account: Account, channel_id: int, body: object) -> list[Document]:
    """Connect feed variants to the variant with a sku; returns the feed variants.

    Raises:
        Problem: The variant, a provider or a feed variant does not exist.
    """
    return _set_connections(account, channel_id, body, connected=True)


def disconnect(account: Account, channel_id: int, body: object) -> list[Document]:
    """Disconnect feed variants from the variant with a sku; returns the feed variants.

    Raises:
        Problem: The variant, a provider or a feed variant does not exist.
    """
    return _set_connections(account, channel_id, body, connected=False)


def acknowledgements(account: Account, channel_id: int, body: object) -> list[Job]:
    """The jobs of a batch of acknowledgements."""
    return [_job(account, channel_id, item, connected=True) for item in validation.as_batch(body)]


def disconnections(account: Account, channel_id: int, body: object) -> list[Job]:
    """The jobs of a batch of disconnections."""
    return [_job(account, channel_id, item, connected=False) for item in validation.as_batch(body)]


def _job(account: Account, channel_id: int, item: object, *, connected: bool) -> Job:
    return Job(lambda: False, lambda: _set_connections(account, channel_id, item, connected=connected))


def _set_connections(account: Account, channel_id: int, body: object, *, connected: bool) -> list[Document]:
    group = validation.as_object(body)
    name = "acknowledge" if connected else "disconnect"
    validation.require(group, f"api.channels.{name}.missing", "sku", "vendorSkus")
    account.get("channels", channel_id)
    variant = account.find("variants", sku=str(group["sku"]))
    if variant is None:
        raise Problem(404, f"api.channels.{name}.variant_missing", "No variant has this sku.")
    rows = [
        row for entry in _entries(group, name) for row in _feed_variants(account, validation.as_object(entry), name)
    ]
    with account.database.transaction():
        return [_set_connection(account, row, variant, connected=connected) for row in rows]


def _entries(group: Mapping[str, Any], name: str) -> list[Any]:
    entries = group["vendorSkus"]
    if not isinstance(entries, list):
        raise Problem(422, f"api.channels.{name}.invalid", "vendorSkus must be an array.")
    return entries


def _feed_variants(account: Account, entry: Mapping[str, Any], name: str) -> list[Row]:
    validation.require(entry, f"api.channels.{name}.missing", "vendorSku")
    provider = _provider(account, entry)
    # The vendor's library answers business errors with 500 unless another status is given.
    if provider is None:
        raise Problem(500, f"api.channels.{name}.provider_missing", "There is no such dropship provider.")
    own = {row.id for row in account.database.find("inventory_feeds", dropshipProviderId=provider)}
    found = [
        row
        for row in account.database.find(feeds.FEED_VARIANTS, vendorSku=str(entry["vendorSku"]))
        if account.document(row).get("inventoryFeedId") in own
    ]
    if not found:
        raise Problem(
            500,
            f"api.channels.{name}.inventory_feed_variant_missing",
            "The provider has no inventory feed variant of this vendor sku.",
        )
    return found


def _provider(account: Account, entry: Mapping[str, Any]) -> int | None:
    if entry.get("dropshipProviderId") is not None:
        try:
            row = account.database.row("dropship_providers", int(entry["dropshipProviderId"]))
        except (TypeError, ValueError):
            return None
        return row.id if row else None
    if entry.get("dropshipProviderExternalId") is None:
        return None
    external_id = str(entry["dropshipProviderExternalId"])
    provider = account.find("dropship_providers", externalId=external_id)
    return int(provider["id"]) if provider else None


def _set_connection(account: Account, row: Row, variant: Document, *, connected: bool) -> Document:
    before = account.document(row)
    was_connected = before.get("variantId") == variant["id"]
    if connected:
        fields = {"variantId": variant["id"], "status": "connected"}
    elif was_connected:
        fields = {"variantId": None, "status": "pending"}
    else:
        fields = {}
    written = account.change(feeds.FEED_VARIANTS, row, fields)
    if was_connected is not connected:
        action = "connected" if connected else "disconnected"
        feeds.record_connection(account, written, variant, action=action, scope="manual")
    return written
