"""Shipments of purchases. A repeated call would ship twice, so no call is repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.target.actions.action import Action
from tap_jetti.target.actions.record_fields import id_in, ids_in, text_in
from tap_jetti.target.actions.routes import API
from tap_jetti.target.actions.write_once import write_once
from tap_jetti.target.delivery.operations import OperationKey, Route, WriteOperation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Shipments(Action):
    """Ships a purchase with a tracking number, unless it has a dropshipment with that number already.

    The dropshipments of a whole batch are read together before anything is sent. They are read again for a call whose
    response was lost.
    """

    name = "shipments"
    title = "Ship purchases"
    resource = "dropshipments"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "purchaseId": {"type": "integer"},
            "trackingNumber": {"type": "string"},
            "trackingCompany": {"type": ["string", "null"]},
            "serviceLevel": {"type": ["string", "null"]},
            "ids": {
                "type": ["array", "null"],
                "items": {"type": "integer"},
                "description": "The ids of the purchase items to ship; all items if it is empty.",
            },
        },
        "required": ["purchaseId", "trackingNumber"],
    }

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        purchase_id, number = id_in(record, "purchaseId"), text_in(record, "trackingNumber").strip()
        payload = {"inventoryStatus": "shipped", "trackingNumber": number, "ids": ids_in(record, "ids")}
        payload |= {name: record[name] for name in ("trackingCompany", "serviceLevel") if record.get(name)}
        key = OperationKey(self.resource, purchase_id, "trackingNumber", number)
        return (WriteOperation(self, Route(self.name, API), key, payload),)

    @override
    def batch_limit(self, route: Route) -> int:
        return self._context.batch_size

    @override
    def already_done(self, operations: Sequence[WriteOperation]) -> Sequence[WriteOperation]:
        shipped = self._shipped(operations)
        return [operation for operation in operations if _shipment_of(operation) in shipped]

    @override
    def calls(self, operations: Sequence[WriteOperation]) -> Iterator[Sequence[WriteOperation]]:
        return ((operation,) for operation in operations)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        operation = operations[0]
        path = f"purchases/{operation.key.parent_id}/ship.json"
        write_once(
            lambda: self._write("POST", path, operation.payload, repeatable=False),
            lambda: operation if _shipment_of(operation) in self._shipped(operations) else None,
            clock=self._context.clock,
        )

    def _shipped(self, operations: Sequence[WriteOperation]) -> set[tuple[str, str]]:
        """The shipments of the purchases of these operations, by purchase and tracking number."""
        purchase_ids = sorted({operation.key.parent_id or 0 for operation in operations})
        where = {"purchaseId": {"$in": purchase_ids} if len(purchase_ids) > 1 else purchase_ids[0]}
        rows = self._rows("dropshipments", ("purchaseId", "trackingNumber"), where)
        return {_shipment(row.get("purchaseId"), row.get("trackingNumber")) for row in rows}


def _shipment_of(operation: WriteOperation) -> tuple[str, str]:
    return _shipment(operation.key.parent_id, operation.key.value)


def _shipment(purchase_id: object, tracking_number: object) -> tuple[str, str]:
    """What identifies a shipment, in one form: the API may write ids as text."""
    return str(purchase_id), str(tracking_number).strip()
