"""The plan of all orders: which sale has which lines, who ships them, and what follows."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_jetti.sandbox.company.company import MIN_ROWS, Company

if TYPE_CHECKING:
    from tap_jetti.sandbox.company.catalogue import Catalogue

_DROPSHIPPED_SHARE = 0.75
_SHIPPED_SHARE = 0.8
_INVOICED_SHARE = 0.5
_RETURNED_SHARE = 0.07


@dataclass(frozen=True)
class Line:
    """One item of a sale."""

    id: int
    sale: int
    variant: int
    quantity: int
    dropshipped: bool
    price: float


@dataclass(frozen=True)
class PurchaseItem:
    """One item of a purchase, and the line of the sale that it is bought for."""

    id: int
    line: Line


@dataclass
class Purchase:
    """The lines of one sale that one provider is to ship."""

    id: int
    sale: int
    provider: int
    shipped: bool
    items: list[PurchaseItem] = field(default_factory=list)


class OrderPlan:
    """Sales, purchases and shipments, before any row of them is added."""

    def __init__(self, company: Company, catalogue: Catalogue) -> None:
        """Plan all orders, and set the number of their rows in ``company.counts``."""
        self._company = company
        self._catalogue = catalogue
        self._line_ids = itertools.count(1)
        self._purchase_item_ids = itertools.count(1)
        rng = company.random
        self.purchases: list[Purchase] = []
        self.lines = {sale: self._plan_sale(sale) for sale in range(1, company.counts["sales"] + 1)}
        """The lines of each sale."""
        self.shipped = [purchase for purchase in self.purchases if purchase.shipped]
        self.fulfilled = {
            sale: [line for line in lines if not line.dropshipped]
            for sale, lines in self.lines.items()
            if any(not line.dropshipped for line in lines) and (sale <= MIN_ROWS or rng.random() < _SHIPPED_SHARE)
        }
        """The lines of each sale that the company ships itself."""
        self.returned = self._some_shipped(_RETURNED_SHARE)
        self.invoiced = self._some_shipped(_INVOICED_SHARE)
        self.tracking_events = [rng.randint(1, 2) for _ in self.shipped]
        """The number of tracking events of each shipped purchase."""
        company.counts |= self._counts()

    def _plan_sale(self, sale: int) -> list[Line]:
        """Plan the lines of a sale, and one purchase for each of its providers."""
        rng = self._company.random
        purchases: dict[int, Purchase] = {}
        lines = []
        size = rng.choices((1, 2, 3), (6, 3, 1))[0]
        # The first sales have a dropshipped and a fulfilled line, so that every resource gets rows.
        first = sale <= MIN_ROWS
        for number in range(max(size, 2) if first else size):
            line = Line(
                id=next(self._line_ids),
                sale=sale,
                variant=rng.randint(1, self._company.counts["variants"]),
                quantity=rng.randint(1, 4),
                dropshipped=number == 0 if first else rng.random() < _DROPSHIPPED_SHARE,
                price=rng.randrange(500, 20_000) / 100,
            )
            lines.append(line)
            if line.dropshipped:
                provider = self._catalogue.provider(line.variant)
                if provider not in purchases:
                    shipped = first or rng.random() < _SHIPPED_SHARE
                    purchases[provider] = Purchase(len(self.purchases) + 1, sale, provider, shipped)
                    self.purchases.append(purchases[provider])
                purchases[provider].items.append(PurchaseItem(next(self._purchase_item_ids), line))
        return lines

    def _some_shipped(self, share: float) -> list[Purchase]:
        rng = self._company.random
        return [purchase for number, purchase in enumerate(self.shipped) if number < MIN_ROWS or rng.random() < share]

    def _counts(self) -> dict[str, int]:
        return {
            "sale_items": sum(map(len, self.lines.values())),
            "purchases": len(self.purchases),
            "purchase_items": _items(self.purchases),
            "dropshipments": len(self.shipped),
            "dropshipment_items": _items(self.shipped),
            "transactions": len(self.shipped),
            "tracking_events": sum(self.tracking_events),
            "fulfillments": len(self.fulfilled),
            "fulfillment_items": sum(map(len, self.fulfilled.values())),
            "return_shipments": len(self.returned),
            "sale_returns": len(self.returned),
            "sale_return_items": len(self.returned),
            "sale_invoices": len(self.invoiced),
            "purchase_invoices": len(self.invoiced),
            "purchase_invoice_items": _items(self.invoiced),
        }


def _items(purchases: list[Purchase]) -> int:
    return sum(len(purchase.items) for purchase in purchases)
