"""Changes the rows of the sandbox between the two syncs."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_jetti.sandbox import Sandbox

    Row = dict[str, object]

UPDATED = 0.05
"""Share of the rows of a stream in `EDITED` that are updated."""

INSERTED = 0.02
"""How many rows are added to a stream in `NEW`, as a share of those that it has."""

MASS_UPDATED = 0.6
"""Share of the rows of `MASS` that are updated."""

NEW = ("customers", "sales", "sale_items", "transactions")
EDITED = {
    "dropship_providers": "commissionRate",
    "purchase_items": "price",
    "purchases": "adminNotes",
    "sales": "total",
    "variants": "costPrice",
}
"""The field that is changed, by stream."""

MASS = "inventory_feed_variants"
"""The stream that is updated as by a feed import: most rows get the same updatedAt."""

DATE_HEADER_SECONDS = 1.0
"""Resolution of the Date header. Rows changed in the current second may belong to the next sync, so it has to pass."""


def change(sandbox: Sandbox) -> dict[str, int]:
    """Add rows, edit rows, and update most rows of one stream at once. Returns the number of changed rows by stream."""
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
