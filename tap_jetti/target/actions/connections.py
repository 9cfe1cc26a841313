"""Connections between feed variants and the variant that they supply: acknowledged and disconnected."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import RecordError
from tap_jetti.target.actions.action import REMOVE
from tap_jetti.target.actions.connection_state import ConnectionVisibility, VendorSku
from tap_jetti.target.actions.endpoint_fallback import EndpointFallback
from tap_jetti.target.actions.record_fields import has_value, id_in, text_in
from tap_jetti.target.actions.routes import ChannelAction
from tap_jetti.target.delivery.operations import OperationKey, Route, WriteOperation
from tap_jetti.target.delivery.record_errors import MissingKeyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.target.actions.context import ActionContext
    from tap_jetti.target.delivery.operations import Record

_PUBLISHED = "published"
"""The kind of route of a variant that is acknowledged in a channel."""

_PROVIDER_FIELDS = ("dropshipProviderExternalId", "dropshipProviderId")

_VENDOR_SKU_PROPERTIES = {
    "vendorSku": {"type": "string"},
    "dropshipProviderExternalId": {"type": ["string", "null"]},
    "dropshipProviderId": {"type": ["integer", "null"]},
}


class _Connections(ChannelAction):
    """Connects or disconnects feed variants. Records of one sku are grouped; a call holds up to 50 records.

    A feed variant is connected to one variant at a time. So records of one feed variant keep their order, whatever
    their sku, if all of them name its provider by the same field.

    The API answers a call for one sku with its result. A call for several skus is processed after the response, as
    an inbound call is: set confirm_seconds to have it read back, or batch_size to 1 to get the error of each record.
    """

    resource = "inventory_feed_variants"
    verb: ClassVar[str]
    connects: ClassVar[bool]
    batch_endpoints: ClassVar[tuple[str, ...]]
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "sku": {"type": "string"},
            **_VENDOR_SKU_PROPERTIES,
            "vendorSkus": {"type": "array", "items": {"type": "object", "properties": _VENDOR_SKU_PROPERTIES}},
            "channelId": {"type": ["integer", "null"], "description": "Overrides the setting channel_id."},
        },
        "required": ["sku"],
    }

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        self._batch_endpoint = EndpointFallback(self._write, self.batch_endpoints, logger=context.logger)
        self._visibility = ConnectionVisibility(self._rows)

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        route = self._channel_route(record)
        sku = text_in(record, "sku")
        vendor_skus = record["vendorSkus"] if has_value(record, "vendorSkus") else [record]
        if (
            not isinstance(vendor_skus, list)
            or not vendor_skus
            or not all(isinstance(one, dict) for one in vendor_skus)
        ):
            raise RecordError("vendorSkus.invalid", "vendorSkus must be an array of objects")
        operations = []
        for one in vendor_skus:
            vendor_sku = _vendor_sku(one)
            operations.append(
                WriteOperation(
                    self,
                    route,
                    OperationKey(self.resource, route.parent_id, "vendorSku", vendor_sku),
                    {"sku": sku, "vendorSku": vendor_sku, "connects": self.connects},
                    part={"vendorSkus": [one]} if len(vendor_skus) > 1 else None,
                )
            )
        return operations

    @override
    def can_merge(self, earlier: WriteOperation, later: WriteOperation) -> bool:
        return super().can_merge(earlier, later) and bool(earlier.payload["sku"] == later.payload["sku"])

    @override
    def batch_limit(self, route: Route) -> int:
        return 1 if route.kind == _PUBLISHED else self._context.batch_size

    @override
    def visibility(self, operation: WriteOperation) -> ConnectionVisibility | None:
        return self._visibility if self.is_queued(operation.route) else None

    @override
    def is_queued(self, route: Route) -> bool:
        return (self._is_inbound or self._context.batch_size > 1) and route.kind != _PUBLISHED

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        channel = operations[0].route.parent_id
        by_sku: dict[str, list[Record]] = {}
        for operation in operations:
            by_sku.setdefault(operation.payload["sku"], []).append(operation.payload["vendorSku"].as_body())
        body = [{"sku": sku, "vendorSkus": vendor_skus} for sku, vendor_skus in by_sku.items()]
        if self._is_inbound:
            self._write_channel_inbound(
                "PUT", f"{self.verb}-inventory-feed-variant-batches.json", body, channel_id=channel
            )
        elif len(body) == 1:
            self._write("PUT", f"channels/{channel}/{self.verb}-inventory-feed-variants.json", body[0])
        else:
            self._batch_endpoint.write("PUT", f"channels/{channel}", body)


class Acknowledgements(_Connections):
    """Connects feed variants to the variant of a sku, or confirms that a variant is published in a channel.

    A record with ``externalId`` and ``sku`` and without a vendor sku is of the second kind: the variant is in the
    channel under that external id.
    """

    name = "acknowledgements"
    title = "Acknowledge feed variants, or a variant in a channel"
    verb = "acknowledge"
    connects = True
    deletions = (REMOVE,)
    batch_endpoints = ("acknowledge-variant-batches",)
    schema: ClassVar[dict[str, Any]] = {
        **_Connections.schema,
        "properties": {
            **_Connections.schema["properties"],
            "externalId": {
                "type": ["string", "null"],
                "description": "The variant's external id in the channel. Without a vendorSku, it is acknowledged.",
            },
        },
    }

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        if not has_value(record, "externalId") or has_value(record, "vendorSku") or has_value(record, "vendorSkus"):
            return super().operations_for(record)
        channel = self._webhook_hashes.channel_id(record.get("channelId"), by_hash=False)
        sku = text_in(record, "sku")
        payload = {"externalId": text_in(record, "externalId"), "sku": sku}
        key = OperationKey("channel_variants", channel, "sku", sku)
        return (WriteOperation(self, Route(self.name, _PUBLISHED, channel), key, payload),)

    @override
    def _operations_for_deletion(self, record: Mapping[str, Any], how: str) -> Sequence[WriteOperation]:
        return self._disconnections.operations_for(record)

    @cached_property
    def _disconnections(self) -> Disconnections:
        return Disconnections(self._context)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        route = operations[0].route
        if route.kind == _PUBLISHED:
            self._write("PUT", f"channels/{route.parent_id}/acknowledge-variant.json", operations[0].payload)
        else:
            super().send(operations)


class Disconnections(_Connections):
    """Disconnects feed variants from the variant of a sku."""

    name = "disconnections"
    title = "Disconnect feed variants"
    verb = "disconnect"
    connects = False
    # Two guides of the vendor name it differently.
    batch_endpoints = ("disconnect-variant-batches", "disconnect-inventory-feed-variant-batches")


def _vendor_sku(fields: Mapping[str, Any]) -> VendorSku:
    for name in _PROVIDER_FIELDS:
        if has_value(fields, name):
            provider = id_in(fields, name) if name == "dropshipProviderId" else text_in(fields, name)
            return VendorSku(text_in(fields, "vendorSku"), name, provider)
    raise MissingKeyError(
        f"{_PROVIDER_FIELDS[0]}.missing", f"neither {_PROVIDER_FIELDS[0]} nor {_PROVIDER_FIELDS[1]} is given"
    )
