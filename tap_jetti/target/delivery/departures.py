"""What operations wait for before they are sent: for others of their group, or for an earlier one in Jetti's queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tap_jetti.target.delivery.held import TimedOperations
from tap_jetti.target.delivery.sent_keys import SentKeys

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock
    from tap_jetti.target.delivery.operations import OperationKey, WriteOperation
    from tap_jetti.target.delivery.read_back import Confirmation

MAX_HELD = 5_000
"""Keys that may wait; beyond that the oldest is sent."""

MAX_HELD_BYTES = 1 << 23
"""Their approximate size in bytes."""

REPEAT_SECONDS = 30.0
"""An operation waits this long for an earlier one of its key in Jetti's queue, or confirm_seconds if that is longer."""


class Destination(Protocol):
    """Takes operations: the API, or a file."""

    def add(self, operation: WriteOperation) -> bool:
        """Take an operation; returns False if it was merged into one that waits."""
        ...

    def has(self, key: OperationKey) -> bool:
        """Whether an operation of a key is not done yet."""
        ...

    def merge(self, operation: WriteOperation) -> bool:
        """Merge an operation into one that has not been sent; returns False if there is none."""
        ...

    def finish(self) -> None:
        """Return when every operation is done."""
        ...


class Departures:
    """Sends operations when nothing that was sent before can overtake them. Its caller holds a lock.

    - Records that are parts of one event, such as the items of a shipment, are united: they wait until no other part
      has come for some time.
    - Jetti accepts inbound data before it processes it, and does not promise an order. So an operation whose key was
      sent that way in this run waits, and is merged with those that follow, until the end of the input. Then it is sent
      when everything before it is visible, or `confirm_seconds` are over. Where nothing is read back, and where too
      much waits, that is not possible, and a warning says so.

    That a value is visible shows that it was processed only if it was not visible before, and was sent once.

    Args:
        destination: What takes the operations.
        confirmation: What waits until operations are visible; None if nothing is read back.
        confirm_seconds: How long that may take.
        is_processed_if_visible: Tells of a key whether Jetti has processed all of it as soon as its value is visible.
        clock: For the time that operations wait.
        logger: For the warning.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        confirmation: Confirmation | None,
        confirm_seconds: float,
        is_processed_if_visible: Callable[[OperationKey], bool],
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        self._destination = destination
        self._confirmation = confirmation
        self._confirm_seconds = confirm_seconds
        self._is_processed_if_visible = is_processed_if_visible
        self._repeat_seconds = max(REPEAT_SECONDS, confirm_seconds)
        self._clock = clock
        self._logger = logger
        self._groups = TimedOperations()
        self._repeated = TimedOperations()
        self._sent = SentKeys()
        self._has_warned = False

    def add(self, operation: WriteOperation) -> bool:
        """Take an operation; returns False if it was merged into one that waits."""
        if not operation.action.group_seconds:
            return self._send(operation)
        until = self._clock.monotonic() + operation.action.group_seconds
        is_new = self._groups.hold(operation, until=until, renew=True)
        while _is_full(self._groups):
            self._close_group(self._groups.oldest())
        return is_new

    def has(self, key: OperationKey) -> bool:
        """Whether an operation of a key is not done yet."""
        return key in self._groups or key in self._repeated or self._destination.has(key)

    def tick(self) -> None:
        """Send what has waited long enough."""
        now = self._clock.monotonic()
        for key in self._groups.due(now):
            self._close_group(key)
        for key in self._repeated.due(now):
            self._send_unordered(key)

    def finish(self) -> None:
        """Send everything that waits, and return when everything is done."""
        for key in list(self._groups):
            self._close_group(key)
        self._destination.finish()
        if not self._repeated:
            return
        self._wait_for_queue()
        for key in list(self._repeated):
            self._send_repeated(key)
        self._destination.finish()

    def _wait_for_queue(self) -> None:
        """Wait until Jetti has processed what was sent before the operations that wait for it."""
        if self._confirmation is None:
            self._warn()
            return
        until = self._clock.monotonic() + self._confirm_seconds
        self._confirmation.settle()
        if not all(map(self._is_processed_if_visible, self._repeated)):
            self._clock.sleep(until - self._clock.monotonic())

    def _close_group(self, key: OperationKey) -> None:
        for operation in self._groups.take(key):
            self._send(operation)

    def _send(self, operation: WriteOperation) -> bool:
        """Send an operation, or let it wait if an earlier one of its key may still be in Jetti's queue."""
        key = operation.key
        is_queued = operation.action.is_queued(operation.route)
        if self._sent.add(key) if is_queued else key not in self._sent:
            return self._destination.add(operation)
        if key not in self._repeated and self._destination.merge(operation):
            return False
        is_new = self._repeated.hold(operation, until=self._clock.monotonic() + self._repeat_seconds, renew=False)
        while _is_full(self._repeated):
            self._send_unordered(self._repeated.oldest())
        return is_new

    def _send_unordered(self, key: OperationKey) -> None:
        self._warn()
        self._send_repeated(key)

    def _send_repeated(self, key: OperationKey) -> None:
        for operation in self._repeated.take(key):
            self._destination.add(operation)

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._logger.warning(
                "Some keys were sent more than once in this run. Jetti may process inbound data in another order, so an"
                " earlier value can be the last one. Send each key once per run, or set confirm_seconds: then a later"
                " value waits for the earlier one at the end of the input."
            )


def _is_full(held: TimedOperations) -> bool:
    return len(held) > MAX_HELD or held.size > MAX_HELD_BYTES
