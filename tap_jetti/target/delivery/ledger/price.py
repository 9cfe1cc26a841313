"""Whether to look keys up, to read what changed, or to read the whole feed: whichever takes fewer GETs."""

from __future__ import annotations

import math
from dataclasses import dataclass

KEYS_PER_LOOKUP = 100
"""Keys in one look-up."""

FREE_LOOKUPS = 2
"""So many look-ups are made without asking what else it would take."""

FEW_LOOKUPS = 10
"""So many look-ups per run are cheap enough to be made in every run."""

WORTH = 15
"""A refresh may take so many times the GETs of the look-ups that it saves now, if the input goes on."""

REFRESH_GETS = 3
"""GETs of a refresh besides its pages: two counts and the sample."""

FULL_READ_GETS = 7
"""GETs of a full read besides its pages: its end, the newest id, and the refresh that follows."""


def lookups_for(keys: int) -> int:
    """Return the GETs that it takes to look up so many keys."""
    return math.ceil(keys / KEYS_PER_LOOKUP)


@dataclass(frozen=True)
class RefreshPrice:
    """What a refresh of the mirror takes.

    Attributes:
        rows: The rows that it gives.
        gets: The GETs that it takes.
    """

    rows: int
    gets: int

    @classmethod
    def of(cls, rows: int, page_rows: int, *, is_full: bool) -> RefreshPrice:
        """Return the price of reading so many rows in pages of a size."""
        return cls(rows, math.ceil(rows / page_rows) + (FULL_READ_GETS if is_full else REFRESH_GETS))


def is_lookup_cheaper(keys: int, price: RefreshPrice, *, is_end: bool, earlier: int) -> bool:
    """Whether to look up keys instead of paying the price of a refresh.

    A refresh also makes the next run cheap. So it is made as soon as the run has asked for half as many keys as it
    gives rows, unless these are few. As long as more keys may come, a refresh may take `WORTH` times as much as the
    look-ups. So less than twice the best is spent on a feed that comes whole, however many keys it has.

    Args:
        keys: The number of keys to look up now.
        price: The price of a refresh.
        is_end: Whether the input has ended.
        earlier: The keys of this feed that were looked up in this run.
    """
    lookups, all_lookups = lookups_for(keys), lookups_for(keys + earlier)
    if price.gets < lookups:
        return False
    if all_lookups <= FEW_LOOKUPS:
        return True
    if 2 * (keys + earlier) >= price.rows:
        return False
    return is_end or price.gets > WORTH * lookups
