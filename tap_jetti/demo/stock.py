"""The way back: changes stock in the warehouse, for ``target-jetti`` to write to Jetti."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from pathlib import Path

    from tap_jetti.sandbox import Sandbox

STREAM = "inventory_feed_variants"

CHANGED = 0.04
"""Share of the variants whose quantity changes."""

_PUSHED = (
    "FROM inventory_feed_variants WHERE inventoryFeedId IN"
    " (SELECT id FROM inventory_feeds WHERE resourceType = 'webhook')"
)
"""The variants that can be written: those of feeds that receive them by webhook."""

_SCHEMA: dict[str, Any] = {
    "type": "SCHEMA",
    "stream": STREAM,
    "schema": {
        "type": "object",
        "properties": {
            "externalId": {"type": "string"},
            "inventoryFeedId": {"type": "integer"},
            "inventoryQuantity": {"type": ["integer", "null"]},
        },
    },
    "key_properties": ["inventoryFeedId", "externalId"],
}


def change(warehouse: Path) -> int:
    """Change the quantity of some variants in the warehouse. Returns their number."""
    with duckdb.connect(str(warehouse)) as database:
        ids = [row[0] for row in database.execute(f"SELECT id {_PUSHED} ORDER BY id").fetchall()]
        chosen = ids[:: round(1 / CHANGED)]
        database.execute(
            "UPDATE inventory_feed_variants SET inventoryQuantity = coalesce(inventoryQuantity, 0) + 7"
            " WHERE id IN (SELECT unnest(?))",
            [chosen],
        )
    return len(chosen)


def messages(warehouse: Path) -> bytes:
    """All stock of the warehouse as Singer messages: the target finds out what has changed."""
    with duckdb.connect(str(warehouse), read_only=True) as database:
        rows = database.execute(
            f"SELECT externalId, inventoryFeedId, inventoryQuantity {_PUSHED} ORDER BY id"
        ).fetchall()
    names = tuple(_SCHEMA["schema"]["properties"])
    records = ({"type": "RECORD", "stream": STREAM, "record": dict(zip(names, row, strict=True))} for row in rows)
    state = {"type": "STATE", "value": {"rows": len(rows)}}
    return "\n".join(json.dumps(message) for message in (_SCHEMA, *records, state)).encode()


def differing(sandbox: Sandbox, warehouse: Path) -> int:
    """The number of variants whose quantity in Jetti differs from that in the warehouse."""
    with duckdb.connect(str(warehouse), read_only=True) as database:
        stored = dict(database.execute(f"SELECT id, inventoryQuantity FROM {STREAM}").fetchall())  # noqa: S608
    shown = {row["id"]: row.get("inventoryQuantity") for row in sandbox.rows(STREAM)}
    return sum(shown.get(key) != stored.get(key) for key in shown.keys() | stored.keys())
