"""Reads back what Jetti took before it looked at it, and rejects what did not take effect."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_jetti.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_jetti.client.clock import Clock
    from tap_jetti.target.actions.visible_rows import Visibility
    from tap_jetti.target.delivery.operations import Key, Record, WriteOperation

LONGEST_PAUSE = 10.0
"""Seconds between two looks at most."""


@dataclass(eq=False)
class _Expected:
    effect: Visibility
    operations: list[WriteOperation] = field(default_factory=list)

    @property
    def payload(self) -> Record:
        """What was sent to the key in all."""
        first, *later = (operation.payload for operation in self.operations)
        return {name: value for payload in (first, *later) for name, value in payload.items()} if later else first


class Confirmation:
    """Holds what was accepted unseen until it was read back, and STATE with it.

    Inbound answers 200 to practically everything, and a batch of connections is processed after
    the answer, too. All of it stays in memory until the end of the input: with confirm_seconds,
    plan for about two kilobytes for each record that is sent. What a later record of the same
    key overwrote is confirmed by that one.

    Args:
        seconds: How long after the last one was sent an effect may take to show.
        clock: What waits are measured and slept by.
        confirmed: Told of each item that shows.
        rejected: Told of each one that does not, and why.
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
        self._expected: dict[Key, _Expected] = {}
        self._lock = threading.Lock()

    def hold(self, operations: Sequence[WriteOperation]) -> list[WriteOperation]:
        """Hold items that were accepted.

        Args:
            operations: Of one call.

        Returns:
            Those that need not be read back, and those held before that they overwrote.
        """
        settled: list[WriteOperation] = []
        with self._lock:
            for operation in operations:
                effect = operation.action.effect(operation)
                key = effect.key_of(operation) if effect else operation.key
                before = self._expected.pop(key, None)
                overwritten = before.operations if before else []
                if effect is None:
                    settled += [*overwritten, operation]
                else:
                    self._expected[key] = _Expected(effect, [*overwritten, operation])
        return settled

    def run(self) -> None:
        """Look until everything shows or the time is over; the last look begins then, however long one takes.

        Raises:
            RequestError: A look failed.
            RecordError: Something did not take effect, and the run is to stop at a reject.
        """
        deadline = self._clock.monotonic() + self._seconds
        pause = 0.5
        while True:
            is_last = self._clock.monotonic() >= deadline
            if not self._look() or is_last:
                break
            self._clock.sleep(min(pause, deadline - self._clock.monotonic()))
            pause = min(2 * pause, LONGEST_PAUSE)
        refusal = RecordError(
            "unconfirmed", f"it was accepted, but did not take effect within {self._seconds:g} s; see Jetti's own log"
        )
        for key in list(self._expected):
            for operation in self._expected.pop(key).operations:
                self._rejected(operation, refusal)

    def _look(self) -> bool:
        """Confirm what shows now; answers whether anything is left."""
        by_effect: dict[Visibility, dict[Key, Record]] = {}
        for key, expected in self._expected.items():
            by_effect.setdefault(expected.effect, {})[key] = expected.payload
        for effect, wanted in by_effect.items():
            for key in effect.shown(wanted):
                for operation in self._expected.pop(key).operations:
                    self._confirmed(operation)
        return bool(self._expected)
