"""How much of the room for what is held ahead a row takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import msgspec

PLACE = 6500
"""Bytes of a row for each place that it takes: most rows take one."""


def places_of(rows: Iterable[msgspec.Raw]) -> int:
    """The places that rows take which are not decoded: so many places bound their number and their bytes alike."""
    return sum(1 + len(memoryview(row)) // PLACE for row in rows)


def places_of_page(rows: int, size: int) -> int:
    """The places that an answer of so many rows and bytes takes if these are alike."""
    return rows * (1 + size // (rows or 1) // PLACE)
