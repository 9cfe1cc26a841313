"""The status of purchases, by its id or by the name that the company gave it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import RecordError
from tap_jetti.target.actions.action import Action, Draft, holds, id_in, text_in
from tap_jetti.target.delivery.record_errors import MissingKeyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.target.delivery.operations import Record, WriteOperation


class PurchaseStatuses(Action):
    """Sets the status of a purchase. Names are looked up once a run, if any record has one."""

    name = "purchase_statuses"
    title = "Set the status of purchases"
    resource = "purchases"
    record: ClassVar[dict[str, Any]] = {
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
    def drafts(self, record: Mapping[str, Any]) -> Sequence[Draft]:
        purchase = id_in(record, "purchaseId")
        self._note_others(record)
        if holds(record, "purchaseStatusId"):
            status = id_in(record, "purchaseStatusId")
        elif holds(record, "purchaseStatus"):
            status = self._status_of(text_in(record, "purchaseStatus"))
        else:
            raise MissingKeyError("purchaseStatusId.missing", "neither purchaseStatusId nor purchaseStatus is given")
        return (Draft((self.name,), (self.name, purchase), {"purchaseStatusId": status}),)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        self._write("PUT", f"purchases/{operations[0].key[1]}.json", operations[0].payload)

    @cached_property
    def _statuses(self) -> list[Record]:
        return self._rows("purchase_statuses", ("name",))

    def _status_of(self, name: str) -> int:
        """The id of a status: of that very name, or else of the only one that differs in case."""
        exact = [row["id"] for row in self._statuses if row.get("name") == name]
        found = exact or [
            row["id"] for row in self._statuses if str(row.get("name")).strip().lower() == name.strip().lower()
        ]
        if len(found) != 1:
            raise RecordError("purchaseStatus.unknown", f"{len(found) or 'no'} purchase statuses have this name")
        return int(found[0])
