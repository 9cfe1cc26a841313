"""The status of purchases, by its id or its name."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.target.actions.compared import ComparedAction
from tap_jetti.target.actions.record_fields import has_value, id_in, text_in
from tap_jetti.target.actions.routes import API
from tap_jetti.target.actions.visible_rows import shown_rows
from tap_jetti.target.delivery.operations import OperationKey, Route, WriteOperation
from tap_jetti.target.delivery.record_errors import MissingKeyError
from tap_jetti.target.fields import comparable, id_of, invalid
from tap_jetti.target.name_matching import shown_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.target.delivery.operations import Record

_MOST_NAMES = 10
"""Names of statuses that a message lists."""


class PurchaseStatuses(ComparedAction):
    """Sets the status of a purchase, unless it has that status.

    Names of statuses are read once per run, if a record has one.
    """

    name = "purchase_statuses"
    title = "Set the status of purchases"
    resource = "purchases"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "purchaseId": {"type": "integer"},
            "purchaseStatusId": {"type": ["integer", "null"]},
            "purchaseStatus": {"type": ["string", "null"], "description": "The name of the status."},
        },
        "required": ["purchaseId"],
        "anyOf": [{"required": ["purchaseStatusId"]}, {"required": ["purchaseStatus"]}],
    }

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        purchase_id = id_in(record, "purchaseId")
        if has_value(record, "purchaseStatusId"):
            status_id = id_in(record, "purchaseStatusId")
        elif has_value(record, "purchaseStatus"):
            status_id = self._status_id(text_in(record, "purchaseStatus"))
        else:
            raise MissingKeyError("purchaseStatusId.missing", "neither purchaseStatusId nor purchaseStatus is given")
        key = OperationKey(self.resource, None, "id", purchase_id)
        return (WriteOperation(self, Route(self.name, API), key, {"purchaseStatusId": status_id}),)

    @override
    def shown(self, operations: Sequence[WriteOperation]) -> Mapping[OperationKey, Record]:
        keys = {str(operation.key.value): operation.key for operation in operations}
        return {keys[value]: row for value, row in shown_rows(self._session, self.resource, "id", keys)}

    @override
    def changes(self, operation: WriteOperation, row: Record) -> Record:
        status_id = operation.payload["purchaseStatusId"]
        same = comparable("integer", row.get("purchaseStatusId")) == comparable("integer", status_id)
        return {} if same else operation.payload

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        self._context.written.add(operations[0].key)
        self._write("PUT", f"purchases/{operations[0].key.value}.json", operations[0].payload)

    @cached_property
    def _statuses(self) -> list[Record]:
        return self._rows("purchase_statuses", ("name",))

    def _status_id(self, name: str) -> int:
        """The id of the status with this exact name, or else of the only one whose name differs in case."""
        exact = [row["id"] for row in self._statuses if row.get("name") == name]
        found = exact or [
            row["id"] for row in self._statuses if str(row.get("name")).strip().lower() == name.strip().lower()
        ]
        status_id = id_of(found[0]) if len(found) == 1 else None
        if status_id is None:
            raise invalid(
                self.resource,
                "purchaseStatus",
                f"the name of one purchase status (one of {self._some_names()}; {len(found)} have the given name)",
                name,
                title="unknown",
            )
        return status_id

    def _some_names(self) -> str:
        names = sorted({str(row.get("name")) for row in self._statuses})
        shown = ", ".join(map(shown_name, names[:_MOST_NAMES]))
        return shown if len(names) <= _MOST_NAMES else f"{shown}, …"
