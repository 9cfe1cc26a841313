"""Stock levels: the inventory of one's own warehouses, by the variant or by a channel's name for it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import RecordError
from tap_jetti.target.actions.action import ANY, ZERO
from tap_jetti.target.actions.compared import ComparedAction
from tap_jetti.target.actions.endpoint_fallback import EndpointFallback
from tap_jetti.target.actions.record_fields import has_value, id_in, require, text_in
from tap_jetti.target.actions.routes import API
from tap_jetti.target.actions.visible_rows import query_chunks, shown_rows
from tap_jetti.target.delivery.operations import OperationKey, Route, WriteOperation
from tap_jetti.target.delivery.record_errors import MissingKeyError
from tap_jetti.target.fields import CHECKS, InvalidValueError, comparable, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tap_jetti.target.actions.context import ActionContext
    from tap_jetti.target.delivery.operations import Record

_QUANTITY = {"type": "integer", "description": "The new stock, not the difference."}
_NOTES = {"type": ["string", "null"]}

_VARIANTS = "variantIds"
"""Where a payload holds the ids of the variants that the record means; it is not sent."""


class _Levels(ComparedAction):
    """Sets a quantity. It is compared with the ``inventoryQuantity`` of the variant."""

    resource = "variants"
    deletions = (ZERO,)

    @override
    def _operations_for_deletion(self, record: Mapping[str, Any], how: str) -> Sequence[WriteOperation]:
        return self.operations_for({**record, "quantity": 0})

    @override
    def changes(self, operation: WriteOperation, row: Record) -> Record:
        shown = row.get("inventoryQuantity")
        same = comparable("quantity", shown) == comparable("quantity", operation.payload["quantity"])
        return {} if same else operation.payload

    def _variants(self, ids: Iterable[str]) -> dict[str, Record]:
        return dict(shown_rows(self._session, "variants", "id", ids))


class InventoryLevels(_Levels):
    """Sets the stock of variants in one's own warehouse, by ``variantId`` or ``sku``.

    Identify a variant in the same way within a run: the order between records that name it differently is not
    guaranteed. The call has no warehouse, so a record must not name one.
    """

    name = "inventory_levels"
    title = "Set the stock of one's own warehouse"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "variantId": {"type": ["integer", "null"]},
            "sku": {"type": ["string", "null"]},
            "quantity": _QUANTITY,
            "adjustmentReasonId": {"type": ["integer", "null"]},
            "notes": _NOTES,
        },
        "required": ["quantity"],
        "anyOf": [{"required": ["variantId"]}, {"required": ["sku"]}],
    }

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        self._key_fields: set[str] = set()

    @classmethod
    @override
    def known_fields(cls) -> dict[str, Any]:
        return {**super().known_fields(), "warehouseId": ANY}  # known, to be refused

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        if has_value(record, "warehouseId"):
            raise RecordError(
                "warehouseId.unsupported", "Jetti sets a variant's stock without a warehouse; leave warehouseId out"
            )
        if has_value(record, "variantId"):
            key = OperationKey(self.resource, None, "id", id_in(record, "variantId"))
        elif has_value(record, "sku"):
            key = OperationKey(self.resource, None, "sku", text_in(record, "sku"))
        else:
            raise MissingKeyError("variantId.missing", "neither variantId nor sku is given")
        self._note(key.field)
        payload: Record = {"quantity": _quantity_in(record), _VARIANTS: [key.value] if key.field == "id" else []}
        if has_value(record, "adjustmentReasonId"):
            payload["adjustmentReasonId"] = id_in(record, "adjustmentReasonId")
        if has_value(record, "notes"):
            payload["notes"] = text_in(record, "notes")
        return (WriteOperation(self, Route(self.name, API), key, payload),)

    @override
    def already_done(self, operations: Sequence[WriteOperation]) -> Sequence[WriteOperation]:
        found = self._ids({str(operation.key.value) for operation in operations if operation.key.field == "sku"})
        for operation in operations:
            if operation.key.field == "sku":
                operation.payload = {**operation.payload, _VARIANTS: found[str(operation.key.value)]}
        return super().already_done(operations)

    @override
    def shown(self, operations: Sequence[WriteOperation]) -> Mapping[OperationKey, Record]:
        keys = {
            str(operation.payload[_VARIANTS][0]): operation.key
            for operation in operations
            if len(operation.payload[_VARIANTS]) == 1
        }
        return {keys[variant]: row for variant, row in self._variants(keys).items()}

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        key, payload = operations[0].key, dict(operations[0].payload)
        ids = payload.pop(_VARIANTS)
        if len(ids) != 1:
            found = f"{len(ids)} variants have" if ids else "no variant has"
            raise RecordError("sku.ambiguous" if ids else "sku.unknown", f"{found} this sku; give the variantId")
        self._context.written.add(key)
        self._write("PUT", f"variants/{ids[0]}/set-level.json", payload)

    def _ids(self, skus: set[str]) -> Mapping[str, list[int]]:
        """The ids of the variants with each sku."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for chunk in query_chunks("sku", skus):
            for row in self._rows("variants", ("sku",), {"sku": {"$in": list(chunk)}}):
                found[str(row.get("sku"))].append(int(row["id"]))
        return found

    def _note(self, key_field: str) -> None:
        self._key_fields.add(key_field)
        if len(self._key_fields) > 1:
            self._context.profile.warn_once(
                self._context.logger,
                "%s: some records have a variantId and some only a sku. If two records mean the same variant, the order"
                " of their writes is not guaranteed. Use one of the two fields.",
                self.name,
            )


class ChannelInventoryLevels(_Levels):
    """Sets the stock of a channel's variants, by their ``externalId`` in the channel.

    It is compared with the variant that is connected to the channel's. That this variant shows the stock is inferred:
    set ``skip_unchanged`` to false to send all records.
    """

    name = "channel_inventory_levels"
    title = "Set the stock of variants of a channel"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "externalId": {"type": "string"},
            "quantity": _QUANTITY,
            "notes": _NOTES,
            "channelId": {"type": ["integer", "null"], "description": "Overrides the setting channel_id."},
        },
        "required": ["externalId", "quantity"],
    }

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        # The vendor's guide and its reference name it differently.
        names = ("set-variant-level", "variant-set-level")
        self._endpoint = EndpointFallback(self._write, names, logger=context.logger)

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        channel = self._webhook_hashes.channel_id(record.get("channelId"), by_hash=False)
        external_id = text_in(record, "externalId")
        payload: Record = {"externalId": external_id, "quantity": _quantity_in(record)}
        if has_value(record, "notes"):
            payload["notes"] = text_in(record, "notes")
        key = OperationKey("channel_variants", channel, "externalId", external_id)
        return (WriteOperation(self, Route(self.name, API, channel), key, payload),)

    @override
    def shown(self, operations: Sequence[WriteOperation]) -> Mapping[OperationKey, Record]:
        channel = operations[0].route.parent_id
        keys = {str(operation.key.value): operation.key for operation in operations}
        variants = {
            value: str(row.get("variantId"))
            for value, row in shown_rows(
                self._session,
                "channel_variants",
                "externalId",
                keys,
                where={"channelId": channel},
            )
            # A server that ignores the filter must not pass the row of another channel for this one's.
            if str(row.get("channelId", channel)) == str(channel)
        }
        rows = self._variants(set(variants.values()) - {"None"})
        return {keys[value]: rows[variant] for value, variant in variants.items() if variant in rows}

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        self._context.written.add(operations[0].key)
        self._endpoint.write("PUT", f"channels/{operations[0].route.parent_id}", operations[0].payload)


def _quantity_in(record: Mapping[str, Any]) -> int:
    require(record, "quantity")
    try:
        quantity: int = CHECKS["quantity"](record["quantity"])
    except InvalidValueError as error:
        raise invalid("variants", "quantity", str(error), record["quantity"]) from None
    return quantity
