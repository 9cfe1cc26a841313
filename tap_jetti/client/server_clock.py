"""A lower bound of the time on the server's clock, from the ``Date`` headers of its responses."""

from __future__ import annotations

import threading
from email.utils import parsedate_to_datetime


class ServerClock:
    """Knows a time that the server's clock has certainly passed.

    The server wrote a ``Date`` header before its response was received. So when a response is received, the server's
    clock shows that date or a later time. The best such bound is kept, and the monotonic clock moves it on. It does not
    matter if the wall clock of this machine is wrong or is set.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset: float | None = None

    def observe(self, date: str | None, *, received: float) -> None:
        """Learn from a response.

        Args:
            date: Its ``Date`` header.
            received: The monotonic clock, in seconds, when the response was received.
        """
        try:
            seconds = parsedate_to_datetime(date).timestamp() if date else None
        except (ValueError, OverflowError):
            seconds = None
        if seconds is None:
            return
        with self._lock:
            offset = seconds - received
            self._offset = offset if self._offset is None else max(self._offset, offset)

    def at(self, monotonic: float) -> float | None:
        """A lower bound of the server's clock, in seconds since the epoch.

        Args:
            monotonic: The monotonic clock, in seconds, at the time that is asked for. It may lie in the past.

        Returns:
            None until a response had a valid ``Date``.
        """
        with self._lock:
            return None if self._offset is None else self._offset + monotonic
