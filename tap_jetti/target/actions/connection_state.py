"""Reads back whether feed variants are connected to the variant of a sku."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_jetti.target.actions.visible_rows import in_lists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tap_jetti.target.delivery.operations import Key, Record, WriteOperation

    Rows = Callable[[str, Sequence[str], Mapping[str, Any]], list[Record]]


@dataclass(frozen=True)
class Connected:
    """A feed variant that is connected has the ``variantId`` of the sku's variant.

    That this is what an acknowledgement sets is inferred from the fields of the resource. The
    vendor's own ways there are followed: from a provider to its feeds, from these to the feed
    variants of a vendor sku, which may be several. An acknowledgement shows if one of them is
    connected, a disconnection if there are some and none is.

    Attributes:
        rows: Reads all rows of a resource that meet conditions, with their ids and some fields.
    """

    rows: Rows = field(compare=False)
    _found: dict[tuple[str, str], defaultdict[str, set[str]]] = field(default_factory=dict, compare=False)

    def key_of(self, operation: WriteOperation) -> Key:
        """See `Visibility.key_of`. What comes for the same feed variant otherwise is told by its rows."""
        return (*operation.key, operation.payload["sku"], operation.payload["connects"])

    def shown(self, expected: Mapping[Key, Record]) -> Iterator[Key]:
        """See `Visibility.shown`.

        A feed variant shows what it was sent last, however its provider was named: an
        acknowledgement overwrites all before it, a disconnection those of the same sku.
        """
        variants = self._ids("variants", "sku", {sent["sku"] for sent in expected.values()})
        found = self._feed_variants([sent["vendorSku"] for sent in expected.values()])
        later: defaultdict[str, list[tuple[bool, set[str]]]] = defaultdict(list)
        for key, sent in reversed([*expected.items()]):
            own, rows, connects = variants[sent["sku"]], found[_place(sent["vendorSku"])], sent["connects"]
            connected = own & set(rows.values())
            overwritten = any(
                is_connected or (connects and own & others) for row in rows for is_connected, others in later[row]
            )
            if own and rows and (bool(connected) is connects or overwritten):
                for row in rows:
                    later[row].append((connects, own))
                yield key

    def _feed_variants(self, entries: Sequence[Record]) -> dict[tuple[str, ...], dict[str, str]]:
        """The feed variants of each entry and the variants that they are connected to, ``None`` for none."""
        named = {str(entry["dropshipProviderExternalId"]) for entry in entries if "dropshipProviderExternalId" in entry}
        providers = self._ids("dropship_providers", "externalId", named)
        ids_of = {
            _place(entry): {str(entry["dropshipProviderId"])}
            if "dropshipProviderId" in entry
            else providers[entry["dropshipProviderExternalId"]]
            for entry in entries
        }
        feeds = self._ids("inventory_feeds", "dropshipProviderId", set().union(*ids_of.values()))
        by_sku: defaultdict[str, list[Record]] = defaultdict(list)
        for skus in in_lists("vendorSku", {entry["vendorSku"] for entry in entries}):
            fields = ("inventoryFeedId", "variantId", "vendorSku")
            for row in self.rows("inventory_feed_variants", fields, {"vendorSku": {"$in": list(skus)}}):
                by_sku[str(row.get("vendorSku"))].append(row)
        return {
            place: {
                str(row["id"]): str(row.get("variantId"))
                for row in by_sku[place[-1]]
                if any(str(row.get("inventoryFeedId")) in feeds[provider] for provider in ids)
            }
            for place, ids in ids_of.items()
        }

    def _ids(self, resource: str, column: str, values: set[str]) -> Mapping[str, set[str]]:
        """The ids of the rows of each value; those found once are not asked for again."""
        found = self._found.setdefault((resource, column), defaultdict(set))
        for some in in_lists(column, {value for value in values if not found[value]}):
            for row in self.rows(resource, (column,), {column: {"$in": list(some)}}):
                found[str(row.get(column))].add(str(row["id"]))
        return found


def _place(entry: Record) -> tuple[str, ...]:
    """What tells a feed variant from others, as far as the record says: its provider and vendor sku."""
    return (*(f"{name}={entry[name]}" for name in sorted(entry) if name != "vendorSku"), entry["vendorSku"])
