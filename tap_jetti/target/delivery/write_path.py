"""The one path of every operation to its queue: merge, decide, quota, queue."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from tap_jetti.errors import RecordError
from tap_jetti.target.delivery.held import HeldOperations
from tap_jetti.target.delivery.quota import Admission
from tap_jetti.target.delivery.verdict import NOT_COMPARED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_jetti.client.clock import Clock
    from tap_jetti.target.delivery.operations import OperationKey, WriteOperation
    from tap_jetti.target.delivery.outcomes import Outcomes
    from tap_jetti.target.delivery.quota import Quota
    from tap_jetti.target.delivery.verdict import ChangeDetection, Verdict

DECIDED_TOGETHER = 10_000
"""The largest number of keys that are compared together."""

DECIDED_BYTES = 1 << 23
"""The approximate size of the operations that are compared together, in bytes."""

IDLE_SECONDS = 1.0
"""Operations are compared after this many seconds without input."""

MAX_AGE_SECONDS = 30.0
"""Operations are compared when the first of them has waited this long."""


class KeyQueues(Protocol):
    """Takes operations that are to be sent, and keeps the order of each key: see `Departures`."""

    def add(self, operation: WriteOperation) -> bool:
        """Take an operation; returns False if it was merged into one that waits."""
        ...

    def has(self, key: OperationKey) -> bool:
        """Whether an operation of a key is not done yet."""
        ...

    def tick(self) -> None:
        """Send what has waited long enough."""
        ...

    def finish(self) -> None:
        """Return when every operation is done."""
        ...


CHANGED_SINCE = (
    "the row was changed after the record was rejected, so its values may be older than Jetti's: compare them, and send"
    " the record again without its rejection if it is right"
)
"""Why a replayed record is rejected again."""


class WritePath:
    """Takes every operation to the queue of its key, whatever its action.

    An operation is merged with what waits for its key, compared with Jetti's row, and counted against the quota. While
    an operation of a key waits, for the comparison or for the end of the input, later ones of that key wait behind it,
    so the order of a key holds by construction.

    The input thread calls `add` and `finish`, and a timer calls `tick`.

    Args:
        queues: What takes the operations that are to be sent.
        outcomes: What is told of operations that are not sent.
        detector: Compares operations with Jetti's rows; None sends every operation.
        quota: How many operations may be sent.
        clock: For the time that operations wait.
    """

    def __init__(
        self,
        queues: KeyQueues,
        outcomes: Outcomes,
        *,
        detector: ChangeDetection | None,
        quota: Quota,
        clock: Clock,
    ) -> None:
        self._queues = queues
        self._outcomes = outcomes
        self._detector = detector
        self._quota = quota
        self._clock = clock
        self._undecided = HeldOperations()
        self._held = HeldOperations()
        self._added = 0
        self._seen = 0
        self._idle_since = self._waits_since = clock.monotonic()
        self._lock = threading.RLock()

    def add(self, operation: WriteOperation) -> None:
        """Take an operation.

        Raises:
            JettiError: A comparison failed, or the delivery did.
        """
        with self._lock:
            self._added += 1
            if self._detector is None or not self._detector.covers(operation.key):
                self._admit(operation, NOT_COMPARED)
                return
            if not self._undecided:
                self._waits_since = self._clock.monotonic()
            self._undecided.add(operation)
            if len(self._undecided) >= DECIDED_TOGETHER or self._undecided.size >= DECIDED_BYTES:
                self._decide(self._undecided.take_all(), is_end=False)

    def tick(self) -> None:
        """Compare what waits too long for more input.

        Raises:
            JettiError: As for `add`.
        """
        with self._lock:
            now = self._clock.monotonic()
            if self._added != self._seen:
                self._seen, self._idle_since = self._added, now
            is_due = now - self._idle_since >= IDLE_SECONDS or now - self._waits_since >= MAX_AGE_SECONDS
            if self._undecided and is_due:
                self._decide(self._undecided.take_all(), is_end=False)
            self._queues.tick()

    def finish(self) -> None:
        """Send everything that waits, and return when everything is done.

        Raises:
            JettiError: As for `add`.
        """
        with self._lock:
            self._decide(self._undecided.take_all(), is_end=True)
            for key in self._quota.drain():
                self._release(key)
            for key in self._quota.evicted():
                self._leave(key)
            self._queues.finish()

    def _decide(self, operations: Sequence[WriteOperation], *, is_end: bool) -> None:
        if self._detector is None or not operations:
            return
        verdicts = self._detector.decide(operations, is_end=is_end)
        for operation, verdict in zip(operations, verdicts, strict=True):
            waits = operation.key in self._held or self._queues.has(operation.key)
            if verdict.is_needless and not waits:  # otherwise what waits would have the last word
                self._outcomes.mark_unchanged(operation, is_under_way=verdict.is_under_way)
            elif verdict.is_outdated:
                self._outcomes.mark_rejected(operation, RecordError("changed_since", CHANGED_SINCE))
            else:
                self._admit(operation, verdict)

    def _admit(self, operation: WriteOperation, verdict: Verdict) -> None:
        """Queue an operation, hold it, or leave it, as the quota says."""
        key = operation.key
        if self._held.queues and key in self._held:
            self._join(operation, verdict)
            return
        self._outcomes.count_planned(operation, verdict)
        if not operation.action.is_limited:
            self._queue(operation)
            return
        admission = self._quota.offer(key, verdict)
        if admission is Admission.SEND:
            self._queue(operation)
        elif admission is Admission.LEAVE:
            self._outcomes.mark_left(operation)
        else:
            self._held.add(operation)
            for evicted in self._quota.evicted():
                self._leave(evicted)

    def _join(self, operation: WriteOperation, verdict: Verdict) -> None:
        """Put an operation behind those of its key that are held."""
        self._held.add(operation)
        if not self._held.first(operation.key).action.is_limited:  # a removal has replaced what was held
            self._quota.drop(operation.key)
            self._release(operation.key)
        elif operation.action.is_limited:
            self._quota.update(operation.key, verdict)

    def _release(self, key: OperationKey) -> None:
        for operation in self._held.take(key):
            self._queue(operation)

    def _leave(self, key: OperationKey) -> None:
        for operation in self._held.take(key):
            if operation.action.is_limited:
                self._outcomes.mark_left(operation)
            else:
                self._queue(operation)

    def _queue(self, operation: WriteOperation) -> None:
        if not self._queues.add(operation) and operation.action.is_limited:
            self._quota.give_back()
