"""What the parts of a prefetcher share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_jetti.reading.prefetch.scheduler import PriorityScheduler, ScheduledSession
from tap_jetti.reading.prefetch.windows import NEAREST

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import JettiSession, Response
    from tap_jetti.reading.prefetch.memory import PrefetchMemory
    from tap_jetti.reading.prefetch.probes import FromProbes
    from tap_jetti.reading.prefetch.scheduler import Priority
    from tap_jetti.reading.prefetch.workers import Workers

MAX_DISTANCE = 12
"""Pages from one window's start to the next at most."""


@dataclass
class PrefetchContext:
    """What the parts of a prefetcher share.

    Attributes:
        session: What sends the requests.
        scheduler: What lets them go, the most urgent first.
        memory: What bounds the rows held.
        workers: The threads.
        probes: What ``from`` means.
        fill: Starts as much work as pays.
        observe: Told of each response and its path, and of None where there was none.
        concurrency: Requests in flight at most.
        clock: This machine's clock.
        logger: Where readers report.
    """

    session: JettiSession
    scheduler: PriorityScheduler
    memory: PrefetchMemory
    workers: Workers
    probes: FromProbes
    fill: Callable[[], None]
    observe: Callable[[str, Response | None], None]
    concurrency: int
    clock: Clock
    logger: logging.Logger

    def scheduled(
        self, priority: Callable[[], Priority], granted: Callable[[], None] | None = None
    ) -> ScheduledSession:
        """A session whose requests are so urgent."""
        return ScheduledSession(self.scheduler, self.session, priority=priority, observe=self.observe, granted=granted)

    def max_distance(self, places: int) -> int:
        """Pages, of so many places, from one window's start to the next at most: all windows must find room."""
        return max(NEAREST, min(MAX_DISTANCE, self.memory.places // (places * self.concurrency // 2 or 1)))
