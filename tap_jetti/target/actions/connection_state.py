"""Checks whether feed variants are connected to the variant of a sku."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from tap_jetti.target.actions.visible_rows import query_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from tap_jetti.target.delivery.operations import Record, WriteOperation

    Rows = Callable[[str, Sequence[str], Mapping[str, Any]], list[Record]]


class VendorSku(msgspec.Struct, frozen=True, gc=False):
    """What a record identifies a feed variant by.

    Attributes:
        vendor_sku: Its vendor sku.
        provider_field: ``dropshipProviderId`` or ``dropshipProviderExternalId``.
        provider: The value of that field.
    """

    vendor_sku: str
    provider_field: str
    provider: int | str

    def __str__(self) -> str:
        """Return the vendor sku and the provider, for messages."""
        return f"{self.vendor_sku} ({self.provider_field} {self.provider})"

    def as_body(self) -> Record:
        """Return it as the API expects it in a body."""
        return {"vendorSku": self.vendor_sku, self.provider_field: self.provider}


@dataclass(frozen=True)
class ConnectionVisibility:
    """A connection is visible in the ``variantId`` of the feed variant, which is the id of the sku's variant.

    That an acknowledgement sets this field is inferred from the fields of the resource. Feed variants are found by
    the vendor's own path: from a provider to its feeds, and from these to the feed variants with the vendor sku,
    which may be several. An acknowledgement is visible if one of them is connected; a disconnection is visible if
    there are some and none is connected.

    Attributes:
        rows: Reads all rows of a resource that meet conditions, with their ids and the given fields.
    """

    rows: Rows = field(compare=False)
    _ids_of: dict[tuple[str, str], defaultdict[str, set[str]]] = field(default_factory=dict, compare=False)

    def key_of(self, operation: WriteOperation) -> Hashable:
        """See `Visibility.key_of`. Operations of one feed variant with another sku or verb are told apart here.

        Which of them overwrites which depends on the rows that they mean: see `visible`.
        """
        return (operation.key, operation.payload["sku"], operation.payload["connects"])

    def visible(self, expected: Mapping[Hashable, Record]) -> Iterator[Hashable]:
        """See `Visibility.visible`.

        A feed variant shows the last operation on it, however its provider was named. An acknowledgement overwrites
        everything before it, a disconnection overwrites operations of the same sku.
        """
        variants = self._ids("variants", "sku", {sent["sku"] for sent in expected.values()})
        feed_variants = self._feed_variants({sent["vendorSku"] for sent in expected.values()})
        # Per feed variant: the later operations on it, as (connects, ids of the variants of its sku).
        later: defaultdict[str, list[tuple[bool, set[str]]]] = defaultdict(list)
        for key, sent in reversed([*expected.items()]):
            own, rows, connects = variants[sent["sku"]], feed_variants[sent["vendorSku"]], sent["connects"]
            is_connected = bool(own & set(rows.values()))
            is_overwritten = any(
                later_connects or (connects and own & later_own)
                for row in rows
                for later_connects, later_own in later[row]
            )
            if own and rows and (is_connected is connects or is_overwritten):
                for row in rows:
                    later[row].append((connects, own))
                yield key

    def _feed_variants(self, vendor_skus: Iterable[VendorSku]) -> dict[VendorSku, dict[str, str]]:
        """The feed variants of each vendor sku: their ids, with the id of the connected variant or ``None``."""
        by_external_id = {one for one in vendor_skus if one.provider_field == "dropshipProviderExternalId"}
        providers = self._ids("dropship_providers", "externalId", {str(one.provider) for one in by_external_id})
        provider_ids = {
            one: providers[str(one.provider)] if one in by_external_id else {str(one.provider)} for one in vendor_skus
        }
        feeds = self._ids("inventory_feeds", "dropshipProviderId", set().union(*provider_ids.values()))
        rows_of: defaultdict[str, list[Record]] = defaultdict(list)
        for chunk in query_chunks("vendorSku", {one.vendor_sku for one in provider_ids}):
            fields = ("inventoryFeedId", "variantId", "vendorSku")
            for row in self.rows("inventory_feed_variants", fields, {"vendorSku": {"$in": list(chunk)}}):
                rows_of[str(row.get("vendorSku"))].append(row)
        return {
            one: {
                str(row["id"]): str(row.get("variantId"))
                for row in rows_of[one.vendor_sku]
                if any(str(row.get("inventoryFeedId")) in feeds[provider] for provider in ids)
            }
            for one, ids in provider_ids.items()
        }

    def _ids(self, resource: str, column: str, values: set[str]) -> Mapping[str, set[str]]:
        """The ids of the rows with each value; those that were found once are not read again."""
        found = self._ids_of.setdefault((resource, column), defaultdict(set))
        for chunk in query_chunks(column, {value for value in values if not found[value]}):
            for row in self.rows(resource, (column,), {column: {"$in": list(chunk)}}):
                found[str(row.get(column))].add(str(row["id"]))
        return found
