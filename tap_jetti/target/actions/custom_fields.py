"""Custom fields of rows, such as those of sales and purchases: values by key."""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import ForbiddenError, NotFoundError
from tap_jetti.facts import resources
from tap_jetti.target.actions.action import Action
from tap_jetti.target.actions.record_fields import id_in, text_in
from tap_jetti.target.actions.routes import API
from tap_jetti.target.delivery.operations import OperationKey, Route, WriteOperation
from tap_jetti.target.delivery.record_errors import NothingToWriteError
from tap_jetti.target.fields import invalid

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from tap_jetti.target.delivery.operations import Record

_VALUES_PREFIX = "custom_field_"
"""How the names of the resources begin that hold the values of custom fields."""


class CustomFields(Action):
    """Sets custom fields that do not have the value yet. Those of one row in the same batch go in one call."""

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
    def already_done(self, operations: Sequence[WriteOperation]) -> Sequence[WriteOperation]:
        compared = [operation for operation in operations if operation.key not in self._context.written]
        if not compared or not self._context.skip_unchanged:
            return ()
        by_resource: dict[str, list[WriteOperation]] = {}
        for operation in compared:
            by_resource.setdefault(operation.key.resource, []).append(operation)
        done = []
        for resource, own in by_resource.items():
            shown = self._shown(resource, {operation.key.parent_id or 0 for operation in own})
            done += [one for one in own if _is_shown(one.payload, shown.get((str(one.key.parent_id), one.key.value)))]
        return done

    def _shown(self, resource: str, row_ids: set[int]) -> dict[tuple[str, Hashable], Record]:
        """The values that Jetti shows of some rows, by the row's id and the field's name; none if it shows none."""
        values = f"{_VALUES_PREFIX}{resource}"
        owner = next((name for name, target in resources.references(values).items() if target == resource), None)
        if owner is None:
            return {}
        ids = sorted(row_ids)
        try:
            rows = self._rows(
                values, (owner, "customFieldId", "value"), {owner: {"$in": ids} if len(ids) > 1 else ids[0]}
            )
            names = self._names
        except (NotFoundError, ForbiddenError):
            return {}  # then everything is sent
        return {(str(row.get(owner)), names.get(str(row.get("customFieldId")), "")): row for row in rows}

    @cached_property
    def _names(self) -> dict[str, str]:
        return {str(row["id"]): str(row.get("name")) for row in self._rows("custom_fields", ("name",))}

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
        self._context.written.update(operation.key for operation in operations)
        self._write("PUT", path, {"customFields": [operation.payload for operation in operations]})


def _is_shown(payload: Record, row: Record | None) -> bool:
    """Whether Jetti shows the value of a payload; it may keep a value as text. Nested values are always sent."""
    if row is None or isinstance(payload["value"], (dict, list)):
        return False
    value, shown = payload["value"], row.get("value")
    if value is None or shown is None or isinstance(value, bool) or isinstance(shown, bool):
        return value is shown
    return str(value) == str(shown)


@cache
def resources_with_custom_fields() -> frozenset[str]:
    """Return the resources that have custom fields: those with a resource of their values."""
    names = frozenset(resources.names())
    return names & {name.removeprefix(_VALUES_PREFIX) for name in names if name.startswith(_VALUES_PREFIX)}
