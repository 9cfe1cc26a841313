"""Shipments of purchases. A repeated call would ship twice, so no call is repeated."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import NotFoundError, UncertainWriteError
from tap_jetti.target.actions.action import Action
from tap_jetti.target.actions.claims import Claims
from tap_jetti.target.actions.record_fields import id_in, ids_in, text_in
from tap_jetti.target.actions.routes import API
from tap_jetti.target.delivery.operations import OperationKey, Route, WriteOperation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_jetti.target.actions.context import ActionContext
    from tap_jetti.target.delivery.operations import Record


GROUP_SECONDS = 30.0
"""How long a shipment waits for further rows with its items: a warehouse has a row for each."""


class Shipments(Action):
    """Ships items of a purchase with a tracking number, those that are not shipped under that number yet.

    Rows of one purchase and tracking number are one shipment: their items are united. A row without items, which stands
    for all of them, ships what is left of the purchase if the number is there already.

    The dropshipments and their items of a whole batch are read together before anything is sent. They are read again
    for a call whose response was lost.
    """

    name = "shipments"
    title = "Ship purchases"
    resource = "dropshipments"
    group_seconds = GROUP_SECONDS
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

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        # What this run has shipped may not be visible yet. Per shipment: its items, or None for all.
        self._shipped_here: dict[OperationKey, frozenset[int] | None] = {}
        self._unclear: set[WriteOperation] = set()
        self._claims = Claims(self.name, context)

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        purchase_id, number = id_in(record, "purchaseId"), text_in(record, "trackingNumber").strip()
        payload = {"inventoryStatus": "shipped", "trackingNumber": number, "ids": ids_in(record, "ids")}
        payload |= {name: record[name] for name in ("trackingCompany", "serviceLevel") if record.get(name)}
        key = OperationKey(self.resource, purchase_id, "trackingNumber", tracking_identity(number))
        return (WriteOperation(self, Route(self.name, API), key, payload),)

    @override
    def batch_limit(self, route: Route) -> int:
        return self._context.batch_size

    @override
    def merged(self, earlier: Record, later: Record) -> Record:
        has_all = not earlier["ids"] or not later["ids"]
        return {**earlier, **later, "ids": [] if has_all else sorted({*earlier["ids"], *later["ids"]})}

    @override
    def already_done(self, operations: Sequence[WriteOperation]) -> Sequence[WriteOperation]:
        self._claims.claim(operations)
        left = self._left(operations)
        for operation in operations:
            operation.payload = {**operation.payload, "ids": left.get(operation, [])}
        return self._claims.settle(operations, left)

    @override
    def calls(self, operations: Sequence[WriteOperation]) -> Iterator[Sequence[WriteOperation]]:
        return self._claims.calls(operations)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        operation = operations[0]
        if operation in self._unclear:
            raise UncertainWriteError(
                "uncertain",
                "Jetti shows a shipment with this tracking number, but not what is left to ship, so the items are not"
                " shipped again automatically: check it in Jetti",
            )
        path = f"purchases/{operation.key.parent_id}/ship.json"
        wanted = operation.payload["ids"]  # all of it is shipped afterwards, by this call or found by a look
        self._claims.make(
            operation,
            lambda begin: self._write_once("POST", path, operation.payload, begin=begin),
            lambda: self._is_shipped(operation),
        )
        before = self._shipped_here.get(operation.key, frozenset())
        self._shipped_here[operation.key] = before | frozenset(wanted) if wanted and before is not None else None

    def _is_shipped(self, operation: WriteOperation) -> bool:
        """Look again; what is left of the operation becomes its payload."""
        left = self._left([operation])
        operation.payload = {**operation.payload, "ids": left.get(operation, [])}
        return operation not in left

    def _left(self, operations: Sequence[WriteOperation]) -> dict[WriteOperation, list[int]]:
        """The operations that still have something to ship, and its items; none for all items of the purchase."""
        shipments = self._shipments({operation.key.parent_id or 0 for operation in operations})
        shown = [one for one in operations if _identity(one) in shipments]
        shipped = self._items_of({row_id for one in shown for row_id in shipments[_identity(one)]}, shown)
        known = [one for one in operations if one in shown or self._shipped_here.get(one.key)]
        own = self._own_items({one.key.parent_id or 0 for one in known if not one.payload["ids"]})
        left = {}
        for operation in operations:
            wanted, here = operation.payload["ids"], self._shipped_here.get(operation.key, frozenset())
            self._unclear.discard(operation)
            if here is None or (operation in shown and shipped is None):
                continue
            done = set[int]()
            if shipped is not None:
                done.update(*(shipped[row_id] for row_id in shipments.get(_identity(operation), ())))
            is_unknown = False
            if not wanted and (operation in shown or here):
                is_unknown = own is None
                wanted = own[str(operation.key.parent_id)] if own is not None else []
            if is_unknown or (operation in shown and wanted and not done and not here):
                self._unclear.add(operation)
            wanted = [item for item in wanted if item not in done | here]
            if wanted or operation in self._unclear or (operation not in shown and not here):
                left[operation] = wanted
        return left

    def _shipments(self, purchase_ids: set[int]) -> defaultdict[tuple[str, str], list[str]]:
        """The ids of the dropshipments of some purchases, by purchase and tracking number."""
        found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for row in self._rows("dropshipments", ("purchaseId", "trackingNumber"), _one_of("purchaseId", purchase_ids)):
            number = tracking_identity(str(row.get("trackingNumber")))
            found[str(row.get("purchaseId")), number].append(str(row["id"]))
        return found

    def _items_of(self, shipment_ids: set[str], shown: Sequence[WriteOperation]) -> defaultdict[str, set[int]] | None:
        """The purchase items of each dropshipment; None if Jetti shows those of none, and all items are meant."""
        found: defaultdict[str, set[int]] = defaultdict(set)
        if not shipment_ids:
            return found
        where = _one_of("dropshipmentId", shipment_ids)
        try:
            rows = self._rows("dropshipment_items", ("dropshipmentId", "purchaseItemId"), where)
        except NotFoundError:
            if any(one.payload["ids"] for one in shown):
                raise  # which of the items are shipped cannot be known
            self._context.profile.warn_once(
                self._context.logger,
                "%s: Jetti does not show the items of shipments, so a purchase counts as shipped as a whole if its"
                " tracking number is shown.",
                self.name,
            )
            return None
        for row in rows:
            if row.get("purchaseItemId") is not None:
                found[str(row.get("dropshipmentId"))].add(int(row["purchaseItemId"]))
        return found

    def _own_items(self, purchase_ids: set[int]) -> defaultdict[str, list[int]] | None:
        """The items of each purchase, where all are to be shipped under a number that has some; None: not known."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        if purchase_ids:
            try:
                rows = self._rows("purchase_items", ("purchaseId",), _one_of("purchaseId", purchase_ids))
            except NotFoundError:
                return None
            for row in rows:
                found[str(row.get("purchaseId"))].append(int(row["id"]))
        return found


def tracking_identity(number: str) -> str:
    """Return what identifies a tracking number, however it is written: its letters and digits."""
    return "".join(filter(str.isalnum, number)).upper() or number


def _identity(operation: WriteOperation) -> tuple[str, str]:
    return str(operation.key.parent_id), str(operation.key.value)


def _one_of(name: str, values: set[Any]) -> dict[str, Any]:
    ordered = sorted(values)
    return {name: {"$in": ordered} if len(ordered) > 1 else ordered[0]}
