"""The parts of an order: the lines of a sale, and the purchases from providers that fulfil them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Line:
    """One item of a sale."""

    id: int
    sale: int
    variant: int
    quantity: int
    dropshipped: bool
    price: float


@dataclass
class Purchase:
    """The lines of one sale that one provider is to ship."""

    id: int
    sale: int
    provider: int
    shipped: bool
    lines: list[tuple[int, Line]] = field(default_factory=list)
    """Ids of purchase items, each with the line of the sale that it belongs to."""
