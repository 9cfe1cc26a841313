"""The gate in front of every request: waits until the account's bucket has room for it."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tap_jetti.client.rate_limit.bucket import ProcessLock
from tap_jetti.client.rate_limit.headers import ROUNDING, Trust, read
from tap_jetti.errors import StoreError

if TYPE_CHECKING:
    from requests.structures import CaseInsensitiveDict

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.rate_limit.bucket import BucketStore, Reservation

_LOGGER = logging.getLogger(__name__)

BURST_MARGIN = 0.3
"""Units taken off the burst: the server counts arrivals, we space departures, and the network moves them closer."""

FULL_MARGIN = 0.1
"""Units a request that needs the whole bucket waits beyond its being empty.

Such requests pay it every time, so it is smaller. In a simulation of writes (2 of 2 units) over a network that delays
each by 10 to 20 ms, 0 had a third of them refused, 0.1 at most 2 in 1,000 at 1.05 s a write, 0.3 none at 1.15 s.
"""

RATE_MARGIN = 0.002
"""Share taken off the rate: the server's clock and ours do not run alike."""

SPARE = 2.0
"""Units of the server's bucket that are left free for others, once its headers are believed.

In the simulation of `headers`, none had 54 refusals for 502 answers, 1 had 23 for 435, 2 had 14 for 401, 4 had 11
for 379.
"""

MOST = 1.0
"""Units that one answer may hold the next request back: whatever the headers say, half of the rate is left to us."""

LEAST_BURST = 3.0
"""Units of the burst that are kept even then: with fewer, a write (2 units) would wait for an empty bucket."""


@dataclass(frozen=True)
class Permit:
    """A request that may go now.

    Attributes:
        reservation: Its place, as it was when it went.
        cost: Its units.
        slept: Seconds that it waited.
        at: When it went, in seconds on the monotonic clock.
        gone: Units that had gone by then through this limiter, its own included.
    """

    reservation: Reservation
    cost: float
    slept: float
    at: float
    gone: float


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
        self._lock = ProcessLock()
        self._trust = Trust(rate)
        self._room = burst
        self._gone = 0.0
        self._is_alone = True

    def acquire(self, cost: float = 1.0) -> Permit:
        """Take the next slot and sleep until it: one write to the store, first come, first served.

        Args:
            cost: Units: 1 for a GET, 2 for anything else.

        Returns:
            What `observe` needs to know when the answer is there.

        Raises:
            Interrupted: if the clock is stopped meanwhile; the slot is lost.
            StoreError: if the store fails and nothing stands in for it.
            ValueError: if `cost` is not a finite number of at least 0.
        """
        reservation = self._store.reserve(*self._seconds(cost))
        wait, slept = reservation.wait, 0.0
        while wait > 0:
            self._clock.sleep(wait)
            slept += wait
            # A penalty, or somebody else's use, moved the slots of all who slept.
            level = self._store.peek()
            if level.source != reservation.source:
                break
            wait = level.pushed - reservation.pushed
            reservation = replace(reservation, pushed=level.pushed)
        with self._lock.current():
            self._gone += cost
            return Permit(reservation, cost, slept, self._clock.monotonic(), self._gone)

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
            StoreError: if the store fails and nothing stands in for it.
            ValueError: if `cost` is not a finite number of at least 0.
        """
        return self._store.reserve(*self._seconds(cost)).wait

    def idle_in(self) -> float:
        """Return the seconds until a request of 1 unit that asked now would go, 0 for at once. Nothing is reserved.

        Raises:
            StoreError: if the store fails and nothing stands in for it.
        """
        level = self._store.peek()
        _, lead = self._seconds(1.0)
        return max(0.0, level.blocked_in, level.empty_in + lead)

    def block(self, seconds: float) -> None:
        """Hold back all who share the bucket, also those asleep in `acquire`, after the server has answered 429.

        A delay that is already longer stays, so the many 429s of one burst count as one. The bucket counts as full.

        Args:
            seconds: How long; at most an hour is taken, less than 0 or NaN as 0.

        Raises:
            StoreError: if the store fails and nothing stands in for it.
        """
        self._store.block(seconds if seconds > 0 else 0.0, self._burst / self._rate)

    def observe(self, permit: Permit, headers: CaseInsensitiveDict[str], *, is_refusal: bool = False) -> None:
        """Hold back all who share the bucket if an answer shows that somebody else fills it, too.

        Args:
            permit: What `acquire` returned for the request.
            headers: Those of its answer.
            is_refusal: Whether it is a 429; `block` holds back after one.
        """
        reading = read(headers)
        if reading is None:
            return
        now = self._clock.monotonic()
        with self._lock.current():
            trusted = self._trust.admits(reading, cost=permit.cost, is_refusal=is_refusal, left=permit.at, answered=now)
            # Were the whole bucket ours, it would always be full.
            self._room = min(self._burst, max(reading.limit - SPARE, LEAST_BURST)) if trusted else self._burst
            since = self._gone - permit.gone
        own = permit.reservation.level * self._rate
        if not trusted or is_refusal or reading.limit - reading.remaining - ROUNDING <= own:
            return
        # Up to where we fill it by ourselves, with what left since: there the next request waits.
        ours = self._room - BURST_MARGIN + since
        level = min(ours + SPARE, reading.limit) - reading.remaining
        push = (min(level, ours + MOST) - own) / self._rate
        if push <= 0:
            return
        if self._is_alone:
            self._is_alone = False
            _LOGGER.info("The rate limit is used by others, too: requests slow down before Jetti refuses them.")
        # The answer came, whatever becomes of the store; the next request will tell.
        with suppress(StoreError):
            self._store.delay(permit.reservation, push)

    def _seconds(self, cost: float) -> tuple[float, float]:
        """Return the charge and the lead of a cost."""
        if not 0 <= cost < math.inf:
            raise ValueError(f"the cost of a request must be at least 0 and finite (units), got {cost}")
        over = min(cost - (self._room - BURST_MARGIN), FULL_MARGIN)
        return cost / self._rate, over / self._rate
