"""How often STATE messages are written while rows arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_jetti.client.clock import Clock

STATE_ROWS = 1_000
"""Maximum number of RECORD messages between two STATE messages."""

STATE_SECONDS = 30.0
"""Maximum time between two STATE messages, in seconds, even if fewer rows arrive."""


class StateCadence:
    """Tells when so much time has passed that a STATE message is due.

    Args:
        clock: The clock to measure with.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._written_at = clock.monotonic()

    def is_due(self) -> bool:
        """Whether `STATE_SECONDS` have passed. If so, the caller writes a STATE, and the next interval begins."""
        now = self._clock.monotonic()
        if now - self._written_at < STATE_SECONDS:
            return False
        self._written_at = now
        return True
