"""The server's clock, as a lower bound that the ``Date`` headers of its answers give."""

from __future__ import annotations

import threading
from email.utils import parsedate_to_datetime


class ServerClock:
    """Knows a time that the server's clock has certainly passed.

    A ``Date`` header was written after its request left, so the server's clock read at
    least that date minus the request's duration when it left. The best such bound is kept
    and carried on by the monotonic clock, so that steps of this machine's clock do not
    matter.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset: float | None = None

    def observe(self, date: str | None, *, received: float) -> None:
        """Learn from an answer.

        Args:
            date: Its ``Date`` header.
            received: The monotonic clock, in seconds, when the answer was there. The
                duration of the request need not be known: a clock that reads at least
                ``date`` at some time before ``received`` reads at least
                ``date - (received - m)`` at an earlier moment ``m``.
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
        """The server's clock at a monotonic moment, at least, in seconds since the epoch.

        None until a first answer carried a usable ``Date``.
        """
        with self._lock:
            return None if self._offset is None else self._offset + monotonic
