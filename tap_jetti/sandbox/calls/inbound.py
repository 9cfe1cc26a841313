"""The queue of inbound data: applied some time after it was accepted, new data first."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_jetti.sandbox.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_jetti.sandbox.data.account import Account

_LOG_SIZE = 1000


@dataclass(frozen=True)
class Job:
    """One record to apply."""

    is_new: Callable[[], bool]
    """Whether it would add something, as opposed to updating it."""
    apply: Callable[[], object]
    """Applies it; a `Problem` it raises shows only in the log."""


class Inbound:
    """Records that were accepted and not applied yet."""

    def __init__(self, account: Account) -> None:
        """Start with an empty queue."""
        self._account = account
        self._queue: deque[tuple[float, Job]] = deque()
        self._lock = threading.RLock()
        self.log: deque[str] = deque(maxlen=_LOG_SIZE)
        """Why records were not applied: what the application's own log would show."""

    @property
    def pending(self) -> int:
        """How many records wait."""
        return len(self._queue)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Apply these after the inbound delay, but for those that get lost."""
        account = self._account
        due = account.now() + account.options.inbound_delay
        loss = account.options.inbound_loss
        for job in jobs:
            if loss and account.random.random() < loss:
                self.log.append("A record was lost.")
            else:
                self._queue.append((due, job))

    def process_due(self, most: int) -> None:
        """Apply what has waited long enough, at most so many records: the rest has to wait longer."""
        if self._queue:
            self._process(self._account.now(), most)

    def settle(self) -> None:
        """Apply everything now."""
        self._process(float("inf"), len(self._queue))

    def _process(self, until: float, most: int) -> None:
        # The database's lock first, as everywhere: the queue's alone never waits for it.
        with self._account.database.lock, self._lock:
            jobs: list[Job] = []
            while self._queue and self._queue[0][0] <= until and len(jobs) < most:
                jobs.append(self._queue.popleft()[1])
            if not jobs:
                return
            with self._account.database.transaction():
                known = [job.is_new() for job in jobs]
                for wanted in (True, False):
                    for job, is_new in zip(jobs, known, strict=True):
                        if is_new is wanted:
                            self._apply(job)

    def _apply(self, job: Job) -> None:
        try:
            job.apply()
        except Problem as problem:
            self.log.append(str(problem))
