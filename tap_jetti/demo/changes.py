"""What happens in the company between the two reads."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_jetti.sandbox import Sandbox

    Row = dict[str, object]

UPDATED = 0.05
INSERTED = 0.02
MASS_UPDATED = 0.6
"""Shares of a stream's rows."""

NEW = ("customers", "sales", "sale_items", "transactions")
EDITED = {
    "dropship_providers": "commissionRate",
    "purchase_items": "price",
    "purchases": "adminNotes",
    "sales": "total",
    "variants": "costPrice",
}
"""The field that is changed."""

MASS = "inventory_feed_variants"
"""A feed import: most variants get one and the same updatedAt."""

DATE_HEADER_SECONDS = 1.0
"""How coarse the clock is that a server tells: changes of the running second may belong to the next read."""


def change(sandbox: Sandbox) -> dict[str, int]:
    """Add rows, edit rows and update most rows of one stream at once; answers how many of each stream."""
    changed: Counter[str] = Counter()
    for name, field in EDITED.items():
        for row in sandbox.rows(name)[:: round(1 / UPDATED)]:
            sandbox.upsert(name, {"id": row["id"], field: "Called." if field == "adminNotes" else row["id"] / 100})
            changed[name] += 1
    for name in NEW:
        for row in sandbox.rows(name)[:: round(1 / INSERTED)]:
            sandbox.upsert(name, _copy(row))
            changed[name] += 1
    ids = [row["id"] for row in sandbox.rows(MASS)]
    changed[MASS] += sandbox.touch(MASS, ids[: round(len(ids) * MASS_UPDATED)])
    time.sleep(DATE_HEADER_SECONDS)
    return dict(changed)


def _copy(row: Row) -> Row:
    return {field: value for field, value in row.items() if field not in {"id", "createdAt", "updatedAt"}}
