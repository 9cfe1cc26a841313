"""The gate in front of every request: waits until the account's bucket has room for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_jetti.client.clock import Clock
    from tap_jetti.client.rate_limit.bucket import BucketStore

BURST_MARGIN = 0.3
"""Units taken off the burst: the server counts arrivals, we space departures, and the network moves them closer."""

FULL_MARGIN = 0.1
"""Units a request that needs the whole bucket waits beyond its being empty.

Such requests pay it every time, so it is smaller. In a simulation of writes (2 of 2 units) over a network that delays
each by 10 to 20 ms, 0 had a third of them refused, 0.1 at most 2 in 1,000 at 1.05 s a write, 0.3 none at 1.15 s.
"""

RATE_MARGIN = 0.002
"""Share taken off the rate: the server's clock and ours do not run alike."""


class RateLimiter:
    """Spaces requests so that no window of T seconds holds more than burst + rate * T units.

    A request that costs more than the burst passes too, on a bucket that has drained, and those after it wait until
    all of it has drained. Threads may share a limiter.

    Args:
        store: The bucket, shared by all who share the limit.
        rate: Units a second that the server's bucket drains; the limiter keeps a margin by itself.
        burst: Units that the server's bucket holds; the limiter keeps a margin by itself.
        clock: What to sleep on.

    Raises:
        ValueError: if `rate` or `burst` is not a finite number above 0.
    """

    def __init__(self, store: BucketStore, *, rate: float, burst: float, clock: Clock) -> None:
        for name, value, unit in (
            ("rate_limit", rate, "units a second"),
            ("rate_limit_burst", burst, "units"),
        ):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be above 0 and finite ({unit}), got {value}")
        self._store = store
        self._rate = rate * (1 - RATE_MARGIN)
        self._burst = burst
        self._clock = clock

    def acquire(self, cost: float = 1.0) -> float:
        """Take the next slot and sleep until it: one write to the store, first come, first served.

        Args:
            cost: Units: 1 for a GET, 2 for anything else.

        Returns:
            The seconds slept.

        Raises:
            Interrupted: if the clock is stopped meanwhile; the slot is lost.
            RateLimitStoreError: if the store fails and nothing stands in for it.
            ValueError: if `cost` is not a finite number of at least 0.
        """
        slot = self._store.reserve(*self._seconds(cost))
        wait, pushed, slept = slot.wait, slot.pushed, 0.0
        while wait > 0:
            self._clock.sleep(wait)
            slept += wait
            # A penalty moved the slots of all who slept.
            level = self._store.look()
            wait = level.pushed - pushed if level.source == slot.source else 0.0
            pushed = level.pushed
        return slept

    @property
    def rate(self) -> float:
        """Units a second that it lets pass in the long run."""
        return self._rate

    def reserve(self, cost: float) -> float:
        """Take the next slot, without sleeping.

        A penalty that comes later does not reach who waits by itself; `acquire` sees to that.

        Args:
            cost: Units.

        Returns:
            The seconds until the caller may go, 0 for at once.

        Raises:
            RateLimitStoreError: if the store fails and nothing stands in for it.
            ValueError: if `cost` is not a finite number of at least 0.
        """
        return self._store.reserve(*self._seconds(cost)).wait

    def idle_in(self) -> float:
        """Return the seconds until a request of 1 unit that asked now would go, 0 for at once. Nothing is reserved.

        Raises:
            RateLimitStoreError: if the store fails and nothing stands in for it.
        """
        level = self._store.look()
        _, lead = self._seconds(1.0)
        return max(0.0, level.blocked_in, level.empty_in + lead)

    def penalise(self, seconds: float) -> None:
        """Hold back all who share the bucket, also those asleep in `acquire`, after the server has answered 429.

        A delay that is already longer stays, so the many 429s of one burst count as one. The bucket counts as full.

        Args:
            seconds: How long; at most an hour is taken, less than 0 or NaN as 0.

        Raises:
            RateLimitStoreError: if the store fails and nothing stands in for it.
        """
        self._store.penalise(seconds if seconds > 0 else 0.0, self._burst / self._rate)

    def _seconds(self, cost: float) -> tuple[float, float]:
        """Return the charge and the lead of a cost."""
        if not 0 <= cost < math.inf:
            raise ValueError(f"the cost of a request must be at least 0 and finite (units), got {cost}")
        over = min(cost - (self._burst - BURST_MARGIN), FULL_MARGIN)
        return cost / self._rate, over / self._rate
