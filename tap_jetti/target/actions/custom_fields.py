"""Custom fields of rows, such as those of sales and purchases: values by key."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.facts import resources
from tap_jetti.target.actions.compared import ComparedAction
from tap_jetti.target.actions.record_fields import id_in, text_in
from tap_jetti.target.actions.routes import API
from tap_jetti.target.actions.visible_rows import shown_rows
from tap_jetti.target.delivery.operations import OperationKey, Route, WriteOperation
from tap_jetti.target.delivery.record_errors import NothingToWriteError
from tap_jetti.target.fields import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_jetti.target.delivery.operations import Record

_VALUES_PREFIX = "custom_field_"
"""How the names of the resources begin that hold the values of custom fields."""


class CustomFields(ComparedAction):
    """Sets custom fields, where Jetti shows another value.

    Values of one row that are in the same batch go in one call.
    """

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
    def shown(self, operations: Sequence[WriteOperation]) -> Mapping[OperationKey, Record]:
        found: dict[OperationKey, Record] = {}
        for resource in {operation.key.resource for operation in operations}:
            own = [operation.key for operation in operations if operation.key.resource == resource]
            values = f"{_VALUES_PREFIX}{resource}"
            owner = next(name for name, target in resources.references(values).items() if target == resource)
            ids = sorted({str(key.parent_id) for key in own})
            where = {owner: {"$in": ids} if len(ids) > 1 else ids[0]}
            rows = self._rows(values, (owner, "customFieldId", "value"), where)
            names = self._names({str(row.get("customFieldId")) for row in rows})
            by_key = {(str(row.get(owner)), names.get(str(row.get("customFieldId")))): row for row in rows}
            found |= {key: by_key[place] for key in own if (place := (str(key.parent_id), key.value)) in by_key}
        return found

    @override
    def changes(self, operation: WriteOperation, row: Record) -> Record:
        value, shown = operation.payload["value"], row.get("value")
        is_plain = value is None or (isinstance(value, (str, int, Decimal)) and not isinstance(value, bool))
        # How Jetti shows other values as text is not documented, so they are sent.
        same = is_plain and (shown is None if value is None else shown is not None and str(shown) == str(value))
        return {} if same else operation.payload

    def _names(self, ids: set[str]) -> dict[str, str]:
        return {value: str(row.get("name")) for value, row in shown_rows(self._session, "custom_fields", "id", ids)}

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        self._context.written.update(operation.key for operation in operations)
        key = operations[0].key
        path = f"{resources.api_name(key.resource)}/{key.parent_id}/sync-custom-fields.json"
        self._write("PUT", path, {"customFields": [operation.payload for operation in operations]})


@cache
def resources_with_custom_fields() -> frozenset[str]:
    """Return the resources that have custom fields: those with a resource of their values."""
    names = frozenset(resources.names())
    return names & {name.removeprefix(_VALUES_PREFIX) for name in names if name.startswith(_VALUES_PREFIX)}
