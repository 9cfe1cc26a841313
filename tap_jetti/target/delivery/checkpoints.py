"""STATE messages that wait until every record before them is done."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_WAITING = 32
"""STATE messages that wait at most; the newest one takes the place of the one before it if there are more."""


class Checkpoint:
    """The records received between two STATE messages.

    Attributes:
        received: The number of records; only the input thread changes it while the checkpoint is open.
        done: How many of them are delivered or set aside.
        state: The value of the STATE message that follows them.
        is_closed: Whether that STATE message was received, so that no more records belong here.
        joined: The checkpoint that this one became a part of.
    """

    __slots__ = ("done", "is_closed", "joined", "received", "state")

    def __init__(self) -> None:
        self.received = 0
        self.done = 0
        self.state: Any = None
        self.is_closed = False
        self.joined: Checkpoint | None = None


class Checkpoints:
    """Writes each STATE once every record before it is done, in order; if several are due, the last one only.

    A record counts from the moment it is received: whatever interrupts the run, a STATE can be late but never early.
    Only the input thread adds records and STATE; any thread may complete records.

    Memory is bounded, however many STATE messages wait for one record. A STATE whose own records are done waits for
    those before it alone, so it takes the place of the STATE before it. If too many wait nevertheless, the newest one
    takes the place of the one before, and the records of both count together.

    Args:
        write: Writes the value of a STATE message.
    """

    def __init__(self, write: Callable[[Any], None]) -> None:
        self._write = write
        self._open = Checkpoint()
        self._waiting: list[Checkpoint] = []
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
            settled = False
            for checkpoint in checkpoints:
                own = checkpoint.joined or checkpoint
                own.done += 1
                settled |= own.is_closed and own.done == own.received
            if settled:
                self._settle()

    def withhold(self) -> None:
        """Write no STATE that is received from now on: a record is left for the next run."""
        self._is_withheld = True

    def add_state(self, value: Any) -> None:  # noqa: ANN401 - STATE is the tap's own
        """Add a STATE message."""
        with self._lock:
            if self._is_withheld:
                return
            closed, self._open = self._open, Checkpoint()
            closed.state, closed.is_closed = value, True
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append(closed)
            else:
                last = self._waiting[-1]
                last.state, closed.joined = value, last
                last.received += closed.received
                last.done += closed.done
            self._settle()

    def _settle(self) -> None:
        """Let STATE messages whose own records are done take the place of those before them; write what is due."""
        due: Checkpoint | None = None
        waiting: list[Checkpoint] = []
        for checkpoint in self._waiting:
            if checkpoint.received != checkpoint.done:
                waiting.append(checkpoint)
            elif waiting:
                waiting[-1].state = checkpoint.state
            else:
                due = checkpoint
        self._waiting = waiting
        if due is not None:
            self._write(due.state)
