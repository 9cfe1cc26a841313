"""Updates of rows of any resource by their ids: of what a record has, only the fields that differ are sent."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import RecordError
from tap_jetti.facts import resources
from tap_jetti.facts.secret_fields import known_secrets
from tap_jetti.target.actions.action import ANY
from tap_jetti.target.actions.compared import ComparedAction
from tap_jetti.target.actions.record_fields import has_value, id_in, text_in
from tap_jetti.target.actions.resource_names import resource_named
from tap_jetti.target.actions.routes import API
from tap_jetti.target.actions.visible_rows import shown_rows
from tap_jetti.target.columns import Columns, FieldNames
from tap_jetti.target.delivery.ledger.values import is_likely_form, short_form
from tap_jetti.target.delivery.operations import OperationKey, Route, WriteOperation
from tap_jetti.target.delivery.record_errors import MissingKeyError
from tap_jetti.target.fields import Fields, comparable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.target.actions.context import ActionContext
    from tap_jetti.target.delivery.operations import Record

LIMITED = "inventory_feed_variants"
"""The resource whose updates count against the daily limit of the plan."""

_RESOURCE = "resource"


class Updates(ComparedAction):
    """Updates rows of any resource by ``id``: a record names its resource in ``resource``.

    A stream that is named after a resource, such as ``sales_updates``, needs no such field. Only the given fields
    change. Jetti is asked for the rows of a batch first, and only fields that differ are sent; secret fields are not
    compared, so they are always sent. A field that Jetti leaves as it was is an error of the record. Updates of
    inventory feed variants count against ``max_updates``.

    Args:
        context: What the actions of a run share.
        resource: The resource of records that do not name one; None if each must.
    """

    name = "updates"
    title = "Update rows of any resource by their ids"
    resource = ""
    is_partial = True
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            _RESOURCE: {"type": ["string", "null"], "description": "The resource of the row, such as sales."},
            "id": {"type": "integer"},
        },
        "required": ["id"],
    }

    def __init__(self, context: ActionContext, resource: str | None = None) -> None:
        super().__init__(context)
        self._default = resource
        self.resource = resource or ""
        self._limited = self
        self._columns: dict[str, Columns] = {}
        self._before: dict[OperationKey, Record] = {}

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        resource = self._resource_in(record)
        names_resource = _RESOURCE in record and not self._is_field(_RESOURCE)
        fields = {name: value for name, value in record.items() if name != _RESOURCE} if names_resource else record
        columns = self._columns_of(resource)
        fields = columns.read(dict(fields))
        payload = _fields_of(resource).project(fields)
        row_id = id_in(fields, "id")
        if not payload:
            hint = columns.hint(dict.fromkeys(record))
            raise RecordError("updates.empty", f"the record has no field of {resource} that can be written{hint}")
        action = self._limited_action() if resource == LIMITED else self
        key = OperationKey(resource, None, "id", row_id)
        return (WriteOperation(action, Route(self.name, API), key, payload),)

    @property
    @override
    def field_names(self) -> FieldNames:
        # Which fields a record can have is known only with its resource; see `operations_for`.
        own = {"id"} if self._is_field(_RESOURCE) else {"id", _RESOURCE}
        return FieldNames(frozenset(own), is_open=True, ignored=frozenset(), finds_near=False)

    def _columns_of(self, resource: str) -> Columns:
        found = self._columns.get(resource)
        if found is None:
            facts = resources.schema(resource)["properties"]
            properties = {**dict.fromkeys(known_secrets(resource), ANY), **facts}
            names = FieldNames.of_schema({"properties": properties}, resource=resource)
            found = self._columns[resource] = self.columns((), names)
        return found

    @override
    def shown(self, operations: Sequence[WriteOperation]) -> Mapping[OperationKey, Record]:
        ids: dict[str, dict[str, OperationKey]] = {}
        for operation in operations:
            ids.setdefault(operation.key.resource, {})[str(operation.key.value)] = operation.key
        return {
            keys[value]: row
            for resource, keys in ids.items()
            for value, row in shown_rows(self._session, resource, "id", keys)
        }

    @override
    def changes(self, operation: WriteOperation, row: Record) -> Record:
        resource = operation.key.resource
        kinds, secrets = _fields_of(resource).kinds, known_secrets(resource)
        changes = {
            name: value
            for name, value in operation.payload.items()
            if name not in row
            or name in secrets
            or comparable(kinds[name], value) != comparable(kinds[name], row[name])
        }
        if changes:
            self._before[operation.key] = {name: row[name] for name in changes.keys() - secrets if name in row}
        return changes

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        operation = operations[0]
        key = operation.key
        before = self._before.pop(key, {})
        self._context.written.add(key)
        row = self._write("PUT", f"{resources.api_name(key.resource)}/{key.value}.json", operation.payload).body
        if _kept(operation, before, row):
            # The response may show an older state than a read does.
            row = dict(shown_rows(self._session, key.resource, "id", [str(key.value)])).get(str(key.value))
        kept = _kept(operation, before, row)
        if kept:
            raise RecordError(
                f"{kept[0]}.kept",
                f"Jetti accepted the record and left {', '.join(kept)} as it was, so it cannot be changed in this way;"
                " other fields of the record are written",
            )

    @override
    def resource_of(self, record: Mapping[str, Any]) -> str:
        try:
            return self._resource_in(record)
        except RecordError:
            return self.resource

    def _resource_in(self, record: Mapping[str, Any]) -> str:
        if not has_value(record, _RESOURCE) or self._is_field(_RESOURCE):
            if self._default is None:
                raise MissingKeyError("resource.missing", "resource is missing, and the stream is not named after one")
            return self._default
        found = resource_named(text_in(record, _RESOURCE))
        if self._default not in {None, found}:
            raise RecordError("resource.mixed", f"resource must be {self._default}, as the stream is named")
        return found

    def _is_field(self, name: str) -> bool:
        """Whether the stream's own resource has a field of this name."""
        return self._default is not None and name in _fields_of(self._default).kinds

    def _limited_action(self) -> Updates:
        if self._limited is self:
            self._limited = _LimitedUpdates(self._context, self._default)
        return self._limited


class _LimitedUpdates(Updates):
    is_limited = True


def _kept(operation: WriteOperation, before: Record, row: object) -> list[str]:
    """The fields of a row that have their old values, though others were written."""
    key = operation.key
    if not isinstance(row, dict) or str(row.get("id")) != str(key.value):
        return []
    kinds = _fields_of(key.resource).kinds
    kept = []
    for name in before.keys() & row.keys() & operation.payload.keys():
        sent, was, shown = (short_form(kinds[name], values[name]) for values in (operation.payload, before, row))
        if shown == was and not is_likely_form(kinds[name], sent, shown):
            kept.append(name)
    return sorted(kept)


@cache
def _fields_of(resource: str) -> Fields:
    return Fields(resource)
