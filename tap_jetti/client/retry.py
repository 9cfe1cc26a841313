"""Which failed requests are retried, how often, and after which delay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backoff import expo

from tap_jetti.client.server_clock import parse_http_date
from tap_jetti.errors import RateLimitedError, RetriableError, ServerError

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tap_jetti.errors import RequestError

MAX_BUSINESS_ERROR_ATTEMPTS = 3
"""Attempts in all at a request that fails with a 5xx and a dotted title: it may be a permanent business error."""

MAX_BACKOFF = 30.0
"""Longest backoff in seconds. A longer ``Retry-After`` is respected."""

MAX_RETRY_AFTER = 365 * 86_400.0
"""Longest ``Retry-After`` in seconds. A longer one is an error of the server, and is shortened."""


@dataclass(frozen=True)
class RetryPolicy:
    """Decides after each failure whether the request is retried, and when.

    Args:
        seconds: Seconds for which one request is retried, from its first attempt.
        random: The source of jitter.
    """

    seconds: float
    random: random.Random

    def backoffs(self) -> Iterator[float]:
        """Seconds before the second attempt, the third and so on, without end: exponential, before jitter."""
        backoffs = expo(factor=0.5, max_value=MAX_BACKOFF)
        next(backoffs)  # the library's own loop needs the first value; it is not a backoff
        yield from backoffs

    def delay(
        self, error: RequestError, *, attempts: int, elapsed: float, backoff: float, repeatable: bool
    ) -> float | None:
        """Seconds until the next attempt, or None if the request is not retried.

        Args:
            error: The error of the last attempt.
            attempts: The number of attempts so far.
            elapsed: Seconds since the first attempt.
            backoff: The next of `backoffs`.
            repeatable: Whether the server may act on the request twice without harm.
        """
        if not isinstance(error, RetriableError):
            return None
        if error.may_have_arrived and not repeatable:
            return None
        if isinstance(error, ServerError) and error.maybe_permanent and attempts >= MAX_BUSINESS_ERROR_ATTEMPTS:
            return None
        # Half of the backoff is random, so that clients that failed together do not return together.
        delay = backoff * (0.5 + self.random.random() / 2)
        if error.retry_after is not None:
            # After a 429 the header is the whole truth. After a 5xx it may be 0, and then the backoff protects Jetti.
            delay = max(error.retry_after, 0.0 if isinstance(error, RateLimitedError) else delay)
        return delay if elapsed + delay <= self.seconds else None


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """Seconds that a ``Retry-After`` header asks to wait.

    Args:
        value: The header: seconds, an HTTP date, or anything else.
        now: The time on the server's clock, in seconds since the epoch.

    Returns:
        Seconds from now, from 0 to `MAX_RETRY_AFTER`, or None if the header is absent or invalid.
    """
    if value is None:
        return None
    text = value.strip()
    try:
        seconds = float(text)
    except ValueError:
        date = parse_http_date(text)
        if date is None:
            return None
        seconds = date - now
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if math.isfinite(seconds) else None
