"""Cancellations of purchases, sales and items of them. A repeated call would cancel twice, so no call is repeated."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import NotFoundError, RecordError
from tap_jetti.target.actions.action import LARGEST_BATCH, Action
from tap_jetti.target.actions.claims import Claims
from tap_jetti.target.actions.record_fields import has_value, id_in, ids_in
from tap_jetti.target.actions.routes import API
from tap_jetti.target.actions.visible_rows import shown_rows
from tap_jetti.target.delivery.operations import OperationKey, Route, WriteOperation
from tap_jetti.target.delivery.record_errors import MissingKeyError
from tap_jetti.target.fields import id_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_jetti.target.actions.context import ActionContext
    from tap_jetti.target.delivery.operations import Record


@dataclass(frozen=True)
class _Kind:
    """What can be cancelled: where its rows and its items are, and the call that cancels it."""

    key_field: str
    resource: str
    items: str
    method: str
    constants: Record


_KINDS = {
    "purchases": _Kind(
        "purchaseId", "purchases", "purchase_items", "PUT", {"setQuantities": True, "status": "cancelled"}
    ),
    "sales": _Kind("saleId", "sales", "sale_items", "POST", {}),
}


class Cancellations(Action):
    """Cancels purchases or sales, or items of them: those that are not cancelled yet.

    The rows and items of a whole batch are read together before anything is sent. They are read again for a call whose
    response was lost.
    """

    name = "cancellations"
    title = "Cancel purchases or sales"
    resource = "sale_returns"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "purchaseId": {"type": ["integer", "null"]},
            "saleId": {"type": ["integer", "null"]},
            "ids": {
                "type": ["array", "null"],
                "items": {"type": "integer"},
                "description": "The ids of the items to cancel; all items if it is empty.",
            },
        },
        "anyOf": [{"required": ["purchaseId"]}, {"required": ["saleId"]}],
    }

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        # What this run has cancelled may not be visible yet. Per purchase or sale: its items, or None for all.
        self._cancelled: dict[OperationKey, frozenset[int] | None] = {}
        self._claims = Claims(self.name, context)

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        given = [kind for kind in _KINDS.values() if has_value(record, kind.key_field)]
        if not given:
            raise MissingKeyError("purchaseId.missing", "neither purchaseId nor saleId is given")
        if len(given) > 1:
            raise RecordError("saleId.surplus", "purchaseId and saleId are given; give the one that is to be cancelled")
        [kind] = given
        key = OperationKey(kind.resource, None, "id", id_in(record, kind.key_field))
        return (WriteOperation(self, Route(self.name, API), key, {"ids": sorted({*ids_in(record, "ids")})}),)

    @override
    def batch_limit(self, route: Route) -> int:
        return LARGEST_BATCH

    @override
    def merged(self, earlier: Record, later: Record) -> Record:
        ids = (earlier["ids"], later["ids"])
        return {"ids": sorted({*ids[0], *ids[1]}) if all(ids) else []}  # the items of both are to be cancelled

    @override
    def already_done(self, operations: Sequence[WriteOperation]) -> Sequence[WriteOperation]:
        self._claims.claim(operations)
        left = self._left(operations)
        for operation in operations:
            operation.payload = left.get(operation, operation.payload)
        return self._claims.settle(operations, left)

    @override
    def calls(self, operations: Sequence[WriteOperation]) -> Iterator[Sequence[WriteOperation]]:
        return self._claims.calls(operations)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        operation = operations[0]
        key, kind = operation.key, _KINDS[operation.key.resource]
        path = f"{kind.resource}/{key.value}/cancel.json"
        wanted = operation.payload["ids"]  # all of it is cancelled afterwards, by this call or found by a look
        self._claims.make(
            operation,
            lambda begin: self._write_once(kind.method, path, {**operation.payload, **kind.constants}, begin=begin),
            lambda: self._is_cancelled(operation),
        )
        before = self._cancelled.get(key, frozenset())
        self._cancelled[key] = before | frozenset(wanted) if wanted and before is not None else None

    def _is_cancelled(self, operation: WriteOperation) -> bool:
        """Look again; what is left of the operation becomes its payload."""
        left = self._left([operation])
        operation.payload = left.get(operation, operation.payload)
        return operation not in left

    def _left(self, operations: Sequence[WriteOperation]) -> dict[WriteOperation, Record]:
        """The operations of which something is not cancelled yet, and the payload that cancels it."""
        left = {}
        for resource, kind in _KINDS.items():
            own = [operation for operation in operations if operation.key.resource == resource]
            if not own:
                continue
            rows = self._owners(kind, {str(operation.key.value) for operation in own})
            items = self._items(kind, sorted(rows))
            for operation in own:
                ids = self._ids_left(operation, rows.get(str(operation.key.value)), items[str(operation.key.value)])
                if ids is not None:
                    left[operation] = {"ids": ids}
        return left

    def _ids_left(self, operation: WriteOperation, row: Record | None, items: Mapping[int, bool]) -> list[int] | None:
        """The items that are to be cancelled, empty for all; None if nothing is left.

        Args:
            operation: The operation.
            row: The purchase or sale; None if there is none.
            items: Its items that are shown, and whether each is cancelled.
        """
        wanted: list[int] = operation.payload["ids"]
        own = self._cancelled.get(operation.key, frozenset())
        if row is None:
            return wanted  # the response tells that it does not exist
        if own is None or row.get("cancellationStatus") == "full" or row.get("cancelled") is True:
            return None
        left = [item for item in wanted or sorted(items) if not items.get(item) and item not in own]
        if not left and (wanted or items):
            return None
        return [] if not wanted and len(left) == len(items) else left

    def _owners(self, kind: _Kind, ids: set[str]) -> dict[str, Record]:
        found = dict(shown_rows(self._session, kind.resource, "id", ids))
        for missing in sorted(ids - found.keys()):  # a server may cut a list; one row comes or does not exist
            try:
                row = self._session.get(f"{kind.resource}/{missing}.json").body
            except NotFoundError:
                continue
            if isinstance(row, dict):
                found[missing] = row
        return found

    def _items(self, kind: _Kind, owner_ids: Sequence[str]) -> defaultdict[str, dict[int, bool]]:
        """The items of each purchase or sale, and whether they are cancelled."""
        found: defaultdict[str, dict[int, bool]] = defaultdict(dict)
        if owner_ids:
            where = {kind.key_field: {"$in": owner_ids} if len(owner_ids) > 1 else owner_ids[0]}
            for row in self._rows(kind.items, (kind.key_field, "quantity", "quantityCancelled"), where):
                quantity, cancelled = _number(row.get("quantity")), _number(row.get("quantityCancelled"))
                found[str(row.get(kind.key_field))][int(row["id"])] = cancelled >= quantity
        return found


def _number(value: object) -> int:
    return id_of(value) or 0
