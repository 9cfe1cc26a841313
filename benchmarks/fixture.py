"""The rows that are read. Both servers give the same ones."""

from __future__ import annotations

import random
import re
from datetime import datetime, timedelta, timezone
from typing import Any

RESOURCE = "inventory_feed_variants"
"""The stream that is read where only one is read."""

SECOND_RESOURCES = ("customers", "purchases", "sales")
"""The streams of the other three processes that share a token."""

BUSINESS = (
    "channels",
    "customers",
    "dropship_providers",
    "dropshipment_items",
    "dropshipments",
    "fulfillment_items",
    "fulfillments",
    "inventory_feed_variants",
    "inventory_feeds",
    "products",
    "purchase_invoices",
    "purchase_items",
    "purchase_statuses",
    "purchases",
    "sale_invoices",
    "sale_items",
    "sale_return_items",
    "sale_returns",
    "sales",
    "tracking_events",
    "transactions",
    "transfers",
    "variants",
    "vendors",
    "warehouses",
)
"""The 25 streams that tap-jetti reads by default."""

INCREMENTAL = (
    *(stream for stream in BUSINESS if stream not in {"purchase_invoices", "sale_invoices"}),
    "purchase_return_items",
    "purchase_returns",
)
"""25 streams that are read by updatedAt: those of `BUSINESS`, but for the two whose dates may be null."""

PAGE = 100
"""Rows per page: the largest page that a client of Jetti is known to have asked for."""

LARGEST_PAGE = 1000
"""Rows of the largest page that tap-jetti asks for by default, where the server gives it."""

TOKEN = "bench-token"  # noqa: S105 - of a server on this machine

STEP = 30
"""Seconds between the updatedAt of two rows: no two are equal."""

KINDS = 1000
"""The number of different rows, not counting id and updatedAt; then they repeat."""

_FIRST = datetime(2024, 1, 1, tzinfo=timezone.utc)
_WORDS = re.findall(
    r"\S+",
    "blue cotton shirt organic slim linen wool jacket summer winter outdoor bottle steel café garden lamp oak chair "
    "table set of four washable natural light medium heavy waterproof kids classic edition refill travel size",
)


def shown(instant: datetime) -> str:
    """A date as the API writes it."""
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03d}Z"


def updated_at(number: int) -> str:
    """The updatedAt of a row, counted from 0; its id is one more."""
    return shown(_FIRST + timedelta(seconds=STEP * number))


def index_of(instant: str) -> float:
    """The number of the row with this updatedAt; a fraction if it lies between two rows."""
    parsed = datetime.fromisoformat(instant.replace("Z", "+00:00"))
    return (parsed - _FIRST).total_seconds() / STEP


def narrow_row(number: int) -> dict[str, Any]:
    """A row of the four fields that every resource has, for reads that the rate limit decides."""
    return {"id": number + 1, "companyId": 7, "createdAt": shown(_FIRST), "updatedAt": updated_at(number)}


def wide_fields(kind: int) -> dict[str, Any]:
    """The fields of a wide row except id and updatedAt. With these it has 40 fields and 1.5 KB."""
    chance = random.Random(kind)  # noqa: S311 - not for secrets

    def words(count: int) -> str:
        return " ".join(chance.choices(_WORDS, k=count))

    def instant() -> str:
        return shown(_FIRST - timedelta(milliseconds=chance.randrange(10**10)))

    sku = f"SKU-{chance.randrange(10**8):08d}"
    cost = chance.randrange(100, 20000)
    row: dict[str, Any] = {
        "allocationBufferOverride": None,
        "barcode": f"{chance.randrange(10**13):013d}",
        "cachedCompareAtPrice": None,
        "cachedHandle": words(3).replace(" ", "-"),
        "cachedName": words(4),
        "cachedRetailPrice": f"{cost / 50:.2f}",
        "cachedTags": chance.sample(_WORDS, 3),
        "changesPending": False,
        "companyId": 7,
        "compareAtPrice": cost * 3 / 100,
        "costPrice": cost / 100,
        "countryOfOrigin": "PT",
        "createdAt": instant(),
        "description": "",
        "externalId": sku,
        "externalUrl": f"https://shop.example.com/products/{sku.lower()}",
        "grams": chance.randrange(50, 5000),
        "handle": words(3).replace(" ", "-"),
        "hash": f"{chance.getrandbits(128):032x}",
        "hsCode": "610910",
        "images": [f"https://cdn.example.com/{sku}-{side}.jpg" for side in ("front", "back")],
        "inventoryFeedId": 12,
        "inventoryPolicy": "deny",
        "inventoryQuantity": chance.randrange(500),
        "inventoryUpdatedAt": instant(),
        "lastFetchedAt": instant(),
        "manualInventoryPolicy": False,
        "mpn": None,
        "name": words(5),
        "options": [{"name": "Size", "value": "M"}, {"name": "Color", "value": "Blue"}],
        "position": 1,
        "productType": words(1),
        "requiresShipping": True,
        "retailPrice": cost / 50,
        "status": "active",
        "taxable": True,
        "variantId": chance.randrange(10**6),
        "vendorSku": sku,
    }
    row["description"] = words(80)[:285]
    return row


def wide_row(number: int) -> dict[str, Any]:
    """A row of 40 fields."""
    return {"id": number + 1, "updatedAt": updated_at(number), **wide_fields(number % KINDS)}
