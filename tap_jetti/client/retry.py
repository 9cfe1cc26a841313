"""What is tried again, how often, and how long apart."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import backoff

from tap_jetti.errors import RateLimitedError, RetriableError, ServerError

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tap_jetti.errors import RequestError

MAYBE_PERMANENT_ATTEMPTS = 3
"""Attempts in all at a 5xx whose body has a dotted title: it may be a business error."""

LONGEST_PAUSE = 30.0
"""Seconds between two attempts at most, unless the server asks for more."""


@dataclass(frozen=True)
class RetryPolicy:
    """Decides after each failure whether and when the request is sent again.

    Args:
        seconds: How long one request is tried, from its first attempt.
        random: The source of jitter.
    """

    seconds: float
    random: random.Random

    def pauses(self) -> Iterator[float]:
        """Seconds before the second attempt, the third …: exponential, not yet jittered."""
        pauses = backoff.expo(factor=0.5, max_value=LONGEST_PAUSE)
        next(pauses)
        yield from pauses

    def wait(
        self, error: RequestError, *, attempts: int, elapsed: float, pause: float, repeatable: bool
    ) -> float | None:
        """Seconds until the next attempt, or None if there is to be none.

        Args:
            error: What the last attempt ended with.
            attempts: The attempts so far.
            elapsed: Seconds since the first attempt.
            pause: The next of `pauses`.
            repeatable: Whether the server may act on the request twice without harm.
        """
        if not isinstance(error, RetriableError):
            return None
        if error.may_have_arrived and not repeatable:
            return None
        if isinstance(error, ServerError) and error.maybe_permanent and attempts >= MAYBE_PERMANENT_ATTEMPTS:
            return None
        wait = pause * (0.5 + self.random.random() / 2)
        if error.retry_after is not None:
            wait = max(error.retry_after, 0.0 if isinstance(error, RateLimitedError) else wait)
        return wait if elapsed + wait <= self.seconds else None


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """The seconds that a ``Retry-After`` header asks for.

    Args:
        value: The header: seconds, an HTTP date, or anything else.
        now: The server's clock as far as it is known, in seconds since the epoch.

    Returns:
        Seconds from now, never negative, or None if the header says nothing usable.
    """
    if value is None:
        return None
    text = value.strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if seconds == seconds and seconds != float("inf") else None  # noqa: PLR0124
