"""What the orders of the company are made of: lines of sales and purchases of them."""

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
    """What one provider is asked to ship of one sale."""

    id: int
    sale: int
    provider: int
    shipped: bool
    lines: list[tuple[int, Line]] = field(default_factory=list)
    """The ids of the purchase items and what they are of."""
