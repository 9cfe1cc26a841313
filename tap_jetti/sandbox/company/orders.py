"""The orders of the company: sales, and all rows that follow from them, down to tracking events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.sandbox.company.catalogue import STATUSES, Catalogue
from tap_jetti.sandbox.company.order_plan import OrderPlan

if TYPE_CHECKING:
    from tap_jetti.sandbox.company.company import Company

_DEVIATING_STATUS_SHARE = 0.3


class Orders:
    """Adds the rows of all orders of a company."""

    def __init__(self, company: Company, catalogue: Catalogue) -> None:
        """Plan the orders, so that all counts are known before the first row is added."""
        self._company = company
        self._plan = OrderPlan(company, catalogue)

    def add(self) -> None:
        """Add all rows of the orders."""
        self._add_sales()
        self._add_purchases()
        self._add_shipments()
        self._add_fulfillments()
        self._add_returns()
        self._add_invoices()

    def _add_sales(self) -> None:
        company = self._company
        for row_id in range(1, company.counts["customers"] + 1):
            company.add("customers", row_id)
        for sale, lines in self._plan.lines.items():
            total = round(sum(line.price * line.quantity for line in lines), 2)
            company.add(
                "sales",
                sale,
                channelId=1 + sale % company.counts["channels"],
                customerId=company.random.randint(1, company.counts["customers"]),
                quantity=sum(line.quantity for line in lines),
                subtotal=total,
                total=total,
                status="finalized",
            )
            for line in lines:
                company.add(
                    "sale_items",
                    line.id,
                    saleId=sale,
                    variantId=line.variant,
                    quantity=line.quantity,
                    price=line.price,
                    subtotal=round(line.price * line.quantity, 2),
                )

    def _add_purchases(self) -> None:
        company = self._company
        rng = company.random
        for purchase in self._plan.purchases:
            deviating = rng.random() < _DEVIATING_STATUS_SHARE
            names = ("shipped", "notShipped") if deviating else ("received", "notReceived")
            company.add(
                "purchases",
                purchase.id,
                saleId=purchase.sale,
                dropshipProviderId=purchase.provider,
                purchaseStatusId=rng.randint(1, len(STATUSES)),
                purchaseType="dropship",
                isDropship=True,
                quantity=sum(item.line.quantity for item in purchase.items),
                inventoryStatus=names[0] if purchase.shipped else names[1],
                cancelled=False,
                cancellationStatus="none",
            )
            for item in purchase.items:
                company.add(
                    "purchase_items",
                    item.id,
                    purchaseId=purchase.id,
                    saleItemId=item.line.id,
                    variantId=item.line.variant,
                    quantity=item.line.quantity,
                )

    def _add_shipments(self) -> None:
        company = self._company
        items = events = 0
        for row_id, purchase in enumerate(self._plan.shipped, 1):
            company.add(
                "dropshipments",
                row_id,
                purchaseId=purchase.id,
                saleId=purchase.sale,
                inventoryStatus="shipped",
                trackingNumber=f"TRACK{row_id:08d}",
            )
            for item in purchase.items:
                items += 1
                company.add(
                    "dropshipment_items",
                    items,
                    dropshipmentId=row_id,
                    purchaseItemId=item.id,
                    saleItemId=item.line.id,
                    quantity=item.line.quantity,
                )
            company.add(
                "transactions",
                row_id,
                dropshipmentId=row_id,
                fulfillmentId=None,
                returnShipmentId=None,
                saleReturnId=None,
            )
            for _ in range(self._plan.tracking_events[row_id - 1]):
                events += 1
                company.add("tracking_events", events, transactionId=row_id)

    def _add_fulfillments(self) -> None:
        items = 0
        for row_id, (sale, lines) in enumerate(self._plan.fulfilled.items(), 1):
            self._company.add("fulfillments", row_id, saleId=sale, inventoryStatus="shipped")
            for line in lines:
                items += 1
                self._company.add(
                    "fulfillment_items",
                    items,
                    fulfillmentId=row_id,
                    saleItemId=line.id,
                    quantity=line.quantity,
                )

    def _add_returns(self) -> None:
        company = self._company
        for row_id, purchase in enumerate(self._plan.returned, 1):
            item = purchase.items[0]
            company.add("return_shipments", row_id, purchaseId=purchase.id)
            company.add(
                "sale_returns",
                row_id,
                saleId=purchase.sale,
                purchaseId=purchase.id,
                returnShipmentId=row_id,
            )
            company.add(
                "sale_return_items",
                row_id,
                saleReturnId=row_id,
                saleItemId=item.line.id,
                purchaseItemId=item.id,
                quantity=1,
            )

    def _add_invoices(self) -> None:
        company = self._company
        items = 0
        for row_id, purchase in enumerate(self._plan.invoiced, 1):
            company.add("purchase_invoices", row_id, purchaseId=purchase.id)
            company.add("sale_invoices", row_id, saleId=purchase.sale)
            for item in purchase.items:
                items += 1
                company.add(
                    "purchase_invoice_items",
                    items,
                    purchaseInvoiceId=row_id,
                    purchaseItemId=item.id,
                    quantity=item.line.quantity,
                )


def generate(company: Company) -> None:
    """Add all rows of a company: its catalogue, its orders and some rows of every other resource."""
    catalogue = Catalogue(company)
    orders = Orders(company, catalogue)
    catalogue.add()
    orders.add()
    company.add_rest()
