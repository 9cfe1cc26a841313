"""Churn: random row changes while the sandbox runs, as in a live account."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_jetti.sandbox.data.account import Account

_INTERVAL_SECONDS = 0.05
_KINDS = {"update": 70, "insert": 15, "delete": 5, "mass update": 10}
_MASS_UPDATE_ROWS = 300
_NOT_COPIED = frozenset({"id", "createdAt", "updatedAt", "externalId", "hash", "webhookHash"})


class Churn:
    """Changes rows in a thread of its own, at the rate that the options set."""

    def __init__(self, account: Account) -> None:
        """Prepare to change the rows of an account."""
        self._account = account
        self._random = random.Random(f"churn {account.options.seed}")  # noqa: S311 - not for secrets
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jetti-churn", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; no change follows."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def change(self) -> None:
        """Change one row, or many at once with the same updatedAt."""
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
            copied = {name: value for name, value in account.get(resource, row_id).items() if name not in _NOT_COPIED}
            account.upsert(resource, copied, visible_after=late)
        elif kind == "delete":
            account.delete(resource, row_id)
        elif kind == "mass update":
            account.touch(resource, self._random.sample(ids, min(len(ids), _MASS_UPDATE_ROWS)))
        else:
            account.upsert(resource, {"id": row_id}, visible_after=late)

    def _run(self) -> None:
        due = 0.0
        while not self._stopping.wait(_INTERVAL_SECONDS):
            due += self._account.options.churn * _INTERVAL_SECONDS
            while due >= 1:
                due -= 1
                with self._account.database.lock:
                    self.change()
