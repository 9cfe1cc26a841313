"""The inbound queue: records are applied some time after they are accepted, additions before updates in general."""

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
_LONGEST_DELAY = 2.0
"""The longest delay of a record in a queue that reorders, in inbound delays."""


@dataclass(frozen=True)
class Job:
    """One record to apply."""

    is_new: Callable[[], bool]
    """Whether it adds a row, rather than updating one."""
    apply: Callable[[], object]
    """Applies it; a `Problem` that it raises is only logged."""


class Inbound:
    """Records that are accepted and not yet applied."""

    def __init__(self, account: Account) -> None:
        """Start with an empty queue."""
        self._account = account
        self._queue: deque[tuple[float, Job]] = deque()
        self._lock = threading.RLock()
        self.log: deque[str] = deque(maxlen=_LOG_SIZE)
        """Why records were not applied: what the vendor's application would log."""

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue jobs to be applied after the inbound delay, except those that are lost on purpose."""
        account = self._account
        delay = account.options.inbound_delay
        loss = account.options.inbound_loss
        for job in jobs:
            if loss and account.random.random() < loss:
                self.log.append("A record was lost.")
            else:
                is_random = account.options.inbound_order == "random"
                own_delay = delay * (_LONGEST_DELAY * account.random.random() if is_random else 1.0)
                self._queue.append((account.now() + own_delay, job))

    def process_due(self, limit: int) -> None:
        """Apply due jobs, at most `limit` of them; the others stay queued."""
        if self._queue:
            self._process(self._account.now(), limit)

    def settle(self) -> None:
        """Apply all queued jobs now."""
        self._process(float("inf"), len(self._queue))

    def _process(self, until: float, limit: int) -> None:
        # Always the database's lock before the queue's: in the other order two threads could deadlock.
        with self._account.database.lock, self._lock:
            jobs: list[Job] = []
            if self._account.options.inbound_order == "random":
                self._shuffle_due(until)
            while self._queue and self._queue[0][0] <= until and len(jobs) < limit:
                jobs.append(self._queue.popleft()[1])
            if not jobs:
                return
            with self._account.database.transaction():
                new = [job.is_new() for job in jobs]
                for additions in (True, False):
                    for job, is_new in zip(jobs, new, strict=True):
                        if is_new is additions:
                            self._apply(job)

    def _shuffle_due(self, until: float) -> None:
        """Put the due jobs in another order."""
        due = [entry for entry in self._queue if entry[0] <= until]
        later = [entry for entry in self._queue if entry[0] > until]
        self._account.random.shuffle(due)
        self._queue = deque([*due, *later])

    def _apply(self, job: Job) -> None:
        try:
            job.apply()
        except Problem as problem:
            self.log.append(str(problem))
