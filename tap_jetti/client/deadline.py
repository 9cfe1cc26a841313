"""The time by which one attempt at a request must have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_jetti.client.clock import Clock


class Deadline:
    """Shortens the timeout of each wait for the network, so that all waits of one attempt together end in time.

    A read timeout alone does not end an attempt: it begins anew with every byte that arrives.

    Args:
        clock: The clock that measures the attempt.
        seconds: Seconds that the attempt may take, from now on.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._ends_at = clock.monotonic() + seconds

    def limit(self, timeout: float | None) -> float:
        """Seconds that the next wait may take: `timeout`, or what is left of the attempt if that is less.

        Raises:
            TimeoutError: Nothing is left.
        """
        left = self._ends_at - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError("The time for the whole attempt is over.")
        return left if timeout is None else min(timeout, left)
