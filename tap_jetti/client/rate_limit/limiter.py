"""The rate limiter that every request waits for, until the account's bucket has room for it."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tap_jetti.client.rate_limit.bucket import ProcessLock
from tap_jetti.client.rate_limit.headers import ROUNDING_UNITS, HeaderTrust, read_headers
from tap_jetti.errors import StoreError

if TYPE_CHECKING:
    from requests.structures import CaseInsensitiveDict

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.rate_limit.bucket import BucketStore, Reservation

_LOGGER = logging.getLogger(__name__)

BURST_MARGIN = 0.3
"""Units taken off the burst. The server counts arrivals, the limiter spaces departures: the network is between them."""

FULL_BUCKET_MARGIN = 0.1
"""Units that must drain beyond an empty bucket before a request that needs all of it.

Each such request waits for them, so they are fewer than `BURST_MARGIN`. In a simulation of writes (2 of 2 units) over
a network that delays each by 10 to 20 ms, a margin of 0 had a third of them refused, 0.1 at most 2 in 1,000 at 1.05 s
per write, and 0.3 none at 1.15 s.
"""

RATE_MARGIN = 0.002
"""Part taken off the rate, because the clocks of the server and of this machine do not run equally fast."""

SPARE_UNITS = 2.0
"""Units of the server's bucket that are left to other clients, once its headers are trusted.

In the simulation of `headers`, 0 had 54 refusals for 502 responses, 1 had 23 for 435, 2 had 14 for 401, and 4 had 11
for 379.
"""

MAX_DELAY_UNITS = 1.0
"""Units by which one response can delay the next request: whatever the headers say, half of the rate is left."""

LATE_SECONDS = 0.15
"""Seconds after which a slot that was not used is lost, and another one is reserved.

At 2 units per second, `BURST_MARGIN` drains in this time: whoever comes later could add to the bucket what it has no
room for. A machine that is only busy is rarely that late.
"""

MIN_BURST = 3.0
"""Units of the burst that are used even then. With fewer, a write (2 units) would wait for an empty bucket."""


@dataclass(frozen=True)
class Permit:
    """The permission to send one request now.

    Attributes:
        reservation: Its slot, as it was when the wait ended.
        cost: The cost of the request in units.
        waited: Seconds that it waited.
        granted_at: When it was granted, in seconds on the monotonic clock.
        total_units: Units that this limiter had granted by then, this permit included.
    """

    reservation: Reservation
    cost: float
    waited: float
    granted_at: float
    total_units: float


class RateLimiter:
    """Spaces requests so that no window of T seconds holds more than burst + rate * T units.

    A request that costs more than the burst is granted once the bucket is empty, and those after it wait until its
    whole cost has drained. Threads may share a limiter.

    Args:
        store: The bucket, shared by all who share the limit.
        rate: Units per second that the server's bucket drains. The limiter takes its own margin off.
        burst: Units that the server's bucket holds. The limiter takes its own margin off.
        clock: The clock to wait with.

    Raises:
        ValueError: if `rate` or `burst` is not a finite number above 0.
    """

    def __init__(self, store: BucketStore, *, rate: float, burst: float, clock: Clock) -> None:
        for name, value, unit in (
            ("rate_limit", rate, "units per second"),
            ("rate_limit_burst", burst, "units"),
        ):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be above 0 and finite ({unit}), got {value}")
        self._store = store
        self._rate = rate * (1 - RATE_MARGIN)
        self._burst = burst
        self._clock = clock
        self._lock = ProcessLock()
        self._trust = HeaderTrust(rate)
        self._usable_burst = burst
        self._total_units = 0.0
        self._has_reported_others = False

    def acquire(self, cost: float = 1.0) -> Permit:
        """Reserve the next slot, with one write to the store, and sleep until it. First come, first served.

        Args:
            cost: Units: 1 for a GET, 2 for any other request.

        Returns:
            The permit, which `observe` takes back with the response.

        Raises:
            Interrupted: if the clock is stopped meanwhile; the slot is lost.
            StoreError: if the store fails and no other replaces it.
            ValueError: if `cost` is not a finite number of at least 0.
        """
        waited = 0.0
        while True:
            reservation, slot_at, slept = self._take_slot(cost)
            waited += slept
            # Whoever comes late, because the store was locked or the process was stopped, must not go: the slots after
            # this one may be over, too, and then all who wait would go at once.
            if self._clock.monotonic() - slot_at <= LATE_SECONDS:
                break
        with self._lock.current():
            self._total_units += cost
            return Permit(reservation, cost, waited, self._clock.monotonic(), self._total_units)

    def _take_slot(self, cost: float) -> tuple[Reservation, float, float]:
        """Reserve the next slot and sleep until it.

        Returns:
            The slot, when it was on the monotonic clock, and the seconds slept.
        """
        reservation = self._store.reserve(*self._times_of(cost))
        wait, waited, slot_at = reservation.wait, 0.0, self._clock.monotonic()
        while wait > 0:
            slot_at += wait
            self._clock.sleep(wait)
            waited += wait
            # Meanwhile a block or a delay may have moved all slots back. Sleep on for as long as it moved this one.
            level = self._store.peek()
            if level.source != reservation.source:
                # Another store has taken over. Its bucket is blocked until all slots of this one are over, and its
                # total delay says nothing about them.
                break
            wait = level.total_delay - reservation.total_delay
            reservation = replace(reservation, total_delay=level.total_delay)
        return reservation, slot_at, waited

    @property
    def rate(self) -> float:
        """Units per second that it grants in the long run."""
        return self._rate

    def idle_in(self) -> float:
        """Return the seconds until a request of 1 unit could go; 0 if it could now. Nothing is reserved.

        Raises:
            StoreError: if the store fails and no other replaces it.
        """
        level = self._store.peek()
        _, start_offset = self._times_of(1.0)
        return max(0.0, level.blocked_in, level.empty_in + start_offset)

    def block(self, seconds: float) -> None:
        """Stop all who share the bucket, also those that sleep in `acquire`, after a 429.

        A longer block that is already there stays as it is, so the many 429s of one burst count as one. The bucket
        counts as full.

        Args:
            seconds: How long: at most an hour. Below 0 or NaN is 0.

        Raises:
            StoreError: if the store fails and no other replaces it.
        """
        self._store.block(seconds if seconds > 0 else 0.0, self._burst / self._rate)

    def observe(self, permit: Permit, headers: CaseInsensitiveDict[str], *, is_refusal: bool = False) -> None:
        """Delay all who share the bucket if a response shows that another client fills the server's bucket, too.

        Args:
            permit: What `acquire` returned for the request.
            headers: The headers of the response.
            is_refusal: Whether it is a 429. Then nothing is delayed here: `block` does that.
        """
        reading = read_headers(headers)
        if reading is None:
            return
        now = self._clock.monotonic()
        with self._lock.current():
            trusted = self._trust.accepts(
                reading, cost=permit.cost, is_refusal=is_refusal, sent=permit.granted_at, received=now
            )
            # If we used the server's whole bucket, it would always be full, and nothing would be left to others.
            usable = max(reading.limit - SPARE_UNITS, MIN_BURST)
            self._usable_burst = min(self._burst, usable) if trusted else self._burst
            units_since = self._total_units - permit.total_units
        own = permit.reservation.level * self._rate
        used = reading.limit - reading.remaining
        if not trusted or is_refusal or used - ROUNDING_UNITS <= own:
            return
        # At the level `ours` our bucket makes the next request wait; requests sent since this one have added to it.
        # Fill it up to `target`: if SPARE_UNITS remain on the server, that is `ours`, and for each unit less that
        # remains, one more.
        ours = self._usable_burst - BURST_MARGIN + units_since
        target = min(ours + SPARE_UNITS, reading.limit) - reading.remaining
        delay = (min(target, ours + MAX_DELAY_UNITS) - own) / self._rate
        if delay <= 0:
            return
        if not self._has_reported_others:
            self._has_reported_others = True
            _LOGGER.info("Another client uses the rate limit of this account; slowing down to avoid 429s.")
        # The response is there, and must not be lost because the store fails. The next request reports it.
        with suppress(StoreError):
            self._store.delay(permit.reservation, delay)

    def _times_of(self, cost: float) -> tuple[float, float]:
        """Return the increment and the start offset of a cost, in seconds, as `BucketStore.reserve` takes them."""
        if not 0 <= cost < math.inf:
            raise ValueError(f"the cost of a request must be at least 0 and finite (units), got {cost}")
        offset = min(cost - (self._usable_burst - BURST_MARGIN), FULL_BUCKET_MARGIN)
        return cost / self._rate, offset / self._rate
