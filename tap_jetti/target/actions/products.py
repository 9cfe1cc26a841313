"""Products of a channel, as variants in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.facts import resources
from tap_jetti.target.actions.endpoint_fallback import EndpointFallback
from tap_jetti.target.actions.record_fields import body_of, has_value, id_in, require_content, text_in
from tap_jetti.target.actions.routes import ChannelAction
from tap_jetti.target.actions.visible_rows import RowVisibility
from tap_jetti.target.delivery.operations import OperationKey, WriteOperation
from tap_jetti.target.delivery.record_errors import MissingKeyError
from tap_jetti.target.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.target.actions.context import ActionContext
    from tap_jetti.target.delivery.operations import Route

_KEY_FIELDS = ("externalId", "sku", "externalSku", "id")

_KEYS_IN_CHANNEL = ("externalId", "externalSku")
"""Those of the key fields that identify a variant within the channel."""


class Products(ChannelAction):
    """Sends variant objects as they are: which fields they may have is not documented.

    So every field is sent, also one that the resource ``variants`` does not have. Checked are only the key and the
    values of fields that the resource has.
    """

    name = "products"
    title = "Import the variants of a channel's products"
    resource = "variants"
    sends_unknown = True
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "externalId": {"type": "string"},
            "sku": {"type": ["string", "null"]},
            "externalSku": {"type": ["string", "null"]},
            "name": {"type": ["string", "null"]},
            "product": {"type": ["object", "null"]},
            "channelId": {"type": ["integer", "null"], "description": "Overrides the setting channel_id."},
        },
        "anyOf": [{"required": [name]} for name in _KEY_FIELDS],
    }

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        self._fields = Fields(self.resource)
        self._batch_endpoint = EndpointFallback(
            self._write,
            ("import-connector-variant-batches", "import-connector-variant-batch"),
            logger=context.logger,
        )

    @classmethod
    @override
    def known_fields(cls) -> dict[str, Any]:
        return {**resources.schema(cls.resource)["properties"], **super().known_fields()}

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        key_field = next((name for name in _KEY_FIELDS if has_value(record, name)), None)
        if key_field is None:
            raise MissingKeyError("externalId.missing", f"none of {', '.join(_KEY_FIELDS)} is given")
        route = self._channel_route(record)
        checked = self._fields.project(record)
        value = id_in(record, key_field) if key_field == "id" else text_in(record, key_field)
        key = OperationKey(self.resource, route.parent_id, key_field, str(value))
        payload = {**body_of(record, "channelId"), **checked, key_field: value}
        require_content(payload, key_field)
        return (WriteOperation(self, route, key, payload),)

    @override
    def batch_limit(self, route: Route) -> int:
        return self._context.batch_size

    @override
    def visibility(self, operation: WriteOperation) -> RowVisibility | None:
        key = operation.key
        if not self._is_inbound or key.parent_id is None:
            return None
        if key.field in _KEYS_IN_CHANNEL:
            return RowVisibility(self._session, "channel_variants", key.field, where=(("channelId", key.parent_id),))
        return RowVisibility(self._session, self.resource, key.field)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        channel = operations[0].route.parent_id
        body = [operation.payload for operation in operations]
        if self._is_inbound:
            self._write_channel_inbound("POST", "products.json", body, channel_id=channel)
        else:
            self._batch_endpoint.write("POST", f"channels/{channel}", body)
