"""Whether to look keys up, to read what changed, or to read the whole feed: whichever takes fewer GETs."""

from __future__ import annotations

import math

KEYS_PER_LOOKUP = 100
"""Keys in one look-up."""

FREE_LOOKUPS = 2
"""So many look-ups are made without asking what else it would take."""

REFRESH_GETS = 3
"""GETs of a refresh besides its pages: two counts and the sample."""

FULL_READ_GETS = 7
"""GETs of a full read besides its pages: its end, the newest id, and the refresh that follows."""


def lookups_for(keys: int) -> int:
    """Return the GETs that it takes to look up so many keys."""
    return math.ceil(keys / KEYS_PER_LOOKUP)


def refresh_price(rows: int, page_rows: int, *, is_full: bool) -> int:
    """Return the GETs of a refresh that gives so many rows."""
    return math.ceil(rows / page_rows) + (FULL_READ_GETS if is_full else REFRESH_GETS)


def is_lookup_cheaper(keys: int, price: int, *, is_end: bool, spent: int) -> bool:
    """Whether to look up keys instead of paying the price of a refresh.

    As long as more keys may come, look-ups go on until they have cost as much as the refresh. So never more than twice
    the best is spent, however many keys come.

    Args:
        keys: The number of keys to look up now.
        price: The price of a refresh in GETs.
        is_end: Whether the input has ended.
        spent: The look-ups of this feed so far.
    """
    lookups = lookups_for(keys)
    if is_end:
        return lookups <= price
    return price > 2 * lookups and spent + lookups <= price
