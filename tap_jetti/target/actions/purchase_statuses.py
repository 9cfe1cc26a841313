"""The status of purchases, by its id or its name."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import RecordError
from tap_jetti.target.actions.action import Action
from tap_jetti.target.actions.record_fields import has_value, id_in, text_in
from tap_jetti.target.actions.routes import API
from tap_jetti.target.delivery.operations import OperationKey, Route, WriteOperation
from tap_jetti.target.delivery.record_errors import MissingKeyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.target.delivery.operations import Record


class PurchaseStatuses(Action):
    """Sets the status of a purchase. Names of statuses are read once per run, if a record has one."""

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
        self._warn_unknown_fields(record)
        if has_value(record, "purchaseStatusId"):
            status_id = id_in(record, "purchaseStatusId")
        elif has_value(record, "purchaseStatus"):
            status_id = self._status_id(text_in(record, "purchaseStatus"))
        else:
            raise MissingKeyError("purchaseStatusId.missing", "neither purchaseStatusId nor purchaseStatus is given")
        key = OperationKey(self.resource, None, "id", purchase_id)
        return (WriteOperation(self, Route(self.name, API), key, {"purchaseStatusId": status_id}),)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
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
        if len(found) != 1:
            raise RecordError(
                "purchaseStatus.unknown",
                f"purchaseStatus must be the name of one purchase status, and {len(found)} have this name",
            )
        return int(found[0])
