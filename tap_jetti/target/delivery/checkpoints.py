"""STATE messages that wait until every record before them is done."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Checkpoint:
    """The records received between two STATE messages.

    Attributes:
        received: The number of records; only the input thread changes it.
        done: How many of them are delivered or set aside.
        state: The value of the STATE message that follows them.
        is_closed: Whether that STATE message was received, so that no more records belong here.
    """

    __slots__ = ("done", "is_closed", "received", "state")

    def __init__(self) -> None:
        self.received = 0
        self.done = 0
        self.state: Any = None
        self.is_closed = False


class Checkpoints:
    """Writes each STATE once every record before it is done, in order; if several are due, the last one only.

    A STATE that follows another one without records between them replaces it. A record counts from the moment it is
    received: whatever interrupts the run, a STATE can be late but never early. Only the input thread adds records
    and STATE; any thread may complete records.

    Args:
        write: Writes the value of a STATE message.
    """

    def __init__(self, write: Callable[[Any], None]) -> None:
        self._write = write
        self._open = Checkpoint()
        self._waiting = deque([self._open])
        self._is_withheld = False
        self._lock = threading.Lock()

    def add_record(self) -> Checkpoint:
        """Count a record. Pass the result to `complete`, once, when the record is done."""
        checkpoint = self._open
        checkpoint.received += 1
        return checkpoint

    def complete(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Count one record of each of these as delivered or set aside."""
        with self._lock:
            for checkpoint in checkpoints:
                checkpoint.done += 1
            self._write_due()

    def withhold(self) -> None:
        """Write no STATE that is received from now on: a record is left for the next run."""
        self._is_withheld = True

    def add_state(self, value: Any) -> None:  # noqa: ANN401 - STATE is the tap's own
        """Add a STATE message."""
        with self._lock:
            if self._is_withheld:
                return
            if not self._open.received and len(self._waiting) > 1:
                self._waiting[-2].state = value
                return
            self._open.state = value
            self._open.is_closed = True
            self._open = Checkpoint()
            self._waiting.append(self._open)
            self._write_due()

    def _write_due(self) -> None:
        due = None
        while self._waiting[0].is_closed and self._waiting[0].received == self._waiting[0].done:
            due = self._waiting.popleft()
        if due is not None:
            self._write(due.state)
