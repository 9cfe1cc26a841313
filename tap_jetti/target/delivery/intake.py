"""What is decided of each record as it comes: refused, unchanged, over the budget, or on its way."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import RecordError
from tap_jetti.target.delivery.operations import Origin, WriteOperation
from tap_jetti.target.delivery.quota import FirstComeQuota, LargestChangeQuota
from tap_jetti.target.delivery.record_errors import MissingKeyError

if TYPE_CHECKING:
    from typing import Protocol

    from tap_jetti.target.delivery.change_detection import ChangeDetector
    from tap_jetti.target.delivery.checkpoints import Checkpoints
    from tap_jetti.target.delivery.operations import InputStream
    from tap_jetti.target.delivery.outcomes import Outcomes

    class Destination(Protocol):
        """Where items go."""

        def add(self, operation: WriteOperation) -> bool:
            """Take an item; answers False if it was merged with one that waits."""

        def finish(self) -> None:
            """Return when all is done."""


COMPARED = "inventory_feed_variants"
"""The action whose records are compared with what Jetti has, and counted against the day's limit."""


_NONE = Decimal(0)


@dataclass(frozen=True)
class Policy:
    """What the settings say of which records are sent.

    Attributes:
        most: Updates of feed variants to send at most; None is any number.
        largest_first: Whether those of the largest change in inventory go, at the end of the
            input, instead of the first ones to come.
        dry_run: Whether nothing is sent at all.
    """

    most: int | None = None
    largest_first: bool = False
    dry_run: bool = False


class RecordProcessor:
    """Turns records into items. Used by the thread of the input alone.

    Args:
        destination: Where items go.
        outcomes: Where records go that are not sent.
        checkpoints: What waits for each record.
        current: What Jetti has; None sends everything.
        policy: What the settings say.
    """

    def __init__(
        self,
        destination: Destination,
        outcomes: Outcomes,
        checkpoints: Checkpoints,
        *,
        current: ChangeDetector | None,
        policy: Policy,
    ) -> None:
        self._destination = destination
        self._outcomes = outcomes
        self._checkpoints = checkpoints
        self._current = current
        self._dry_run = policy.dry_run
        self._arrival = FirstComeQuota(policy.most)
        self._ranking = None
        if policy.largest_first and policy.most is not None:
            self._ranking = LargestChangeQuota(policy.most, outcomes.left)
        self._announced: set[str] = set()
        self.is_announced = False
        """Whether any stream was."""

    def announce(self, input_stream: InputStream) -> None:
        """Take note of a stream: the fields it announces are what its feed is compared by."""
        self._announced |= input_stream.fields
        self.is_announced = True

    def take(
        self, input_stream: InputStream, record: dict[str, Any], raw: dict[str, Any], *, line: int, size: int
    ) -> None:
        """Take a record in.

        Args:
            input_stream: Its stream.
            record: What the stream maps made of it.
            raw: As it came.
            line: The number of its line.
            size: The length of its line.

        Raises:
            RecordError: It is rejected, and the run is to stop at a reject.
            JettiError: Something had to be asked of Jetti and could not, or the delivery failed.
        """
        input_stream.figures.received += 1
        origin = Origin(input_stream, raw, self._checkpoints.receive())
        try:
            for key in input_stream.keys:
                if key not in record:
                    raise MissingKeyError(f"{key}.missing", f"the key property {key} is missing")
            drafts = input_stream.action.drafts(record)
        except RecordError as refusal:
            self._outcomes.rejected([origin], refusal, which=f"the record on line {line}")
            return
        for number, draft in enumerate(drafts):
            if number:  # a record that is several items is settled by each of them
                origin = Origin(input_stream, raw, self._checkpoints.receive())
            if draft.part and all(raw.get(name) == record.get(name) for name in draft.part):
                origin.record = {**raw, **draft.part}  # so that feeding it back in repeats no other of them
            self._decide(WriteOperation(input_stream.action, draft.route, draft.key, draft.payload, size, [origin]))

    def refuse(self, input_stream: InputStream, raw: dict[str, Any], refusal: RecordError, *, line: int) -> None:
        """Take a record in that stream maps made nothing of.

        Raises:
            RecordError: The run is to stop at a reject.
        """
        input_stream.figures.received += 1
        origin = Origin(input_stream, raw, self._checkpoints.receive())
        self._outcomes.rejected([origin], refusal, which=f"the record on line {line}")

    def finish(self) -> None:
        """Send what was held back, and return when all is done.

        Raises:
            JettiError: The delivery failed.
        """
        if self._ranking is not None:
            for operation in self._ranking.release():
                self._send(operation)
        self._destination.finish()

    def _decide(self, operation: WriteOperation) -> None:
        figures = operation.origins[0].input_stream.figures
        if operation.action.name != COMPARED:
            figures.changed += 1
            if self._current is not None and operation.key[0] == COMPARED:  # it removes what is compared with
                self._current.forget(int(str(operation.key[1])), str(operation.key[2]))
            self._send(operation)
            return
        is_new, change = False, _NONE
        if self._current is not None and operation.route[2] is not None:
            feed, external_id = int(str(operation.route[2])), str(operation.key[-1])
            found = self._current.difference(feed, external_id, operation.payload, self._announced)
            if not found.is_changed:
                self._outcomes.unchanged(operation)
                return
            is_new, change = found.is_new, found.quantity
        if is_new:
            figures.added += 1
        else:
            figures.changed += 1
        if self._ranking is not None:
            if self._ranking.take(operation, change):
                figures.merged += 1
        elif self._arrival.take(operation, change) is None:
            self._outcomes.left(operation)
        else:
            self._send(operation)

    def _send(self, operation: WriteOperation) -> None:
        if not self._dry_run and not self._destination.add(operation):
            operation.origins[0].input_stream.figures.merged += 1
            self._arrival.give_back()
