"""Sends a batch, and isolates a record that Jetti refuses, so that the others of its batch are still written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.errors import AccountLimitError, JettiError, NotFoundError, SettingsError
from tap_jetti.target.delivery.record_errors import AlreadyDoneError, is_limit_reached, record_error_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_jetti.client.clock import Clock
    from tap_jetti.target.delivery.ledger.write_log import WriteLog
    from tap_jetti.target.delivery.operations import Batch, WriteOperation
    from tap_jetti.target.delivery.outcomes import Outcomes
    from tap_jetti.target.delivery.summary import Summary


class BatchSender:
    """Turns a batch into calls, and responses into outcomes.

    When Jetti refuses a call of several operations, it is sent again in halves until the refused operation is alone:
    2 log2 n calls for one bad record among n. Jetti applies nothing of a refused call, and every batch call is an
    upsert, so a repeated call does no harm.

    A 404 can be about a record or about the path, and then every record would fail. So the first, the last and one
    operation between them are sent alone. If all of them get a 404, it is about the path, and the run stops.

    Args:
        outcomes: What is told of each operation.
        summary: Where the time is counted.
        clock: Measures the time.
        log: Where calls are written down; None writes none down.
    """

    def __init__(self, outcomes: Outcomes, summary: Summary, clock: Clock, *, log: WriteLog | None = None) -> None:
        self._outcomes = outcomes
        self._log = log
        self._summary = summary
        self._clock = clock

    def send(self, batch: Batch) -> None:
        """Send a batch.

        Raises:
            JettiError: The failure is not about one record, so no other batch can succeed either.
        """
        operations = self._outcomes.needed(batch.operations.values())
        if not operations:
            return
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

    def _send_or_split(self, operations: Sequence[WriteOperation], *, path_exists: bool = False) -> None:
        """Send operations, in several calls if Jetti refuses one."""
        error = self._attempt(operations)
        if error is None:
            return
        if isinstance(error, NotFoundError) and not path_exists and len(operations) > 1:
            operations = self._send_some_alone(operations)
        middle = len(operations) // 2
        for half in (operations[:middle], operations[middle:]):
            needed = self._outcomes.needed(half)
            if needed:
                self._send_or_split(needed, path_exists=True)

    def _attempt(self, operations: Sequence[WriteOperation], *, reject: bool = True) -> JettiError | None:
        """Make a call; returns the error if it is about a record, and rejects the operation if it is the only one."""
        call = self._log.begin(operations) if self._log is not None else None
        try:
            operations[0].action.send(operations)
        except AlreadyDoneError:
            for operation in operations:
                self._outcomes.mark_unchanged(operation)
            return None
        except JettiError as error:
            rejection = record_error_of(error)
            if rejection is None:
                raise _as_account_error(error) from error
            if self._log is not None:
                self._log.refused(call)
            if len(operations) > 1 or not reject:
                return error
            self._outcomes.mark_rejected(operations[0], rejection)
            return None
        if self._log is not None:
            self._log.accepted(call)
        self._outcomes.mark_accepted(operations)
        return None

    def _send_some_alone(self, operations: Sequence[WriteOperation]) -> Sequence[WriteOperation]:
        """Find out whether the path of operations exists; returns those that were not sent alone.

        Raises:
            SettingsError: It does not exist.
        """
        samples = list(dict.fromkeys((operations[0], operations[-1], operations[len(operations) // 2])))
        errors = [(one, error) for one in samples if (error := self._attempt([one], reject=False)) is not None]
        missing = [error for _, error in errors if isinstance(error, NotFoundError)]
        if len(missing) == len(samples):
            raise SettingsError(
                f"{operations[0].action.name}: {missing[0]} No record is set aside, since every one would be refused."
            ) from missing[0]
        for operation, error in errors:
            if (rejection := record_error_of(error)) is not None:
                self._outcomes.mark_rejected(operation, rejection)
        return [one for one in operations if one not in samples]


def _as_account_error(error: JettiError) -> JettiError:
    if not is_limit_reached(error):
        return error
    return AccountLimitError(f"Jetti accepts no more updates for now: {error} The others are sent by the next run.")
