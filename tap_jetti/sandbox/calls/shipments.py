"""Shipping a purchase: each call adds a dropshipment, its items and a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.sandbox.calls import validation
from tap_jetti.sandbox.http.problems import Problem

if TYPE_CHECKING:
    from tap_jetti.sandbox.data.account import Account
    from tap_jetti.sandbox.data.documents import Document


def ship(account: Account, purchase_id: int, body: object) -> Document:
    """Ship items of a purchase, by default all; returns the dropshipment.

    Raises:
        Problem: The purchase or an item does not exist, or a value is invalid.
    """
    fields = validation.as_object(body)
    purchase = account.get("purchases", purchase_id)
    shipped = validation.writable_fields("dropshipments", fields, strict=account.options.write_validation)
    items = {row.id: account.document(row) for row in account.database.find("purchase_items", purchaseId=purchase_id)}
    ids = fields.get("ids") or sorted(items)
    if not isinstance(ids, list) or not set(ids) <= set(items):
        raise Problem(422, "api.purchases.ship.items_missing", "The purchase does not have these items.")
    with account.database.transaction():
        dropshipment = account.create(
            "dropshipments",
            {
                "inventoryStatus": "shipped",
                "importSource": "api",
                "source": "sale",
                **shipped,
                "purchaseId": purchase_id,
                "saleId": purchase.get("saleId"),
            },
        )
        for row_id in ids:
            account.create(
                "dropshipment_items",
                {
                    "dropshipmentId": dropshipment["id"],
                    "purchaseItemId": row_id,
                    "saleItemId": items[row_id].get("saleItemId"),
                    "quantity": items[row_id].get("quantity"),
                    "source": "sale_item",
                },
            )
        account.create(
            "transactions",
            {"dropshipmentId": dropshipment["id"], "amount": 0, "status": "complete"},
        )
        account.update("purchases", purchase_id, {"inventoryStatus": "shipped"})
    return dropshipment
