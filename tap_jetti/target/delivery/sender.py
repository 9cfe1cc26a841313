"""Sends a batch, and finds the one record in it that Jetti refuses, so that its neighbours still go."""

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
    """Turns a batch into calls, and answers into outcomes.

    A refused call of several items is sent again in halves until the refused item is alone:
    2 log2 n calls for one poison record among n. Jetti applies none of a refused batch, and every
    batch call is an upsert, so nothing is done twice that matters.

    A 404 may be about an item or about the path, which no item would get through: the first and the
    last item tell, sent alone. If neither gets through, those between them are refused unsent.
    """

    def __init__(self, outcomes: Outcomes, summary: Summary, clock: Clock) -> None:
        self._outcomes = outcomes
        self._tally = summary
        self._clock = clock

    def deliver(self, batch: Batch) -> None:
        """Send a batch.

        Raises:
            JettiError: It was not about one record: nothing else will work either.
        """
        operations = list(batch.operations.values())
        action = operations[0].action
        started = self._clock.monotonic()
        try:
            done = action.already_done(operations)
            for operation in done:
                self._outcomes.unchanged(operation)
            for call in action.calls(
                [operation for operation in operations if operation not in done] if done else operations
            ):
                self._send(call)
        finally:
            self._tally.add(action.name, seconds=self._clock.monotonic() - started)

    def _send(self, operations: Sequence[WriteOperation], *, leads_somewhere: bool = False) -> bool:
        """Send items, in several calls if need be; answers whether the path leads somewhere."""
        try:
            operations[0].action.send(operations)
        except JettiError as error:
            refusal = record_error_of(error)
            if refusal is None:
                raise
            is_missing = isinstance(error, NotFoundError) and not leads_somewhere
            if len(operations) == 1:
                self._outcomes.refused(operations[0], refusal)
                return not is_missing
            if is_missing:
                leads_somewhere = any([self._send(operations[:1]), self._send(operations[-1:])])
                operations = operations[1:-1]
                if not leads_somewhere:
                    for operation in operations:
                        self._outcomes.refused(operation, refusal)
                    return False
            middle = len(operations) // 2
            for half in filter(None, (operations[:middle], operations[middle:])):
                self._send(half, leads_somewhere=True)
        else:
            self._outcomes.sent(operations)
        return True
