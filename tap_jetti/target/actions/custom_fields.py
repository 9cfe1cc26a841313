"""Custom fields of rows, such as those of sales and purchases: values by key."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.facts import resources
from tap_jetti.target.actions.action import Action
from tap_jetti.target.actions.record_fields import id_in, text_in
from tap_jetti.target.actions.routes import API
from tap_jetti.target.delivery.operations import OperationKey, Route, WriteOperation
from tap_jetti.target.delivery.record_errors import NothingToWriteError
from tap_jetti.target.fields import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_VALUES_PREFIX = "custom_field_"
"""How the names of the resources begin that hold the values of custom fields."""


class CustomFields(Action):
    """Sets custom fields. Values of one row that are in the same batch go in one call."""

    name = "custom_fields"
    title = "Set custom fields"
    resource = "custom_fields"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "resource": {"type": "string", "description": "The resource of the row, such as sales or purchases."},
            "resourceId": {"type": "integer"},
            "key": {"type": "string"},
            "value": {"description": "Any JSON."},
        },
        "required": ["resource", "resourceId", "key"],
    }

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        resource = text_in(record, "resource").strip().replace("-", "_").lower()
        allowed = resources_with_custom_fields()
        if resource not in allowed:
            raise invalid("", "resource", f"one of {', '.join(sorted(allowed))}", resource, title="unknown")
        row_id, name = id_in(record, "resourceId"), text_in(record, "key")
        if "value" not in record:
            raise NothingToWriteError("value.missing", "value is missing; a value of null clears the field")
        payload = {"key": name, "value": record["value"]}
        key = OperationKey(resource, row_id, "customFields", name)
        return (WriteOperation(self, Route(self.name, API), key, payload),)

    @override
    def batch_limit(self, route: Route) -> int:
        return self._context.batch_size

    @override
    def calls(self, operations: Sequence[WriteOperation]) -> Iterator[Sequence[WriteOperation]]:
        by_row: dict[tuple[str, int | None], list[WriteOperation]] = {}
        for operation in operations:
            by_row.setdefault((operation.key.resource, operation.key.parent_id), []).append(operation)
        yield from by_row.values()

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        key = operations[0].key
        path = f"{resources.api_name(key.resource)}/{key.parent_id}/sync-custom-fields.json"
        self._write("PUT", path, {"customFields": [operation.payload for operation in operations]})


@cache
def resources_with_custom_fields() -> frozenset[str]:
    """Return the resources that have custom fields: those with a resource of their values."""
    names = frozenset(resources.names())
    return names & {name.removeprefix(_VALUES_PREFIX) for name in names if name.startswith(_VALUES_PREFIX)}
