"""Writes to inventory feeds: feed variants are upserted and removed by their external ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tap_jetti.sandbox.calls import validation
from tap_jetti.sandbox.calls.inbound import Job
from tap_jetti.sandbox.http.problems import Problem

if TYPE_CHECKING:
    from tap_jetti.sandbox.data.account import Account
    from tap_jetti.sandbox.data.database import Row
    from tap_jetti.sandbox.data.documents import Document

FEED_VARIANTS = "inventory_feed_variants"

_OK = 200


def parse_webhook(account: Account, feed_id: int, body: object) -> Document:
    """Add a feed variant, or update the one with its external id.

    Raises:
        Problem: The feed is not a webhook feed, or a field is missing or invalid.
    """
    return _parse(account, account.get("inventory_feeds", feed_id), body)


def _parse(account: Account, feed: Document, body: object) -> Document:
    if feed.get("resourceType") != "webhook":
        raise Problem(
            422,
            "api.inventory_feeds.parse_webhook.resource_type",
            "The resource type of the inventory feed must be webhook.",
        )
    return _upsert(account, feed, validation.as_object(body))


def remove(account: Account, feed_id: int, body: object) -> Document:
    """Remove the feed variant with an external id; returns the removed row, or an empty object if there is none.

    Raises:
        Problem: There is no such feed variant.
    """
    fields = validation.as_object(body)
    validation.require(fields, "api.inventory_feeds.remove_by_external_id.missing", "externalId")
    account.get("inventory_feeds", feed_id)
    row = _row(account, feed_id, fields)
    if row is None:
        status = int(account.options.removal_of_missing)
        if status == _OK:
            return {}
        raise Problem(status, "api.inventory_feed_variants.missing", "There is no such inventory feed variant.")
    if account.options.removal == "mark":
        return account.change(FEED_VARIANTS, row, {"status": "removed", "inventoryQuantity": 0})
    account.delete(FEED_VARIANTS, row.id)
    return account.document(row)


def jobs(account: Account, feed_id: int, body: object) -> list[Job]:
    """The jobs of an inbound batch for a feed.

    Raises:
        Problem: The body is not a batch.
    """
    feed = account.get("inventory_feeds", feed_id)
    records = [_Record(account, feed, item) for item in validation.as_batch(body)]
    return [Job(record.is_new, record.apply) for record in records]


def count_against_quota(account: Account, resource: str) -> None:
    """Count an update against the daily quota; only inventory feed variants have one.

    Raises:
        Problem: The quota is exhausted.
    """
    if resource != FEED_VARIANTS or not account.options.daily_sku_limit:
        return
    day = int(account.now() // 86_400)
    used = account.quota_used.get(day, 0)
    if used >= account.options.daily_sku_limit:
        raise Problem(
            422,
            "api.inventory_feed_variants.daily_limit",
            "The inventory feed variants updated today have reached the plan's SKU limit.",
        )
    account.quota_used = {day: used + 1}


class _Record:
    """One feed variant of an inbound batch: no response returns it, so it is updated without reading it."""

    def __init__(self, account: Account, feed: Document, item: object) -> None:
        self._account = account
        self._feed = feed
        self._item = item
        self._id: int | None = None

    def is_new(self) -> bool:
        """Whether the feed has no feed variant with its external id; if it has, its id is kept for `apply`."""
        if isinstance(self._item, Mapping):
            self._id = self._account.database.find_id(
                FEED_VARIANTS, externalId=str(self._item.get("externalId")), inventoryFeedId=self._feed["id"]
            )
        return self._id is None

    def apply(self) -> None:
        """Add or update the feed variant."""
        account = self._account
        if self._id is None:
            _parse(account, self._feed, self._item)
            return
        fields = validation.writable_fields(
            FEED_VARIANTS, validation.as_object(self._item), strict=account.options.write_validation
        )
        fields.pop("inventoryFeedId", None)
        fields["externalId"] = str(fields["externalId"])
        count_against_quota(account, FEED_VARIANTS)
        account.patch(FEED_VARIANTS, self._id, fields)


def _row(account: Account, feed_id: int, fields: Mapping[str, Any]) -> Row | None:
    found = account.database.find(FEED_VARIANTS, externalId=str(fields.get("externalId")), inventoryFeedId=feed_id)
    return found[0] if found else None


def _upsert(account: Account, feed: Document, body: Mapping[str, Any]) -> Document:
    validation.require(body, "api.inventory_feeds.parse_webhook.missing", "externalId")
    fields = validation.writable_fields(FEED_VARIANTS, body, strict=account.options.write_validation)
    fields = {**fields, "externalId": str(body["externalId"]), "inventoryFeedId": feed["id"]}
    before = _row(account, feed["id"], fields)
    if before is None:
        validation.require_columns(FEED_VARIANTS, fields)
    count_against_quota(account, FEED_VARIANTS)
    if before is not None:
        return account.change(FEED_VARIANTS, before, fields)
    variant = None
    if feed.get("automaticallyConnect"):
        variant = account.find("variants", sku=fields["vendorSku"])
    fields.setdefault("status", "pending")
    if variant is not None:
        fields |= {"variantId": variant["id"], "status": "connected"}
    written = account.create(FEED_VARIANTS, fields)
    if variant is not None:
        record_connection(account, written, variant, action="connected", scope="automated")
    return written


def record_connection(account: Account, feed_variant: Document, variant: Document, *, action: str, scope: str) -> None:
    """Add a row about a feed variant that was connected or disconnected."""
    account.create(
        "inventory_feed_variant_connections",
        {
            "inventoryFeedVariantId": feed_variant["id"],
            "action": action,
            "scope": scope,
            "value": {"variantId": variant["id"], "sku": variant.get("sku")},
        },
    )
