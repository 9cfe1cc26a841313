"""The leaky bucket of the server, which decides by the time of arrival."""

from __future__ import annotations

from dataclasses import dataclass

_ROUNDING = 1e-9


@dataclass
class Level:
    """The state of the bucket after a request."""

    accepted: bool
    used: float
    """Units in the bucket."""
    wait: float
    """Seconds until the request would be accepted; 0 if it was."""
    total: float = 0.0
    """Units of all requests accepted so far."""


class LeakyBucket:
    """Every accepted request adds its units; the bucket drains at a constant rate."""

    def __init__(self) -> None:
        """Start with an empty bucket."""
        self._used = self._total = 0.0
        self._at = float("-inf")

    def take(self, cost: float, now: float, *, rate: float, capacity: float) -> Level:
        """Accept a request if its units fit.

        Args:
            cost: Units of the request.
            now: Seconds since the epoch.
            rate: Units that drain per second; 0: no limit.
            capacity: The capacity of the bucket in units.
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
