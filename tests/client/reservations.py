"""Reservations of a limiter whose callers do not sleep, so that a test plays many callers in one thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_jetti.client.rate_limit import RateLimiter


def reserve(limiter: RateLimiter, cost: float) -> float:
    """Reserve the next slot as `RateLimiter.acquire` does, and return the seconds until it."""
    return limiter._store.reserve(*limiter._times_of(cost)).wait
