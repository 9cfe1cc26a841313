"""What becomes of a record: sent, confirmed, unchanged, left, or rejected; each one exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections import Counter
    from collections.abc import Iterable, Sequence

    from tap_jetti.errors import RecordError
    from tap_jetti.target.delivery.checkpoints import Checkpoint, Checkpoints
    from tap_jetti.target.delivery.operations import Origin, WriteOperation
    from tap_jetti.target.delivery.read_back import Confirmation
    from tap_jetti.target.delivery.rejects import RejectsFile
    from tap_jetti.target.delivery.summary import Summary

_NAMED = 5


class Outcomes:
    """Settles records, so that STATE can follow. Threads may share it.

    Args:
        checkpoints: What waits for the records.
        summary: Where they are counted.
        rejects: Where rejected records go; None counts them only, as a dry run does.
        stops: Whether the first rejected record ends the run.
        logger: Where rejects are reported.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        summary: Summary,
        *,
        rejects: RejectsFile | None,
        stops: bool,
        logger: logging.Logger,
    ) -> None:
        self.confirmation: Confirmation | None = None
        self._checkpoints = checkpoints
        self._tally = summary
        self._rejects = rejects
        self._stops = stops
        self._logger = logger
        self._reported = 0

    def unchanged(self, operation: WriteOperation) -> None:
        """Jetti has it already."""
        self._tally.add(operation.action.name, unchanged=1)
        self._settle(operation.origins)

    def sent(self, operations: Sequence[WriteOperation]) -> None:
        """Jetti accepted it; where that says nothing, it is settled when it was read back."""
        self._tally.add(operations[0].action.name, sent=len(operations))
        if self.confirmation is not None:
            operations = self.confirmation.hold(operations)
        self._settle(origin for operation in operations for origin in operation.origins)

    def placed(self, action: str, waiting: Counter[Checkpoint]) -> None:
        """It is in the feed file: so many records of each checkpoint."""
        self._tally.add(action, sent=waiting.total())
        self._checkpoints.settle(waiting.elements())

    def confirmed(self, operation: WriteOperation) -> None:
        """It was read back as it was sent."""
        self._tally.add(operation.action.name, confirmed=1)
        self._settle(operation.origins)

    def refused(self, operation: WriteOperation, refusal: RecordError) -> None:
        """Jetti does not write it, see `rejected`."""
        self.rejected(operation.origins, refusal, which=operation.label)

    def left(self, operation: WriteOperation) -> None:
        """It waits for the next run, and STATE with it."""
        self._tally.add(operation.action.name, left=1)
        self._checkpoints.hold()

    def rejected(self, origins: Sequence[Origin], refusal: RecordError, *, which: str) -> None:
        """It cannot be written.

        Args:
            origins: The records that it came from.
            refusal: Why.
            which: What tells it from others: a line, or its key.

        Raises:
            RecordError: The run is to stop at the first rejected record.
        """
        action = origins[0].input_stream.action.name
        self._tally.add(action, rejected=1)
        if self._stops:
            text = f"{action}: {which} cannot be written: {refusal}. Mend it, or let on_reject set such records aside."
            refusal.args = (text,)
            raise refusal
        self._reported += 1
        if self._reported <= _NAMED:
            self._logger.warning("%s: %s is rejected: %s", action, which, refusal)
        if self._rejects is None:
            return
        for origin in origins:
            self._rejects.add(origin.input_stream, origin.record, refusal)
        self._settle(origins)

    def _settle(self, origins: Iterable[Origin]) -> None:
        self._checkpoints.settle([origin.checkpoint for origin in origins])
