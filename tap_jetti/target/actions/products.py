"""Products that a channel sends, as variants in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.target.actions.action import Action, ActionContext, Draft, holds, id_in, text_in, without_own
from tap_jetti.target.actions.endpoint_fallback import RenamedCall
from tap_jetti.target.actions.visible_rows import InOneRow
from tap_jetti.target.delivery.record_errors import MissingKeyError
from tap_jetti.target.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.target.delivery.operations import Route, WriteOperation

_KEYS = ("externalId", "sku", "externalSku", "id")

_IN_CHANNEL = ("externalId", "externalSku")
"""Those of them that tell what a variant is in the channel, not the variant itself."""


class Products(Action):
    """Sends variant objects as they are: which fields they may have is not documented.

    So no field is left out, also none that the resource ``variants`` lacks, and only the key and
    values of fields that it has are checked.
    """

    name = "products"
    title = "Import the variants of a channel's products"
    resource = "variants"
    record: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "externalId": {"type": "string"},
            "sku": {"type": ["string", "null"]},
            "externalSku": {"type": ["string", "null"]},
            "name": {"type": ["string", "null"]},
            "product": {"type": ["object", "null"]},
            "channelId": {"type": ["integer", "null"], "description": "Wins over the setting channel_id."},
        },
        "anyOf": [{"required": [name]} for name in _KEYS],
    }

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        self._is_inbound = context.delivery == "inbound"
        self._fields = Fields(self.resource)
        self._batch = RenamedCall(
            self._write,
            ("import-connector-variant-batches", "import-connector-variant-batch"),
            say=context.logger.warning,
        )

    @override
    def drafts(self, record: Mapping[str, Any]) -> Sequence[Draft]:
        found = next((name for name in _KEYS if holds(record, name)), None)
        if found is None:
            raise MissingKeyError("externalId.missing", f"none of {', '.join(_KEYS)} is given")
        channel = self._owners.channel_id(record.get("channelId"), by_hash=self._is_inbound)
        if self._is_inbound:
            self._owners.channel_hash(channel)
        checked, _ = self._fields.project(record)
        value = id_in(record, found) if found == "id" else text_in(record, found)
        payload = {**without_own(record, "channelId"), **checked, found: value}
        return (Draft((self.name, channel), (self.name, channel, found, str(value)), payload),)

    @override
    def limit(self, route: Route) -> int:
        return self._around.batch_size

    @override
    def effect(self, operation: WriteOperation) -> InOneRow | None:
        channel, found = operation.key[1], str(operation.key[2])
        if not self._is_inbound or channel is None:
            return None
        if found in _IN_CHANNEL:
            return InOneRow(self._session, "channel_variants", found, (("channelId", channel),))
        return InOneRow(self._session, self.resource, found)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        channel = operations[0].route[1]
        body = [operation.payload for operation in operations]
        if self._is_inbound:
            self._write_inbound(
                "POST",
                "custom-channels/products.json",
                body,
                hash_=self._owners.channel_hash(channel),  # type: ignore[arg-type]
                owner=f"channel {channel or ''}".strip(),
            )
        else:
            self._batch.write("POST", f"channels/{channel}", body)
