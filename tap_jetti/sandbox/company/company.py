"""The company that the sandbox starts with: consistent, most rows recent, the same for the same seed."""

from __future__ import annotations

import random
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

from tap_jetti.facts import resources
from tap_jetti.sandbox.company.sample_values import SampleValues
from tap_jetti.sandbox.data import documents, models

if TYPE_CHECKING:
    from tap_jetti.sandbox.data.account import Account
    from tap_jetti.sandbox.data.database import Row
    from tap_jetti.sandbox.data.documents import Document

_DAY = 86_400_000_000
_TEMPLATES = 16
_DEFAULT_ROWS = 12
MIN_ROWS = 3
"""Minimum number of rows of a resource."""

_NULL_KEY_SHARE = 0.3
_BURST_SHARE = 0.15

SIZES = {
    "channel_products": 700,
    "channel_variants": 2000,
    "channel_variant_updates": 800,
    "comments": 300,
    "customers": 1200,
    "data_imports": 200,
    "dropship_providers": 40,
    "inventory_feed_variant_connections": 1500,
    "inventory_feed_variants": 5000,
    "inventory_feeds": 40,
    "prices": 2000,
    "products": 700,
    "sale_imports": 600,
    "sales": 3000,
    "transfers": 150,
    "users": 20,
    "variant_inventory_updates": 1000,
    "variant_warehouses": 2000,
    "variants": 2000,
    "vendors": 40,
    "webhook_payloads": 300,
}
"""Rows at scale 1. Other resources have `_DEFAULT_ROWS`, or as many as the orders need."""


class Company:
    """Collects the rows of a company and stores them in an account."""

    def __init__(self, account: Account) -> None:
        """Decide the number of rows of each resource; all timestamps are before the current day."""
        options = account.options
        self.random = random.Random(f"company {options.seed}")  # noqa: S311 - not for secrets
        self.now = account.now_micros() // _DAY * _DAY
        self.counts = {
            name: max(MIN_ROWS, round(SIZES.get(name, _DEFAULT_ROWS) * options.scale)) for name in resources.names()
        }
        self._null_dates = options.null_dates
        self._microseconds = options.microseconds
        self._samples = SampleValues(self.random, self.now, _TEMPLATES)
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._bursts = [self.recent_timestamp() for _ in range(_DEFAULT_ROWS)]

    def add(self, resource: str, row_id: int, updated: int | None = None, **fields: object) -> None:
        """Add one row: sample values, foreign keys that lead to existing rows, and the given fields."""
        rng = self.random
        document: Document = {**self._samples.document(resource, row_id), **fields}
        for key, target, kind in _foreign_keys(resource):
            if key not in fields and rng.random() >= _NULL_KEY_SHARE:
                document[key] = kind(1 + int(rng.random() * self.counts[target]))
        if resources.replication_key(resource) is None and rng.random() < self._null_dates:
            self._rows[resource].append(documents.build_row(resource, document, None, None))
            return
        if updated is None:
            updated = rng.choice(self._bursts) if rng.random() < _BURST_SHARE else self.recent_timestamp()
        created = updated - int(rng.random() ** 2 * 200 * _DAY)
        if not self._microseconds:
            updated, created = updated // 1000 * 1000, created // 1000 * 1000
        self._rows[resource].append(documents.build_row(resource, document, updated, created))

    def recent_timestamp(self) -> int:
        """A timestamp of the last year, most likely a recent one."""
        return self.now - 1 - int(self.random.random() ** 4 * 365 * _DAY)

    def add_rest(self) -> None:
        """Add rows to every resource that has none yet."""
        for name in resources.names():
            if name not in self._rows:
                for row_id in range(1, self.counts[name] + 1):
                    self.add(name, row_id)

    def store(self, account: Account) -> None:
        """Store all rows in the account."""
        with account.database.transaction():
            for name, rows in self._rows.items():
                account.database.put(name, rows)


@cache
def _foreign_keys(resource: str) -> list[tuple[str, str, type[int | str]]]:
    """The foreign keys to other resources: field, resource and the type of the values."""
    kinds = models.kinds(resource)
    return [
        (key, target, str if kinds[key] == "text" else int)
        for key, target in resources.references(resource).items()
        if target != resource
    ]
