"""Dropship providers and inventory feeds: updated if they exist, created if they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import RecordError
from tap_jetti.facts import resources
from tap_jetti.target.actions.action import ANY, Action
from tap_jetti.target.actions.claims import is_released
from tap_jetti.target.actions.record_fields import has_value, id_in, require_content
from tap_jetti.target.actions.routes import API
from tap_jetti.target.actions.write_once import OnceWrite
from tap_jetti.target.delivery.ledger.once import Claim, Identity, collapsed, spellings
from tap_jetti.target.delivery.operations import OperationKey, Route, WriteOperation
from tap_jetti.target.delivery.record_errors import MissingKeyError
from tap_jetti.target.fields import Fields, id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_jetti.target.actions.context import ActionContext


class _CreateOrUpdate(Action):
    """Writes a row by its ``id``, or by fields that identify it and are looked up first, so that none is duplicated.

    Attributes:
        key_field: The field that identifies a row without its id, together with `parent_field` if there is one.
        parent_field: The field that holds the id of the row's parent.
    """

    is_partial = True
    key_field: ClassVar[str]
    parent_field: ClassVar[str | None] = None

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        self._fields = Fields(self.resource)
        self._path = resources.api_name(self.resource)
        self._created: dict[OperationKey, int] = {}

    @classmethod
    def _key_fields(cls) -> list[str]:
        return [cls.key_field] if cls.parent_field is None else [cls.parent_field, cls.key_field]

    @classmethod
    @override
    def record_schema(cls) -> dict[str, Any]:
        keys = [{"required": ["id"]}, {"required": cls._key_fields()}]
        return {**resources.schema(cls.resource), "anyOf": keys}

    @classmethod
    @override
    def known_fields(cls) -> dict[str, Any]:
        return {**dict.fromkeys(resources.secret_fields(cls.resource), ANY), **super().known_fields()}

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        payload = self._fields.project(record)
        if has_value(record, "id"):
            require_content({"id": None, **payload}, "id")
            key = OperationKey(self.resource, None, "id", id_in(record, "id"))
        elif all(has_value(record, name) for name in self._key_fields()):
            # The key is of the values that are sent, without blanks and case: 3, "3" and 3.0 are one provider, and
            # "Stock " is one feed with "stock". They must not be created twice.
            require_content(payload, *self._key_fields())
            parent_id = None if self.parent_field is None else payload[self.parent_field]
            key = OperationKey(self.resource, parent_id, self.key_field, collapsed(str(payload[self.key_field])))
        else:
            names = self._key_fields()
            raise MissingKeyError(f"{names[0]}.missing", f"neither id nor {' and '.join(names)} is given")
        return (WriteOperation(self, Route(self.name, API), key, payload),)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        operation = operations[0]
        row_id = self._row_id(operation)
        if row_id is None:
            row_id = self._create_once(operation)
            if row_id is None:
                return
        self._write("PUT", f"{self._path}/{row_id}.json", operation.payload)

    def _row_id(self, operation: WriteOperation) -> object:
        """The id of the row that an operation writes to; None if there is no such row."""
        if operation.key.field == "id":
            return operation.key.value
        return self._created.get(operation.key) or self._find(operation)

    def _create_once(self, operation: WriteOperation) -> int | None:
        """Create a row, unless another process does; returns its id if it has to be updated, None if it was created."""
        marks = self._context.once
        identity = Identity(self.name, f"{operation.key.parent_id or ''} {operation.key.value}")
        claim = marks.claim({identity: None}, released={identity} if is_released(operation) else ())[identity]
        if claim is Claim.BUSY:
            claim = marks.wait(identity, None)
        # After the claim, since another process may have created it between the first look and the claim.
        found = self._find(operation) or (marks.created_id(identity) if claim is Claim.DONE else None)
        if found is not None:
            marks.done(identity, row_id=found)
            return found
        if claim is not Claim.OWN:
            raise marks.uncertain_error()
        once = OnceWrite(marks, identity, None, claim, self._context.clock)
        found = once.make(lambda begin: self._create(operation, begin), lambda: self._find(operation))
        marks.done(identity, row_id=found or self._created.get(operation.key))
        return found

    def _create(self, operation: WriteOperation, begin: Callable[[], None]) -> None:
        """Create a row, and remember its id: a list that is read right after may not contain it yet."""
        created = self._write_once("POST", f"{self._path}.json", operation.payload, begin=begin).body
        created_id = id_of(created.get("id")) if isinstance(created, dict) else None
        if created_id is not None:
            self._created[operation.key] = created_id

    def _find(self, operation: WriteOperation) -> int | None:
        """The id of the row with the key fields of an operation, however Jetti writes them: the exact one first."""
        wanted = {name: operation.payload[name] for name in self._key_fields()}
        # A server that ignores the filter must not cause the wrong row to be overwritten.
        rows = [
            row
            for row in self._rows(self.resource, self._key_fields(), self._where(wanted))
            if all(collapsed(str(row.get(name))) == collapsed(str(value)) for name, value in wanted.items())
        ]
        exact = [row for row in rows if all(str(row.get(name)) == str(value) for name, value in wanted.items())]
        found = exact or rows
        if len(found) > 1:
            raise RecordError(
                f"{self.key_field}.ambiguous", f"{len(found)} rows have this {' and '.join(wanted)}; give the id"
            )
        return int(found[0]["id"]) if found else None

    def _where(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """What to ask for: the rows of the parent, or those with one of the likely spellings of the key."""
        if self.parent_field is not None:
            return {self.parent_field: wanted[self.parent_field]}
        forms = spellings(str(wanted[self.key_field]))
        return {self.key_field: {"$in": forms} if len(forms) > 1 else forms[0]}


class DropshipProviders(_CreateOrUpdate):
    """Writes dropship providers, by ``id`` or ``externalId``."""

    name = resource = "dropship_providers"
    title = "Create or update dropship providers"
    key_field = "externalId"


class InventoryFeeds(_CreateOrUpdate):
    """Writes inventory feeds, by ``id`` or by their provider and name."""

    name = resource = "inventory_feeds"
    title = "Create or update inventory feeds"
    key_field = "name"
    parent_field = "dropshipProviderId"
