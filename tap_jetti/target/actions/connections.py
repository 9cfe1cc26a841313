"""Which feed variants stand for a variant: acknowledged and disconnected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import RecordError
from tap_jetti.target.actions.action import Action, ActionContext, Draft, holds, id_in, text_in
from tap_jetti.target.actions.connection_state import Connected
from tap_jetti.target.actions.endpoint_fallback import RenamedCall
from tap_jetti.target.delivery.record_errors import MissingKeyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.target.delivery.operations import Record, Route, WriteOperation

_PROVIDERS = ("dropshipProviderExternalId", "dropshipProviderId")

_VENDOR_SKU = {
    "vendorSku": {"type": "string"},
    "dropshipProviderExternalId": {"type": ["string", "null"]},
    "dropshipProviderId": {"type": ["integer", "null"]},
}


class _Connections(Action):
    """Rows of one sku are grouped, and up to 50 go in one call.

    A feed variant stands for one variant at a time. So what comes for it keeps its order, whatever
    the sku, as long as its provider is named in one way.

    A call of the API with one sku is answered with its error, one with several is processed
    later and, like inbound, answered before: set confirm_seconds to have it read back, or
    batch_size to 1 to learn of each error.
    """

    resource = "inventory_feed_variants"
    verb: ClassVar[str]
    connects: ClassVar[bool]
    batch_names: ClassVar[tuple[str, ...]]
    record: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "sku": {"type": "string"},
            **_VENDOR_SKU,
            "vendorSkus": {"type": "array", "items": {"type": "object", "properties": _VENDOR_SKU}},
            "channelId": {"type": ["integer", "null"], "description": "Wins over the setting channel_id."},
        },
        "required": ["sku"],
    }

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        self._is_inbound = context.delivery == "inbound"
        self._batch = RenamedCall(self._write, self.batch_names, say=context.logger.warning)
        self._effect = Connected(self._rows)

    @override
    def drafts(self, record: Mapping[str, Any]) -> Sequence[Draft]:
        channel = self._owners.channel_id(record.get("channelId"), by_hash=self._is_inbound)
        if self._is_inbound:
            self._owners.channel_hash(channel)
        self._note_others(record)
        sku = text_in(record, "sku")
        vendors = record["vendorSkus"] if holds(record, "vendorSkus") else [record]
        if not isinstance(vendors, list) or not vendors or not all(isinstance(vendor, dict) for vendor in vendors):
            raise RecordError("vendorSkus.invalid", "vendorSkus must be an array of objects")
        drafts = []
        for vendor in vendors:
            entry = _entry(vendor)
            payload = {"sku": sku, "vendorSku": entry, "connects": self.connects}
            key, part = ("connection", channel, *entry.values()), {"vendorSkus": [vendor]} if len(vendors) > 1 else None
            drafts.append(Draft((self.name, "batch", channel), key, payload, part))
        return drafts

    @override
    def replaces(self, earlier: WriteOperation, later: WriteOperation) -> bool:
        return bool(earlier.payload["sku"] == later.payload["sku"])

    @override
    def limit(self, route: Route) -> int:
        return self._around.batch_size if route[1] == "batch" else 1

    @override
    def effect(self, operation: WriteOperation) -> Connected | None:
        is_taken_unseen = operation.route[1] == "batch" and (self._is_inbound or self._around.batch_size > 1)
        return self._effect if is_taken_unseen else None

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        channel = operations[0].route[2]
        by_sku: dict[str, list[Record]] = {}
        for operation in operations:
            by_sku.setdefault(operation.payload["sku"], []).append(operation.payload["vendorSku"])
        body = [{"sku": sku, "vendorSkus": vendors} for sku, vendors in by_sku.items()]
        if self._is_inbound:
            self._write_inbound(
                "PUT",
                f"custom-channels/{self.verb}-inventory-feed-variant-batches.json",
                body,
                hash_=self._owners.channel_hash(channel),  # type: ignore[arg-type]
                owner=f"channel {channel or ''}".strip(),
            )
        elif len(body) == 1:
            self._write("PUT", f"channels/{channel}/{self.verb}-inventory-feed-variants.json", body[0])
        else:
            self._batch.write("PUT", f"channels/{channel}", body)


class Acknowledgements(_Connections):
    """Connects feed variants to the variant of a sku, or tells that a variant is published.

    A record of ``externalId`` and ``sku`` without a vendor sku is of the second kind: the
    variant is in the channel under that external id.
    """

    name = "acknowledgements"
    title = "Acknowledge feed variants, or a variant in a channel"
    verb = "acknowledge"
    connects = True
    batch_names = ("acknowledge-variant-batches",)
    record: ClassVar[dict[str, Any]] = {
        **_Connections.record,
        "properties": {
            **_Connections.record["properties"],
            "externalId": {
                "type": ["string", "null"],
                "description": "Of the variant in the channel; without a vendorSku, that is what is acknowledged.",
            },
        },
    }

    @override
    def drafts(self, record: Mapping[str, Any]) -> Sequence[Draft]:
        if not holds(record, "externalId") or holds(record, "vendorSku") or holds(record, "vendorSkus"):
            return super().drafts(record)
        channel = self._owners.channel_id(record.get("channelId"), by_hash=False)
        sku = text_in(record, "sku")
        payload = {"externalId": text_in(record, "externalId"), "sku": sku}
        return (Draft((self.name, "variant", channel), ("published", channel, sku), payload),)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        if operations[0].route[1] == "variant":
            self._write("PUT", f"channels/{operations[0].route[2]}/acknowledge-variant.json", operations[0].payload)
        else:
            super().send(operations)


class Disconnections(_Connections):
    """Cuts feed variants from the variant of a sku."""

    name = "disconnections"
    title = "Disconnect feed variants"
    verb = "disconnect"
    connects = False
    # Two of the vendor's guides, each with a name of its own.
    batch_names = ("disconnect-variant-batches", "disconnect-inventory-feed-variant-batches")


def _entry(vendor: Mapping[str, Any]) -> Record:
    for name in _PROVIDERS:
        if holds(vendor, name):
            provider = id_in(vendor, name) if name == "dropshipProviderId" else text_in(vendor, name)
            return {"vendorSku": text_in(vendor, "vendorSku"), name: provider}
    raise MissingKeyError(f"{_PROVIDERS[0]}.missing", f"neither {_PROVIDERS[0]} nor {_PROVIDERS[1]} is given")
