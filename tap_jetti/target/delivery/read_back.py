"""Reads back what Jetti accepted before processing it, and rejects what did not take effect."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_jetti.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from tap_jetti.client.clock import Clock
    from tap_jetti.target.delivery.operations import Record, Visibility, WriteOperation

FIRST_PAUSE = 0.5
"""Seconds between the first check and the second; each pause is twice the one before."""

LONGEST_PAUSE = 10.0
"""The longest pause between two checks in seconds."""


@dataclass(eq=False)
class _Expected:
    visibility: Visibility
    operations: list[WriteOperation] = field(default_factory=list)

    @property
    def payload(self) -> Record:
        """Everything that was sent to the key, later values winning."""
        first, *later = (operation.payload for operation in self.operations)
        return {name: value for payload in (first, *later) for name, value in payload.items()} if later else first


class Confirmation:
    """Tracks asynchronously accepted operations until they are visible; STATE waits for them.

    The inbound API answers 200 to nearly everything, and a batch of connections is processed after its response, too.
    Tracked operations stay in memory until the end of the input: about two kilobytes per record that is sent. An
    operation that a later one with the same key overwrote is confirmed together with that one.

    Args:
        seconds: How long after the end of sending an operation may take to become visible.
        clock: For the deadline and the pauses.
        confirmed: Called with each operation that is visible.
        rejected: Called with each operation that is not, and the error.
    """

    def __init__(
        self,
        *,
        seconds: float,
        clock: Clock,
        confirmed: Callable[[WriteOperation], None],
        rejected: Callable[[WriteOperation, RecordError], None],
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._confirmed = confirmed
        self._rejected = rejected
        self._expected: dict[Hashable, _Expected] = {}
        self._lock = threading.Lock()

    def track(self, operations: Sequence[WriteOperation]) -> list[WriteOperation]:
        """Track the operations of one accepted call.

        Args:
            operations: The operations.

        Returns:
            Those that are done, since nothing shows whether they are visible, and earlier ones that they overwrote.
        """
        done: list[WriteOperation] = []
        with self._lock:
            for operation in operations:
                visibility = operation.action.visibility(operation)
                key = visibility.key_of(operation) if visibility else operation.key
                before = self._expected.pop(key, None)
                overwritten = before.operations if before else []
                if visibility is None:
                    done += [*overwritten, operation]
                else:
                    self._expected[key] = _Expected(visibility, [*overwritten, operation])
        return done

    def wait(self) -> None:
        """Check until everything is visible or the time is over; what is not visible then is rejected.

        Raises:
            RequestError: A check failed.
        """
        self.settle()
        error = RecordError(
            "unconfirmed", f"Jetti accepted it, but it was not visible within {self._seconds:g} s; see the log in Jetti"
        )
        for key in list(self._expected):
            for operation in self._expected.pop(key).operations:
                self._rejected(operation, error)

    def settle(self) -> None:
        """Check until everything is visible or the time is over. The last check begins after the deadline.

        Raises:
            RequestError: A check failed.
        """
        deadline = self._clock.monotonic() + self._seconds
        pause = FIRST_PAUSE
        while True:
            is_last = self._clock.monotonic() >= deadline
            self._check()
            if not self._expected or is_last:
                break
            self._clock.sleep(min(pause, deadline - self._clock.monotonic()))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _check(self) -> None:
        """Confirm what is visible now."""
        by_visibility: dict[Visibility, dict[Hashable, Record]] = {}
        for key, expected in self._expected.items():
            by_visibility.setdefault(expected.visibility, {})[key] = expected.payload
        for visibility, payloads in by_visibility.items():
            for key in visibility.visible(payloads):
                for operation in self._expected.pop(key).operations:
                    self._confirmed(operation)
