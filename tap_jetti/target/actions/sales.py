"""Sales of a channel: created, or updated by their external ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.target.actions.record_fields import body_of, text_in
from tap_jetti.target.actions.routes import ChannelAction
from tap_jetti.target.actions.visible_rows import RowVisibility
from tap_jetti.target.delivery.operations import OperationKey, WriteOperation
from tap_jetti.target.delivery.record_errors import MissingKeyError
from tap_jetti.target.fields import CHECKS, InvalidValueError, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.target.delivery.operations import Record


class Sales(ChannelAction):
    """Sends one manual sale per call, inbound or through the API."""

    name = "sales"
    title = "Create or update sales"
    resource = "sales"
    sends_unknown = True
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "externalId": {"type": "string"},
            "saleDefaults": {"type": "object"},
            "customer": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("firstName", "lastName", "email")},
            },
            "lineItems": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "externalId": {"type": "string"},
                        "name": {"type": "string"},
                        "quantity": {"type": "integer", "minimum": 0},
                        "price": {"type": "number"},
                        "taxable": {"type": "boolean"},
                        "variant": {
                            "type": "object",
                            "properties": {name: {"type": "string"} for name in ("externalId", "externalSku", "sku")},
                        },
                        "properties": {"type": "array", "items": {"type": "object"}},
                    },
                },
            },
            "shipping": {"type": "array", "items": {"type": "object"}},
            "options": {"type": "object", "properties": {"findOrCreateChannelVariant": {"type": "boolean"}}},
            "source": {"type": "string"},
            "channelId": {"type": ["integer", "null"], "description": "Overrides the setting channel_id."},
        },
        "required": ["externalId", "lineItems"],
    }

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        external_id = text_in(record, "externalId")
        route = self._channel_route(record)
        payload = body_of(record, "channelId", "id")
        payload["lineItems"] = _line_items(record.get("lineItems"))
        payload |= {"externalId": external_id, "source": record.get("source") or "manual"}
        key = OperationKey(self.resource, route.parent_id, "externalId", external_id)
        return (WriteOperation(self, route, key, payload),)

    @override
    def visibility(self, operation: WriteOperation) -> RowVisibility | None:
        channel = operation.route.parent_id
        if not self._is_inbound or channel is None:
            return None
        return RowVisibility(self._session, self.resource, "externalId", where=(("channelId", channel),))

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        operation = operations[0]
        channel = operation.route.parent_id
        if self._is_inbound:
            self._write_channel_inbound("POST", "manual-sale.json", operation.payload, channel_id=channel)
        else:
            self._write("POST", f"channels/{channel}/manual-sale.json", operation.payload)


def _line_items(items: object) -> list[Record]:
    """The line items, with their quantities as integers."""
    if items is None or items == "":
        raise MissingKeyError("lineItems.missing", "lineItems is missing")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise invalid("sales", "lineItems", "an array of objects", items)
    return [{**item, "quantity": _quantity(item.get("quantity"))} for item in items]


def _quantity(value: object) -> object:
    try:
        return CHECKS["quantity"](value)
    except InvalidValueError as error:
        raise invalid("sale_items", "lineItems.quantity", str(error), value) from None
