"""Turns records into operations, each with its place in the order of arrival."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.errors import RecordError
from tap_jetti.target.delivery.operations import Origin
from tap_jetti.target.delivery.record_errors import MissingKeyError, NothingToWriteError
from tap_jetti.target.delivery.record_labels import label_of
from tap_jetti.target.name_matching import shown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_jetti.target.delivery.checkpoints import Checkpoints
    from tap_jetti.target.delivery.ledger.replays import ReplayGuard
    from tap_jetti.target.delivery.operations import InputStream, Replay, WriteOperation
    from tap_jetti.target.delivery.outcomes import Outcomes
    from tap_jetti.target.delivery.write_path import WritePath


class RecordProcessor:
    """Validates records, and passes their operations on. Only the input thread uses it.

    Args:
        path: What takes the operations.
        outcomes: What is told of records that are rejected.
        checkpoints: What is told of every record.
        guard: Keeps older values of a rejects file from overwriting newer ones; None takes all as they come.
    """

    def __init__(
        self, path: WritePath, outcomes: Outcomes, checkpoints: Checkpoints, *, guard: ReplayGuard | None = None
    ) -> None:
        self._guard = guard
        self._path = path
        self._outcomes = outcomes
        self._checkpoints = checkpoints
        self._received = 0

    def process(
        self,
        input_stream: InputStream,
        record: dict[str, Any],
        raw: dict[str, Any],
        *,
        line: int,
        size: int,
        replay: Replay | None = None,
    ) -> None:
        """Process a record.

        Args:
            input_stream: Its stream.
            record: The record after stream maps.
            raw: The record as it was received.
            line: The number of its line.
            size: The length of its line.
            replay: What it says about its rejection, if it comes from a rejects file.

        Raises:
            RecordError: A record was rejected, and the run stops at the first rejected record.
            JettiError: A lookup failed, or the delivery did.
        """
        origin, columns = self._origin_of(input_stream, raw, replay), input_stream.columns
        try:
            for key in input_stream.keys:
                if key not in record:
                    raise MissingKeyError(f"{key}.missing", f"the key property {key} is missing")
            if replay is not None:
                _check_withheld(record, replay)
            fields, action = columns.read(record), input_stream.action
            is_deleted = columns.deletion_marks and columns.is_deleted(fields)
            operations = action.operations_for_deleted(fields) if is_deleted else action.operations_for(fields)
        except RecordError as error:
            self._reject(origin, error, record, line)
        else:
            if not operations:
                self._outcomes.mark_ignored(origin)
                return
            if len(operations) == 1 and operations[0].part is None:
                operations[0].origins.append(origin)
            else:
                self._assign(operations, origin, record)
            for operation in operations:
                operation.size = size
                if self._guard is None or self._guard.admit(operation):
                    self._path.add(operation)
                else:
                    self._outcomes.mark_superseded(operation)
        self._outcomes.check()

    def reject(
        self,
        input_stream: InputStream,
        raw: dict[str, Any],
        error: RecordError,
        *,
        line: int,
        replay: Replay | None = None,
    ) -> None:
        """Reject a record that cannot be read, or on which the stream maps failed.

        Args:
            input_stream: Its stream.
            raw: The record as it was received.
            error: What is wrong with it.
            line: The number of its line.
            replay: What it says about its rejection, if it comes from a rejects file.

        Raises:
            RecordError: The run stops at the first rejected record.
        """
        origin = self._origin_of(input_stream, raw, replay)
        self._outcomes.reject([origin], error, label=label_of(input_stream, raw, line))
        self._outcomes.check()

    def finish(self) -> None:
        """Return when everything that was received is done.

        Raises:
            JettiError: The delivery failed.
        """
        self._path.finish()

    def _origin_of(self, input_stream: InputStream, raw: dict[str, Any], replay: Replay | None) -> Origin:
        self._received += 1
        input_stream.figures.received += 1
        return Origin(input_stream, raw, self._checkpoints.add_record(), self._received, replay=replay)

    def _reject(self, origin: Origin, error: RecordError, record: dict[str, Any], line: int) -> None:
        input_stream = origin.input_stream
        if isinstance(error, (MissingKeyError, NothingToWriteError)):
            error = type(error)(error.title, error.detail + input_stream.columns.hint(record))
        self._outcomes.reject([origin], error, label=label_of(input_stream, record, line))

    def _assign(self, operations: Sequence[WriteOperation], origin: Origin, record: dict[str, Any]) -> None:
        """Give each operation its origin. A record of several operations is done when each of them is."""
        raw, columns = origin.record, origin.input_stream.columns
        parts = [origin]
        for _ in operations[1:]:
            checkpoint = self._checkpoints.add_record()
            parts.append(Origin(origin.input_stream, raw, checkpoint, origin.number, replay=origin.replay))
        for own, operation in zip(parts, operations, strict=False):
            own.parts = parts if len(parts) > 1 else None
            part = {columns.column_of(name, record): value for name, value in (operation.part or {}).items()}
            if part and all(raw.get(column) == record.get(column) for column in part):
                own.record = {**raw, **part}  # in the rejects file this operation stands alone
            operation.origins.append(own)


def _check_withheld(record: dict[str, Any], replay: Replay) -> None:
    """Check that a record from a rejects file is whole again: without its secret fields it would be another one.

    Raises:
        RecordError: A field is missing whose value the file does not hold.
    """
    missing = [name for name in replay.withheld if name not in record]
    if missing:
        names = ", ".join(map(shown_name, missing))
        raise RecordError(
            "withheld",
            f"{names} may hold a secret, so that the rejects file does not have it; add it to the record"
            " before you send the file again, or remove its name from rejection.withheld",
        )
