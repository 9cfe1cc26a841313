"""What is decided about each record on arrival: rejected, unchanged, over the quota, or to be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tap_jetti.errors import RecordError
from tap_jetti.target.delivery.operations import Origin
from tap_jetti.target.delivery.quota import FirstComeQuota, LargestChangeQuota
from tap_jetti.target.delivery.record_errors import MissingKeyError, NothingToWriteError
from tap_jetti.target.delivery.record_labels import label_of

if TYPE_CHECKING:
    from tap_jetti.target.delivery.change_detection import ChangeDetector
    from tap_jetti.target.delivery.checkpoints import Checkpoints
    from tap_jetti.target.delivery.operations import InputStream, WriteOperation
    from tap_jetti.target.delivery.outcomes import Outcomes


class Destination(Protocol):
    """Takes operations: the API, or a file."""

    def add(self, operation: WriteOperation) -> bool:
        """Take an operation; returns False if it was merged into one that waits."""
        ...

    def finish(self) -> None:
        """Return when every operation is done."""
        ...


@dataclass(frozen=True)
class SendPolicy:
    """Which records are sent, as the settings say.

    Attributes:
        max_updates: The largest number of limited operations to send; None for no limit.
        largest_first: Whether the operations with the largest change of inventory are sent, at the end of the input,
            instead of the first ones to arrive.
        dry_run: Whether nothing is sent at all.
    """

    max_updates: int | None = None
    largest_first: bool = False
    dry_run: bool = False


class RecordProcessor:
    """Turns records into operations. Only the input thread uses it.

    Args:
        destination: What takes operations.
        outcomes: What is told of records that are not sent.
        checkpoints: What is told of every record.
        detector: Compares records with Jetti's rows; None sends every record.
        policy: Which records are sent.
    """

    def __init__(
        self,
        destination: Destination,
        outcomes: Outcomes,
        checkpoints: Checkpoints,
        *,
        detector: ChangeDetector | None,
        policy: SendPolicy,
    ) -> None:
        self._destination = destination
        self._outcomes = outcomes
        self._checkpoints = checkpoints
        self._detector = detector
        self._dry_run = policy.dry_run
        self._first_come = FirstComeQuota(policy.max_updates)
        self._largest_change = None
        if policy.largest_first and policy.max_updates is not None:
            self._largest_change = LargestChangeQuota(policy.max_updates, outcomes.mark_left)
        self._fields: set[str] = set()
        self.has_streams = False
        """Whether a SCHEMA was received."""

    def add_stream(self, input_stream: InputStream) -> None:
        """Register a stream. The fields of its SCHEMA are read when its rows are compared."""
        self._fields |= input_stream.fields
        self.has_streams = True

    def process(
        self, input_stream: InputStream, record: dict[str, Any], raw: dict[str, Any], *, line: int, size: int
    ) -> None:
        """Process a record.

        Args:
            input_stream: Its stream.
            record: The record after stream maps.
            raw: The record as it was received.
            line: The number of its line.
            size: The length of its line.

        Raises:
            RecordError: The record is rejected, and the run stops at the first rejected record.
            JettiError: A lookup failed, or the delivery did.
        """
        input_stream.figures.received += 1
        origin = Origin(input_stream, raw, self._checkpoints.add_record())
        try:
            for key in input_stream.keys:
                if key not in record:
                    raise MissingKeyError(f"{key}.missing", f"the key property {key} is missing")
            columns = input_stream.columns
            operations = input_stream.action.operations_for(columns.read(record))
        except RecordError as error:
            if isinstance(error, (MissingKeyError, NothingToWriteError)):
                error = type(error)(error.title, error.detail + input_stream.columns.hint(record))
            self._outcomes.reject([origin], error, label=label_of(input_stream, record, line))
            return
        for number, operation in enumerate(operations):
            if number:  # a record of several operations is done when each of them is
                origin = Origin(input_stream, raw, self._checkpoints.add_record())
            part = operation.part
            if part:
                part = {columns.column_of(name, record): value for name, value in part.items()}
                if all(raw.get(column) == record.get(column) for column in part):
                    origin.record = {**raw, **part}  # in the rejects file this operation stands alone
            operation.size = size
            operation.origins.append(origin)
            self._decide(operation)

    def reject(self, input_stream: InputStream, raw: dict[str, Any], error: RecordError, *, line: int) -> None:
        """Reject a record on which the stream maps failed.

        Raises:
            RecordError: The run stops at the first rejected record.
        """
        input_stream.figures.received += 1
        origin = Origin(input_stream, raw, self._checkpoints.add_record())
        self._outcomes.reject([origin], error, label=label_of(input_stream, raw, line))

    def finish(self) -> None:
        """Send what was kept until the end of the input, and return when everything is done.

        Raises:
            JettiError: The delivery failed.
        """
        if self._largest_change is not None:
            for operation in self._largest_change.drain():
                self._send(operation)
        self._destination.finish()

    def _decide(self, operation: WriteOperation) -> None:
        figures = operation.origins[0].input_stream.figures
        action, detector = operation.action, self._detector
        is_new, change = False, None
        if detector is not None and detector.comparison.covers(operation.key):
            if action.comparison is None:  # it writes to a row that other actions compare
                detector.forget(operation.key)
            else:
                difference = detector.difference(operation.key, operation.payload, self._fields)
                if not difference.is_changed:
                    self._outcomes.mark_unchanged(operation)
                    return
                is_new, change = difference.is_new, difference.change
        if is_new:
            figures.added += 1
        else:
            figures.changed += 1
        if not action.is_limited:
            self._send(operation)
        elif self._largest_change is not None:
            if self._largest_change.offer(operation, change):
                figures.merged += 1
        elif self._first_come.take():
            self._send(operation)
        else:
            self._outcomes.mark_left(operation)

    def _send(self, operation: WriteOperation) -> None:
        if not self._dry_run and not self._destination.add(operation):
            operation.origins[0].input_stream.figures.merged += 1
            if operation.action.is_limited:
                self._first_come.give_back()
