"""Custom fields of sales, purchases and the like: values by key."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import RecordError
from tap_jetti.facts import resources
from tap_jetti.target.actions.action import Action, Draft, id_in, text_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_jetti.target.delivery.operations import Route, WriteOperation

_TABLES = "custom_field_"


class CustomFields(Action):
    """Sets custom fields; those of one row that come together go in one call."""

    name = "custom_fields"
    title = "Set custom fields"
    resource = "custom_fields"
    record: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "resource": {"type": "string", "description": "Such as sales or purchases."},
            "resourceId": {"type": "integer"},
            "key": {"type": "string"},
            "value": {"description": "Any JSON."},
        },
        "required": ["resource", "resourceId", "key"],
    }

    @override
    def drafts(self, record: Mapping[str, Any]) -> Sequence[Draft]:
        self._note_others(record)
        resource = text_in(record, "resource").replace("-", "_")
        if resource not in with_custom_fields():
            raise RecordError("resource.unknown", f"resource must be one of {', '.join(sorted(with_custom_fields()))}")
        row, key = id_in(record, "resourceId"), text_in(record, "key")
        payload = {"key": key, "value": record.get("value")}
        return (Draft((self.name,), (self.name, resource, row, key), payload),)

    @override
    def limit(self, route: Route) -> int:
        return self._around.batch_size

    @override
    def calls(self, operations: Sequence[WriteOperation]) -> Iterator[Sequence[WriteOperation]]:
        by_row: dict[Any, list[WriteOperation]] = {}
        for operation in operations:
            by_row.setdefault(operation.key[1:3], []).append(operation)
        yield from by_row.values()

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        _, resource, row, _ = operations[0].key
        path = f"{resources.api_name(str(resource))}/{row}/sync-custom-fields.json"
        self._write("PUT", path, {"customFields": [operation.payload for operation in operations]})


@cache
def with_custom_fields() -> frozenset[str]:
    """The resources that have custom fields: those with a table of their values."""
    return frozenset(name.removeprefix(_TABLES) for name in resources.names() if name.startswith(_TABLES)) & frozenset(
        resources.names()
    )
