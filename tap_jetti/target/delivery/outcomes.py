"""The outcome of each record: ignored, unchanged, merged, accepted, confirmed, rejected, or left for the next run."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_jetti.errors import RefusalsError
from tap_jetti.target.delivery.figures import Outcome
from tap_jetti.target.delivery.record_errors import is_refusal

if TYPE_CHECKING:
    import logging
    from collections import Counter
    from collections.abc import Iterable, Mapping, Sequence

    from tap_jetti.errors import RecordError
    from tap_jetti.target.delivery.checkpoints import Checkpoint, Checkpoints
    from tap_jetti.target.delivery.ledger.replays import ReplayGuard
    from tap_jetti.target.delivery.operations import OperationKey, Origin, WriteOperation
    from tap_jetti.target.delivery.read_back import Confirmation
    from tap_jetti.target.delivery.rejects import RejectsFile
    from tap_jetti.target.delivery.summary import Summary
    from tap_jetti.target.delivery.verdict import Verdict

MAX_LOGGED = 5
"""Rejected records that are logged one by one; the summary counts all."""

MAX_EQUAL_REFUSALS = 20
"""Refusals of one action with one reason, without anything accepted between them, that stop the run."""

MIN_QUEUE_REFUSALS = 5
"""Refusals of one action with one reason that stop the run at its end, if Jetti's queue has accepted nothing."""


@dataclass(frozen=True)
class _Rejection:
    origins: Sequence[Origin]
    error: RecordError
    label: str
    is_queued: bool = False

    @property
    def reason(self) -> tuple[int | None, str]:
        return self.error.status, self.error.title


class Outcomes:
    """Counts outcomes, and marks records as done so that STATE can follow. Thread-safe.

    Args:
        checkpoints: What waits for the records.
        summary: Where outcomes are counted.
        rejects: Where rejected records are written; None only counts them, as in a dry run.
        stop_on_reject: Whether the first rejected record ends the run.
        logger: For messages about rejected records.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        summary: Summary,
        *,
        rejects: RejectsFile | None,
        stop_on_reject: bool,
        logger: logging.Logger,
    ) -> None:
        self.confirmation: Confirmation | None = None
        """Where sent operations wait until they are visible; None if nothing is read back."""
        self.guard: ReplayGuard | None = None
        """Where it is remembered which records were set aside; None if none are."""
        self._checkpoints = checkpoints
        self._summary = summary
        self._rejects = rejects
        self._stop_on_reject = stop_on_reject
        self._logger = logger
        self._logged = 0
        self._stop: tuple[int, RecordError] | None = None
        # Rejections whose reason may be the account's: they are set aside when something else of the action succeeds.
        self._refused: dict[str, list[_Rejection]] = {}
        self._lock = threading.RLock()

    def count_planned(self, operation: WriteOperation, verdict: Verdict) -> None:
        """Count an operation that differs from what Jetti has. Only the thread that holds the path's lock calls it."""
        figures = operation.origins[-1].input_stream.figures
        if verdict.is_new:
            figures.added += 1
        else:
            figures.changed += 1

    def mark_ignored(self, origin: Origin) -> None:
        """Its row was deleted in the source, and such records are to be ignored."""
        self._summary.settle([origin], Outcome.IGNORED)
        self._complete([origin])

    def mark_unchanged(self, operation: WriteOperation, *, is_under_way: bool = False) -> None:
        """Jetti has it already, or has accepted it a few minutes ago. Then it is read back like one that is sent."""
        self._summary.settle_sent([operation], Outcome.UNCHANGED)
        if is_under_way:
            self._summary.add(operation.action.name, under_way=1)
            operation.is_under_way = True
        done = [operation]
        if is_under_way and self.confirmation is not None:
            done = self.confirmation.track(done)
        self._complete(origin for one in done for origin in one.origins)

    def mark_accepted(self, operations: Sequence[WriteOperation]) -> None:
        """Jetti accepted them. Those that can be read back are done only when they are confirmed."""
        self._set_refused_aside(operations[0].action.name)
        self._summary.settle_sent(operations, Outcome.ACCEPTED)
        if self.confirmation is not None:
            operations = self.confirmation.track(operations)
        self._checkpoints.complete([origin.checkpoint for one in operations for origin in one.origins])

    def mark_superseded(self, operation: WriteOperation) -> None:
        """It comes from a rejects file, and newer values of all its fields came meanwhile."""
        self._summary.settle(operation.origins, Outcome.MERGED)
        self._complete(operation.origins)

    def mark_in_file(self, checkpoints: Counter[Checkpoint], figures: Mapping[str, Counter[str]]) -> None:
        """The feed file is as the records say.

        Args:
            checkpoints: The number of records per checkpoint.
            figures: By action, what is added to its figures.
        """
        for action, added in figures.items():
            self._summary.add(action, **added)
        self._checkpoints.complete(checkpoints.elements())

    def mark_confirmed(self, operation: WriteOperation) -> None:
        """It was read back as it was sent."""
        self._summary.settle_sent([operation], Outcome.CONFIRMED)
        self._complete(operation.origins)

    def mark_left(self, operation: WriteOperation) -> None:
        """It is left for the next run, and so is every STATE from now on."""
        self._summary.settle(operation.origins, Outcome.LEFT)
        self._checkpoints.withhold()

    def mark_rejected(self, operation: WriteOperation, error: RecordError) -> None:
        """It cannot be written; see `reject`."""
        is_queued = operation.action.is_queued(operation.route)
        self.reject(operation.origins, error, label=operation.label, is_queued=is_queued, key=operation.key)

    def reject(
        self,
        origins: Sequence[Origin],
        error: RecordError,
        *,
        label: str,
        is_queued: bool = False,
        key: OperationKey | None = None,
    ) -> None:
        """Set records aside that cannot be written, or stop the run.

        Args:
            origins: The records.
            error: Why they cannot be written.
            label: What identifies them in a message: a line number or a key.
            key: What they would have been written to; None if they became no operation.
            key: What they would have been written to; None if they became no operation.
            is_queued: Whether Jetti was to accept them before it looks at them.

        Raises:
            RefusalsError: Jetti refused too many records in a row with the same reason. They are not set aside.
        """
        self._summary.settle(origins, Outcome.REJECTED)
        if self.guard is not None and not self._stop_on_reject:
            for origin in origins:
                self.guard.set_aside(origin, key)
        rejection = _Rejection(origins, error, label, is_queued)
        with self._lock:
            if self._stop_on_reject:
                self._stop_at(rejection)
            elif is_refusal(error):
                self._refuse(rejection)
            else:
                self._set_aside(rejection)

    def check(self) -> None:
        """Stop the run if a record was rejected and none may be.

        Raises:
            RecordError: The first rejected record in the order of arrival.
        """
        if self._stop is not None:
            raise self._stop[1]

    def needed(self, operations: Iterable[WriteOperation]) -> list[WriteOperation]:
        """Return the operations that are still sent: those before the rejected record if one stops the run."""
        stop = self._stop
        return [one for one in operations if stop is None or one.number < stop[0]]

    def finish(self) -> None:
        """Set aside what may have been refused because of the account: everything was sent, and it was not.

        Raises:
            RefusalsError: Jetti's queue, which takes nearly everything, has refused everything.
        """
        for action, rejections in list(self._refused.items()):
            nothing_accepted = not self._summary.of(action).sent
            if nothing_accepted and len(rejections) >= MIN_QUEUE_REFUSALS and all(one.is_queued for one in rejections):
                raise _refusals(rejections)
            self._set_refused_aside(action)

    def _stop_at(self, rejection: _Rejection) -> None:
        number, error = min(origin.number for origin in rejection.origins), rejection.error
        if self._stop is None or number < self._stop[0]:
            text = (
                f"{_action_of(rejection)}: {rejection.label} was rejected: {error}."
                " Correct the record, or set on_reject to set_aside to continue without it."
            )
            error.args = (text,)
            self._stop = (number, error)

    def _refuse(self, rejection: _Rejection) -> None:
        action = _action_of(rejection)
        waiting = self._refused.get(action)
        if waiting and waiting[0].reason != rejection.reason:
            self._set_refused_aside(action)
        waiting = self._refused.setdefault(action, [])
        waiting.append(rejection)
        if len(waiting) >= MAX_EQUAL_REFUSALS:
            raise _refusals(waiting)

    def _set_refused_aside(self, action: str) -> None:
        if action not in self._refused:
            return
        with self._lock:
            for rejection in self._refused.pop(action, ()):
                self._set_aside(rejection)

    def _set_aside(self, rejection: _Rejection) -> None:
        self._logged += 1
        if self._logged <= MAX_LOGGED:
            self._logger.warning("%s: %s was rejected: %s", _action_of(rejection), rejection.label, rejection.error)
        if self._rejects is not None:
            for origin in rejection.origins:
                self._rejects.add(origin, rejection.error)
        self._complete(rejection.origins)

    def _complete(self, origins: Iterable[Origin]) -> None:
        self._checkpoints.complete([origin.checkpoint for origin in origins])


def _refusals(rejections: Sequence[_Rejection]) -> RefusalsError:
    labels = ", ".join(one.label for one in rejections[:MAX_LOGGED])
    return RefusalsError(
        f"{_action_of(rejections[0])}: Jetti refused {len(rejections)} records in a row with the same error:"
        f" {rejections[0].error}. The first of them: {labels}. They are not set aside, and no STATE passes them."
        " Correct the settings or the account, then run again."
    )


def _action_of(rejection: _Rejection) -> str:
    return rejection.origins[0].input_stream.action.name
