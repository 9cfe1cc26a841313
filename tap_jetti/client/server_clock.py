"""A lower bound of the time on the server's clock, from the ``Date`` headers of its responses."""

from __future__ import annotations

import math
import threading
from datetime import timezone
from email.utils import parsedate_to_datetime

DATE_RESOLUTION = 1.0
"""Seconds by which a ``Date`` header may be behind the clock: it has no fractions."""


class ServerClock:
    """Knows a time that the server's clock has certainly passed.

    The server wrote the ``Date`` of a response after the request was sent, and before the response was received. So a
    response limits the server's clock from both sides, relative to the monotonic clock of this machine:

    - when it was received, the server's clock showed its date or a later time;
    - when it was sent, the server's clock showed less than its date plus a second.

    The largest of the first kind is the best lower bound, and the monotonic clock moves it on. It does not matter if
    the wall clock of this machine is wrong or is set.

    If a bound of the second kind contradicts it, there is no one clock: it was set back, several servers differ, or a
    proxy sends an old date again. Then the date that is furthest behind counts from then on. A bound that is too early
    makes rows late, because they belong to the next run; one that is too late loses rows that are committed late.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._largest_lower = -math.inf
        self._least_upper = math.inf
        self._slowest = math.inf

    def observe(self, date: str | None, *, received: float, sent: float | None = None) -> None:
        """Learn from a response.

        Args:
            date: Its ``Date`` header.
            received: The monotonic clock, in seconds, when the response was received.
            sent: The same clock when the request was sent, if it is known.
        """
        seconds = parse_http_date(date) if date else None
        if seconds is None:
            return
        lower = seconds - received
        upper = math.inf if sent is None else seconds + DATE_RESOLUTION - sent
        with self._lock:
            self._largest_lower = max(self._largest_lower, lower)
            if upper < self._least_upper:
                self._least_upper, self._slowest = upper, lower

    def at(self, monotonic: float) -> float | None:
        """A lower bound of the server's clock, in seconds since the epoch.

        Args:
            monotonic: The monotonic clock, in seconds, at the time that is asked for. It may lie in the past.

        Returns:
            None until a response had a valid ``Date``.
        """
        with self._lock:
            if self._largest_lower == -math.inf:
                return None
            is_one_clock = self._largest_lower <= self._least_upper
            return (self._largest_lower if is_one_clock else self._slowest) + monotonic


def parse_http_date(text: str) -> float | None:
    """The time that an HTTP header states, in seconds since the epoch, or None if it is not a date.

    A date without a time zone is in UTC, as all dates of HTTP are.
    """
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None
