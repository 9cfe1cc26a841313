"""Churn: rows that change while they are read, as in a company at work."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_jetti.sandbox.data.account import Account

_INTERVAL = 0.05
_KINDS = {"update": 70, "insert": 15, "delete": 5, "mass update": 10}
_MASS = 300
_OWN = frozenset({"id", "createdAt", "updatedAt", "externalId", "hash", "webhookHash"})


class Churn:
    """Changes rows at the rate of the options, in a thread of its own."""

    def __init__(self, account: Account) -> None:
        """Change the rows of one account."""
        self._account = account
        self._random = random.Random(f"churn {account.options.seed}")  # noqa: S311 - not for secrets
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jetti-churn", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; no change comes after it returns."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def change(self) -> None:
        """Change one row, or many in one instant."""
        account = self._account
        resources = [name for name in account.database.resources if account.database.count(name)]
        if not resources:
            return
        weights = [account.database.count(name) for name in resources]
        resource = self._random.choices(resources, weights)[0]
        kind = self._random.choices(list(_KINDS), list(_KINDS.values()))[0]
        ids = account.database.ids(resource)
        row_id = self._random.choice(ids)
        late = self._random.random() * account.options.late_commits
        if kind == "insert":
            copied = {name: value for name, value in account.get(resource, row_id).items() if name not in _OWN}
            account.upsert(resource, copied, visible_after=late)
        elif kind == "delete":
            account.delete(resource, row_id)
        elif kind == "mass update":
            account.touch(resource, self._random.sample(ids, min(len(ids), _MASS)))
        else:
            account.upsert(resource, {"id": row_id}, visible_after=late)

    def _run(self) -> None:
        owed = 0.0
        while not self._stopping.wait(_INTERVAL):
            owed += self._account.options.churn * _INTERVAL
            while owed >= 1:
                owed -= 1
                with self._account.database.lock:
                    self.change()
