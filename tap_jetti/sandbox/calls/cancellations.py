"""Cancelling a purchase or a sale: each call adds a sale return, also if everything is cancelled already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.sandbox.calls import validation
from tap_jetti.sandbox.data import timestamps
from tap_jetti.sandbox.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_jetti.sandbox.data.account import Account
    from tap_jetti.sandbox.data.documents import Document


def cancel_purchase(account: Account, purchase_id: int, body: object) -> Document:
    """Cancel items of a purchase, by default all; returns the sale return.

    Raises:
        Problem: The purchase or an item does not exist.
    """
    fields = validation.as_object(body)
    purchase = account.get("purchases", purchase_id)
    owner = {"purchaseId": purchase_id, "saleId": purchase.get("saleId")}
    # `cancelled` of a purchase stays false; cancellationStatus tells.
    return _cancel(account, "purchase", owner, fields, counts=fields.get("setQuantities") is True)


def cancel_sale(account: Account, sale_id: int, body: object) -> list[Document]:
    """Cancel items of a sale, by default all; returns the sale returns.

    Raises:
        Problem: The sale or an item does not exist.
    """
    fields = validation.as_object({} if body is None else body)
    account.get("sales", sale_id)
    returned = _cancel(account, "sale", {"saleId": sale_id}, fields, counts=not fields.get("skipQuantities"))
    if account.get("sales", sale_id)["cancellationStatus"] == "full":
        account.update("sales", sale_id, {"cancelled": True})
    return [returned]


def _cancel(account: Account, kind: str, owner: Document, fields: Mapping[str, Any], *, counts: bool) -> Document:
    owner_key, item_key = f"{kind}Id", f"{kind}ItemId"
    rows = account.database.find(f"{kind}_items", **{owner_key: owner[owner_key]})
    items = {row.id: account.document(row) for row in rows}
    ids = fields.get("ids") or sorted(items)
    if not isinstance(ids, list) or not set(ids) <= set(items):
        raise Problem(422, f"api.{kind}s.cancel.items_missing", f"The {kind} does not have these items.")
    with account.database.transaction():
        status = fields.get("status") or "cancelled"
        returned = account.create("sale_returns", {**owner, "status": status})
        for row_id in ids:
            quantity = items[row_id].get("quantity") or 0
            account.create(
                "sale_return_items", {"saleReturnId": returned["id"], item_key: row_id, "quantityCancelled": quantity}
            )
            if counts:
                account.update(f"{kind}_items", row_id, {"quantityCancelled": quantity})
        is_full = all(row_id in ids or _is_cancelled(item) for row_id, item in items.items())
        cancelled: Document = {"cancellationStatus": "full" if is_full else "partial"}
        if is_full:
            cancelled["cancelledAt"] = timestamps.format_millis(account.now_micros())
        account.update(f"{kind}s", owner[owner_key], cancelled)
    return returned


def _is_cancelled(item: Document) -> bool:
    return (item.get("quantityCancelled") or 0) >= (item.get("quantity") or 0)
