"""The leaky bucket as the server keeps it: by arrival."""

from __future__ import annotations

from dataclasses import dataclass

_ROUNDING = 1e-9


@dataclass
class Level:
    """How full the bucket was after a request."""

    accepted: bool
    used: float
    """Units in the bucket."""
    wait: float
    """Seconds until the request would fit; 0 if it was accepted."""
    total: float = 0.0
    """Units that were ever let in."""


class LeakyBucket:
    """Units flow in with every accepted request and drain at a constant rate."""

    def __init__(self) -> None:
        """Start with an empty bucket."""
        self._used = self._total = 0.0
        self._at = float("-inf")

    def take(self, cost: float, now: float, *, rate: float, capacity: float) -> Level:
        """Let a request in if its units fit.

        Args:
            cost: Units of the request.
            now: Seconds since the epoch.
            rate: Units drained a second; 0 is no limit.
            capacity: Units that the bucket holds.
        """
        if rate <= 0:
            return Level(accepted=True, used=0.0, wait=0.0)
        if now > self._at:
            self._used = max(0.0, self._used - (now - self._at) * rate)
            self._at = now
        over = self._used + cost - max(capacity, cost)
        if over > _ROUNDING:
            return Level(accepted=False, used=self._used, wait=over / rate, total=self._total)
        self._used += cost
        self._total += cost
        return Level(accepted=True, used=self._used, wait=0.0, total=self._total)
