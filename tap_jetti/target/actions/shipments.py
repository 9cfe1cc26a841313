"""Shipments of purchases. A call made twice ships twice, so none is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import RecordError
from tap_jetti.target.actions.action import Action, Draft, id_in, text_in
from tap_jetti.target.actions.write_once import write_once
from tap_jetti.target.fields import UnfitError, integer_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_jetti.target.delivery.operations import Route, WriteOperation


class Shipments(Action):
    """Ships a purchase under a tracking number, unless a dropshipment of it has that number already.

    The dropshipments of a whole batch are read in one go before anything is sent, and again
    where an answer was lost.
    """

    name = "shipments"
    title = "Ship purchases"
    resource = "dropshipments"
    record: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "purchaseId": {"type": "integer"},
            "trackingNumber": {"type": "string"},
            "trackingCompany": {"type": ["string", "null"]},
            "serviceLevel": {"type": ["string", "null"]},
            "ids": {
                "type": ["array", "null"],
                "items": {"type": "integer"},
                "description": "Purchase items that are shipped; all if there are none.",
            },
        },
        "required": ["purchaseId", "trackingNumber"],
    }

    @override
    def drafts(self, record: Mapping[str, Any]) -> Sequence[Draft]:
        purchase, number = id_in(record, "purchaseId"), text_in(record, "trackingNumber").strip()
        self._note_others(record)
        given = record.get("ids") or []
        try:
            ids = [integer_of(one) for one in given]
        except (UnfitError, TypeError):
            ids = None
        if ids is None or not isinstance(given, list):
            raise RecordError("ids.invalid", "ids must be an array of integers")
        payload = {"inventoryStatus": "shipped", "trackingNumber": number, "ids": ids}
        payload |= {name: record[name] for name in ("trackingCompany", "serviceLevel") if record.get(name)}
        return (Draft((self.name,), (self.name, purchase, number), payload),)

    @override
    def limit(self, route: Route) -> int:
        return self._around.batch_size

    @override
    def already_done(self, operations: Sequence[WriteOperation]) -> Sequence[WriteOperation]:
        shipped = self._shipped(operations)
        return [operation for operation in operations if _identity(*operation.key[1:]) in shipped]

    @override
    def calls(self, operations: Sequence[WriteOperation]) -> Iterator[Sequence[WriteOperation]]:
        return ((operation,) for operation in operations)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        operation = operations[0]
        write_once(
            lambda: self._write("POST", f"purchases/{operation.key[1]}/ship.json", operation.payload, repeatable=False),
            lambda: operation if _identity(*operation.key[1:]) in self._shipped(operations) else None,
            clock=self._around.clock,
        )

    def _shipped(self, operations: Sequence[WriteOperation]) -> set[tuple[str, str]]:
        purchases = sorted({operation.key[1] for operation in operations})  # type: ignore[type-var]
        where = {"purchaseId": {"$in": purchases} if len(purchases) > 1 else purchases[0]}
        rows = self._rows("dropshipments", ("purchaseId", "trackingNumber"), where)
        return {_identity(row.get("purchaseId"), row.get("trackingNumber")) for row in rows}


def _identity(purchase: object, number: object) -> tuple[str, str]:
    """What tells a shipment from others, however the API writes it: ids may come as text."""
    return str(purchase), str(number).strip()
