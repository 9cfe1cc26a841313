"""Dropship providers and inventory feeds: updated where they exist, created where they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import RecordError
from tap_jetti.facts import resources
from tap_jetti.target.actions.action import Action, ActionContext, Draft, holds, id_in
from tap_jetti.target.actions.write_once import write_once
from tap_jetti.target.delivery.record_errors import MissingKeyError
from tap_jetti.target.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.target.delivery.operations import Key, WriteOperation


class _Registration(Action):
    """Writes a row by its ``id``, or by natural keys that are looked up first: never doubled."""

    is_partial = True
    natural: ClassVar[tuple[str, ...]]

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        self._fields = Fields(self.resource)
        self._path = resources.api_name(self.resource)
        self._made: dict[Key, int] = {}

    @classmethod
    @override
    def record_schema(cls) -> dict[str, Any]:
        keys = [{"required": ["id"]}, {"required": list(cls.natural)}]
        return {**resources.schema(cls.resource), "anyOf": keys}

    @override
    def drafts(self, record: Mapping[str, Any]) -> Sequence[Draft]:
        payload, unknown = self._fields.project(record)
        if unknown:
            self._note_unknown(unknown)
        if holds(record, "id"):
            return (Draft((self.name,), (self.name, "id", id_in(record, "id")), payload),)
        if not all(holds(record, name) for name in self.natural):
            raise MissingKeyError(f"{self.natural[0]}.missing", f"neither id nor {' and '.join(self.natural)} is given")
        # By what is sent: 3, "3" and 3.0 are the same provider, and must not make two feeds.
        return (Draft((self.name,), (self.name, *(payload[name] for name in self.natural)), payload),)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        operation = operations[0]
        row = operation.key[2] if operation.key[1] == "id" else self._made.get(operation.key) or self._find(operation)
        if row is None:
            row = write_once(
                lambda: self._create(operation),
                lambda: self._find(operation),
                clock=self._around.clock,
            )
            if row is None:
                return
        self._write("PUT", f"{self._path}/{row}.json", operation.payload)

    def _create(self, operation: WriteOperation) -> None:
        """Add a row, and remember it: a list that is read at once may not show it yet."""
        made = self._write("POST", f"{self._path}.json", operation.payload, repeatable=False).body
        if isinstance(made, dict) and str(made.get("id")).isdecimal():
            self._made[operation.key] = int(made["id"])

    def _find(self, operation: WriteOperation) -> int | None:
        where = {name: operation.payload[name] for name in self.natural}
        # A server that compares otherwise than asked must not have the wrong row overwritten.
        found = [
            row
            for row in self._rows(self.resource, self.natural, where)
            if all(str(row.get(name)) == str(value) for name, value in where.items())
        ]
        if len(found) > 1:
            raise RecordError(f"{self.name}.ambiguous", f"{len(found)} rows have this {' and '.join(self.natural)}")
        return found[0]["id"] if found else None


class DropshipProviders(_Registration):
    """Dropship providers, by ``id`` or ``externalId``."""

    name = resource = "dropship_providers"
    title = "Create or update dropship providers"
    natural = ("externalId",)


class InventoryFeeds(_Registration):
    """Inventory feeds, by ``id`` or by their provider and name."""

    name = resource = "inventory_feeds"
    title = "Create or update inventory feeds"
    natural = ("dropshipProviderId", "name")
