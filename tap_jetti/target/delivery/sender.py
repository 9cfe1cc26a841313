"""Sends a batch, and isolates a record that Jetti refuses, so that the others of its batch are still written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.errors import JettiError, NotFoundError
from tap_jetti.target.delivery.record_errors import record_error_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_jetti.client.clock import Clock
    from tap_jetti.target.delivery.operations import Batch, WriteOperation
    from tap_jetti.target.delivery.outcomes import Outcomes
    from tap_jetti.target.delivery.summary import Summary


class BatchSender:
    """Turns a batch into calls, and responses into outcomes.

    When Jetti refuses a call of several operations, it is sent again in halves until the refused operation is alone:
    2 log2 n calls for one bad record among n. Jetti applies nothing of a refused call, and every batch call is an
    upsert, so a repeated call does no harm.

    A 404 can be about a record or about the path, and then every record would fail. So the first and the last
    operation are sent alone. If both get a 404, those between them are rejected without being sent.

    Args:
        outcomes: What is told of each operation.
        summary: Where the time is counted.
        clock: Measures the time.
    """

    def __init__(self, outcomes: Outcomes, summary: Summary, clock: Clock) -> None:
        self._outcomes = outcomes
        self._summary = summary
        self._clock = clock

    def send(self, batch: Batch) -> None:
        """Send a batch.

        Raises:
            JettiError: The failure is not about one record, so no other batch can succeed either.
        """
        operations = list(batch.operations.values())
        action = operations[0].action
        started = self._clock.monotonic()
        try:
            done = action.already_done(operations)
            for operation in done:
                self._outcomes.mark_unchanged(operation)
            remaining = [operation for operation in operations if operation not in done] if done else operations
            for call in action.calls(remaining):
                self._send_or_split(call)
        finally:
            self._summary.add(action.name, seconds=self._clock.monotonic() - started)

    def _send_or_split(self, operations: Sequence[WriteOperation], *, path_exists: bool = False) -> bool:
        """Send operations, in several calls if Jetti refuses one; returns False if the path seems not to exist."""
        try:
            operations[0].action.send(operations)
        except JettiError as error:
            rejection = record_error_of(error)
            if rejection is None:
                raise
            is_missing = isinstance(error, NotFoundError) and not path_exists
            if len(operations) == 1:
                self._outcomes.mark_rejected(operations[0], rejection)
                return not is_missing
            if is_missing:
                path_exists = any([self._send_or_split(operations[:1]), self._send_or_split(operations[-1:])])
                operations = operations[1:-1]
                if not path_exists:
                    for operation in operations:
                        self._outcomes.mark_rejected(operation, rejection)
                    return False
            middle = len(operations) // 2
            for half in filter(None, (operations[:middle], operations[middle:])):
                self._send_or_split(half, path_exists=True)
        else:
            self._outcomes.mark_sent(operations)
        return True
