"""The outcome of each record: sent, confirmed, unchanged, left for the next run, or rejected; exactly one each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections import Counter
    from collections.abc import Iterable, Mapping, Sequence

    from tap_jetti.errors import RecordError
    from tap_jetti.target.delivery.checkpoints import Checkpoint, Checkpoints
    from tap_jetti.target.delivery.operations import Origin, WriteOperation
    from tap_jetti.target.delivery.read_back import Confirmation
    from tap_jetti.target.delivery.rejects import RejectsFile
    from tap_jetti.target.delivery.summary import Summary

MAX_LOGGED = 5
"""Rejected records that are logged one by one; the summary counts all."""


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
        self._checkpoints = checkpoints
        self._summary = summary
        self._rejects = rejects
        self._stop_on_reject = stop_on_reject
        self._logger = logger
        self._logged = 0

    def mark_unchanged(self, operation: WriteOperation) -> None:
        """Jetti has it already."""
        self._summary.add(operation.action.name, unchanged=1)
        self._complete(operation.origins)

    def mark_sent(self, operations: Sequence[WriteOperation]) -> None:
        """Jetti accepted them. Those that can be read back are done only when they are confirmed."""
        self._summary.add(operations[0].action.name, sent=len(operations))
        if self.confirmation is not None:
            operations = self.confirmation.track(operations)
        self._complete(origin for operation in operations for origin in operation.origins)

    def mark_in_file(self, checkpoints: Counter[Checkpoint], figures: Mapping[str, Counter[str]]) -> None:
        """The feed file is as the records say.

        Args:
            checkpoints: The number of records per checkpoint.
            figures: The numbers of records by action and outcome.
        """
        for action, outcomes in figures.items():
            self._summary.add(action, **outcomes)
        self._checkpoints.complete(checkpoints.elements())

    def mark_confirmed(self, operation: WriteOperation) -> None:
        """It was read back as it was sent."""
        self._summary.add(operation.action.name, confirmed=1)
        self._complete(operation.origins)

    def mark_left(self, operation: WriteOperation) -> None:
        """It is left for the next run, and so is every STATE from now on."""
        self._summary.add(operation.action.name, left=1)
        self._checkpoints.withhold()

    def mark_rejected(self, operation: WriteOperation, error: RecordError) -> None:
        """It cannot be written; see `reject`."""
        self.reject(operation.origins, error, label=operation.label)

    def reject(self, origins: Sequence[Origin], error: RecordError, *, label: str) -> None:
        """Set records aside that cannot be written, or stop the run.

        Args:
            origins: The records.
            error: Why they cannot be written.
            label: What identifies them in a message: a line number or a key.

        Raises:
            RecordError: The run stops at the first rejected record.
        """
        action = origins[0].input_stream.action.name
        self._summary.add(action, rejected=1)
        if self._stop_on_reject:
            text = (
                f"{action}: {label} was rejected: {error}."
                " Correct the record, or set on_reject to set_aside to continue without it."
            )
            error.args = (text,)
            raise error
        self._logged += 1
        if self._logged <= MAX_LOGGED:
            self._logger.warning("%s: %s was rejected: %s", action, label, error)
        if self._rejects is None:
            return
        for origin in origins:
            self._rejects.add(origin.input_stream, origin.record, error)
        self._complete(origins)

    def _complete(self, origins: Iterable[Origin]) -> None:
        self._checkpoints.complete([origin.checkpoint for origin in origins])
