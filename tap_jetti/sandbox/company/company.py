"""The company that the sandbox starts with: consistent, skewed in time, the same per seed."""

from __future__ import annotations

import random
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

from tap_jetti.facts import resources
from tap_jetti.sandbox.company.plausible import Plausible
from tap_jetti.sandbox.data import documents, models

if TYPE_CHECKING:
    from tap_jetti.sandbox.data.account import Account
    from tap_jetti.sandbox.data.database import Row
    from tap_jetti.sandbox.data.documents import Document

_DAY = 86_400_000_000
_TEMPLATES = 16
_FEW = 12
FEWEST = 3
"""Rows that a resource has at least."""

_EMPTY_KEYS = 0.3
_BURSTS = 0.15

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
"""Rows at scale 1; a resource that is not here has a dozen, or as many as the orders need."""


class Company:
    """Rows on their way into an account."""

    def __init__(self, account: Account) -> None:
        """Plan the company of an account's options; its dates end with the day before now."""
        options = account.options
        self.random = random.Random(f"company {options.seed}")  # noqa: S311 - not for secrets
        self.now = account.now_micros() // _DAY * _DAY
        self.counts = {name: max(FEWEST, round(SIZES.get(name, _FEW) * options.scale)) for name in resources.names()}
        self._null_dates = options.null_dates
        self._microseconds = options.microseconds
        self._plausible = Plausible(self.random, self.now, _TEMPLATES)
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._bursts = [self.skewed() for _ in range(_FEW)]

    def add(self, resource: str, row_id: int, updated: int | None = None, **fields: object) -> None:
        """Add one row: plausible values, foreign keys that resolve, and these fields."""
        chance = self.random
        document: Document = {**self._plausible.document(resource, row_id), **fields}
        for key, target, kind in _foreign_keys(resource):
            if key not in fields and chance.random() >= _EMPTY_KEYS:
                document[key] = kind(1 + int(chance.random() * self.counts[target]))
        if resources.replication_key(resource) is None and chance.random() < self._null_dates:
            self._rows[resource].append(documents.row(resource, document, None, None))
            return
        if updated is None:
            updated = chance.choice(self._bursts) if chance.random() < _BURSTS else self.skewed()
        created = updated - int(chance.random() ** 2 * 200 * _DAY)
        if not self._microseconds:
            updated, created = updated // 1000 * 1000, created // 1000 * 1000
        self._rows[resource].append(documents.row(resource, document, updated, created))

    def skewed(self) -> int:
        """An instant of the last year, most likely a recent one."""
        return self.now - 1 - int(self.random.random() ** 4 * 365 * _DAY)

    def add_rest(self) -> None:
        """Add rows to every resource that has none."""
        for name in resources.names():
            if name not in self._rows:
                for row_id in range(1, self.counts[name] + 1):
                    self.add(name, row_id)

    def store(self, account: Account) -> None:
        """Write all rows to the account."""
        with account.database.transaction():
            for name, rows in self._rows.items():
                account.database.put(name, rows)


@cache
def _foreign_keys(resource: str) -> list[tuple[str, str, type[int | str]]]:
    """The keys to other resources, where they lead and the type of their values."""
    kinds = models.kinds(resource)
    return [
        (key, target, str if kinds[key] == "string" else int)
        for key, target in resources.references(resource).items()
        if target != resource
    ]
