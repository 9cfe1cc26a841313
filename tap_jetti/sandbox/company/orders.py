"""The orders of the company: sales, and all rows that follow from them, down to tracking events."""

from __future__ import annotations

from tap_jetti.sandbox.company.catalogue import STATUSES, Catalogue
from tap_jetti.sandbox.company.company import MIN_ROWS, Company
from tap_jetti.sandbox.company.order_lines import Line, Purchase

_DROPSHIPPED = 0.75
_SHIPPED = 0.8
_INVOICED = 0.5
_RETURNED = 0.07
_DEVIATING_STATUS = 0.3


class Orders:
    """The orders of a company."""

    def __init__(self, company: Company, catalogue: Catalogue) -> None:
        """Generate sales and purchases, so that all counts are known before the first row is added."""
        self._company = company
        rng = company.random
        self._lines: dict[int, list[Line]] = {}
        self._purchases: list[Purchase] = []
        lines = purchase_items = 0
        for sale in range(1, company.counts["sales"] + 1):
            by_provider: dict[int, Purchase] = {}
            self._lines[sale] = []
            size = rng.choices((1, 2, 3), (6, 3, 1))[0]
            # The first sales have a dropshipped and a fulfilled line, so that every resource gets rows.
            first = sale <= MIN_ROWS
            for number in range(max(size, 2) if first else size):
                lines += 1
                variant = rng.randint(1, company.counts["variants"])
                line = Line(
                    lines,
                    sale,
                    variant,
                    rng.randint(1, 4),
                    number == 0 if first else rng.random() < _DROPSHIPPED,
                    rng.randrange(500, 20_000) / 100,
                )
                self._lines[sale].append(line)
                if line.dropshipped:
                    provider = catalogue.provider(variant)
                    if provider not in by_provider:
                        by_provider[provider] = Purchase(
                            len(self._purchases) + 1,
                            sale,
                            provider,
                            first or rng.random() < _SHIPPED,
                        )
                        self._purchases.append(by_provider[provider])
                    purchase_items += 1
                    by_provider[provider].lines.append((purchase_items, line))
        self._shipped = [purchase for purchase in self._purchases if purchase.shipped]
        self._fulfilled = [
            (sale, [line for line in own if not line.dropshipped])
            for sale, own in self._lines.items()
            if any(not line.dropshipped for line in own) and (sale <= MIN_ROWS or rng.random() < _SHIPPED)
        ]
        self._returned = self._some_shipped(_RETURNED)
        self._invoiced = self._some_shipped(_INVOICED)
        self._events = [rng.randint(1, 2) for _ in self._shipped]
        company.counts |= {
            "sale_items": lines,
            "purchases": len(self._purchases),
            "purchase_items": purchase_items,
            "dropshipments": len(self._shipped),
            "dropshipment_items": sum(len(purchase.lines) for purchase in self._shipped),
            "transactions": len(self._shipped),
            "tracking_events": sum(self._events),
            "fulfillments": len(self._fulfilled),
            "fulfillment_items": sum(len(own) for _, own in self._fulfilled),
            "return_shipments": len(self._returned),
            "sale_returns": len(self._returned),
            "sale_return_items": len(self._returned),
            "sale_invoices": len(self._invoiced),
            "purchase_invoices": len(self._invoiced),
            "purchase_invoice_items": sum(len(purchase.lines) for purchase in self._invoiced),
        }

    def _some_shipped(self, share: float) -> list[Purchase]:
        rng = self._company.random
        return [purchase for number, purchase in enumerate(self._shipped) if number < MIN_ROWS or rng.random() < share]

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
        for sale, lines in self._lines.items():
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
        for purchase in self._purchases:
            deviating = rng.random() < _DEVIATING_STATUS
            names = ("shipped", "notShipped") if deviating else ("received", "notReceived")
            company.add(
                "purchases",
                purchase.id,
                saleId=purchase.sale,
                dropshipProviderId=purchase.provider,
                purchaseStatusId=rng.randint(1, len(STATUSES)),
                purchaseType="dropship",
                isDropship=True,
                quantity=sum(line.quantity for _, line in purchase.lines),
                inventoryStatus=names[0] if purchase.shipped else names[1],
                cancelled=False,
                cancellationStatus="none",
            )
            for row_id, line in purchase.lines:
                company.add(
                    "purchase_items",
                    row_id,
                    purchaseId=purchase.id,
                    saleItemId=line.id,
                    variantId=line.variant,
                    quantity=line.quantity,
                )

    def _add_shipments(self) -> None:
        company = self._company
        items = events = 0
        for row_id, purchase in enumerate(self._shipped, 1):
            company.add(
                "dropshipments",
                row_id,
                purchaseId=purchase.id,
                saleId=purchase.sale,
                inventoryStatus="shipped",
                trackingNumber=f"TRACK{row_id:08d}",
            )
            for purchase_item, line in purchase.lines:
                items += 1
                company.add(
                    "dropshipment_items",
                    items,
                    dropshipmentId=row_id,
                    purchaseItemId=purchase_item,
                    saleItemId=line.id,
                    quantity=line.quantity,
                )
            company.add(
                "transactions",
                row_id,
                dropshipmentId=row_id,
                fulfillmentId=None,
                returnShipmentId=None,
                saleReturnId=None,
            )
            for _ in range(self._events[row_id - 1]):
                events += 1
                company.add("tracking_events", events, transactionId=row_id)

    def _add_fulfillments(self) -> None:
        items = 0
        for row_id, (sale, lines) in enumerate(self._fulfilled, 1):
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
        for row_id, purchase in enumerate(self._returned, 1):
            purchase_item, line = purchase.lines[0]
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
                saleItemId=line.id,
                purchaseItemId=purchase_item,
                quantity=1,
            )

    def _add_invoices(self) -> None:
        company = self._company
        items = 0
        for row_id, purchase in enumerate(self._invoiced, 1):
            company.add("purchase_invoices", row_id, purchaseId=purchase.id)
            company.add("sale_invoices", row_id, saleId=purchase.sale)
            for purchase_item, line in purchase.lines:
                items += 1
                company.add(
                    "purchase_invoice_items",
                    items,
                    purchaseInvoiceId=row_id,
                    purchaseItemId=purchase_item,
                    quantity=line.quantity,
                )


def generate(company: Company) -> None:
    """Add all rows of a company: its catalogue, its orders and some rows of every other resource."""
    catalogue = Catalogue(company)
    orders = Orders(company, catalogue)
    catalogue.add()
    orders.add()
    company.add_rest()
