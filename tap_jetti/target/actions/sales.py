"""Sales that a channel sends: added, or updated by their external id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import RecordError
from tap_jetti.target.actions.action import Action, Draft, text_in, without_own
from tap_jetti.target.actions.visible_rows import InOneRow
from tap_jetti.target.delivery.record_errors import MissingKeyError
from tap_jetti.target.fields import UnfitError, integer_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.target.delivery.operations import WriteOperation


class Sales(Action):
    """Sends one manual sale a call, inbound or through the API."""

    name = "sales"
    title = "Create or update sales"
    resource = "sales"
    record: ClassVar[dict[str, Any]] = {
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
            "channelId": {"type": ["integer", "null"], "description": "Wins over the setting channel_id."},
        },
        "required": ["externalId", "lineItems"],
    }

    @override
    def drafts(self, record: Mapping[str, Any]) -> Sequence[Draft]:
        external_id = text_in(record, "externalId")
        is_inbound = self._around.delivery == "inbound"
        channel = self._owners.channel_id(record.get("channelId"), by_hash=is_inbound)
        if is_inbound:
            self._owners.channel_hash(channel)
        _check_lines(record.get("lineItems"))
        payload = without_own(record, "channelId", "id")
        payload |= {"externalId": external_id, "source": record.get("source") or "manual"}
        return (Draft((self.name, channel), (self.name, channel, external_id), payload),)

    @override
    def effect(self, operation: WriteOperation) -> InOneRow | None:
        if self._around.delivery != "inbound" or operation.route[1] is None:
            return None
        return InOneRow(self._session, "sales", "externalId", (("channelId", operation.route[1]),))

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        channel = operations[0].route[1]
        if self._around.delivery == "inbound":
            self._write_inbound(
                "POST",
                "custom-channels/manual-sale.json",
                operations[0].payload,
                hash_=self._owners.channel_hash(channel),  # type: ignore[arg-type]
                owner=f"channel {channel or ''}".strip(),
            )
        else:
            self._write("POST", f"channels/{channel}/manual-sale.json", operations[0].payload)


def _check_lines(lines: object) -> None:
    if lines is None:
        raise MissingKeyError("lineItems.missing", "lineItems is missing")
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise RecordError("lineItems.invalid", "lineItems must be an array of objects")
    for line in lines:
        try:
            quantity = integer_of(line.get("quantity"))
        except UnfitError:
            quantity = -1
        if quantity < 0:
            raise RecordError("lineItems.quantity.invalid", "the quantity of a line item must be 0 or more, and whole")
