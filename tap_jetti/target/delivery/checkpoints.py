"""STATE messages that wait until every record before them is done."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_STATE_BYTES = 1 << 22
"""The approximate size of all STATE messages that wait; beyond it the newest one takes the place of the one before."""


class Checkpoint:
    """The records received between two STATE messages.

    Attributes:
        received: The number of records; only the input thread changes it while the checkpoint is open.
        done: How many of them are delivered or set aside.
        state: The value of the STATE message that follows them.
        size: Its approximate size in bytes.
        is_closed: Whether that STATE message was received, so that no more records belong here.
        joined: The checkpoint that this one became a part of.
        before: The checkpoint that waits before this one; None if it is the first.
        after: The checkpoint that waits behind this one.
    """

    __slots__ = ("after", "before", "done", "is_closed", "joined", "received", "size", "state")

    def __init__(self) -> None:
        self.received = 0
        self.done = 0
        self.state: Any = None
        self.size = 0
        self.is_closed = False
        self.joined: Checkpoint | None = None
        self.before: Checkpoint | None = None
        self.after: Checkpoint | None = None


class Checkpoints:
    """Writes each STATE once every record before it is done, in order; if several are due, the last one only.

    A record counts from the moment it is received: whatever interrupts the run, a STATE can be late but never early.
    Only the input thread adds records and STATE; any thread may complete records.

    Memory is bounded, however many STATE messages wait for one record. A STATE whose own records are done waits for
    those before it alone, so it takes the place of the STATE before it. If too many wait nevertheless, the newest one
    takes the place of the one before, and the records of both count together.

    Args:
        write: Writes the value of a STATE message.

    Attributes:
        waiting: The number of STATE messages that wait.
    """

    def __init__(self, write: Callable[[Any], None]) -> None:
        self.waiting = 0
        self._write = write
        self._open = Checkpoint()
        self._last: Checkpoint | None = None
        self._size = 0
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
            due: Checkpoint | None = None
            for checkpoint in checkpoints:
                own = checkpoint.joined or checkpoint
                own.done += 1
                if own.is_closed and own.done == own.received:
                    due = self._settle(own) or due
            if due is not None:
                self._write(due.state)

    def withhold(self) -> None:
        """Write no STATE that is received from now on: a record is left for the next run."""
        self._is_withheld = True

    def add_state(self, value: Any, *, size: int = 0) -> None:  # noqa: ANN401 - STATE is the tap's own
        """Add a STATE message.

        Args:
            value: Its value.
            size: Its approximate size in bytes.
        """
        with self._lock:
            if self._is_withheld:
                return
            closed, self._open = self._open, Checkpoint()
            closed.is_closed = True
            last = self._last
            if last is not None and self._size + size > MAX_STATE_BYTES:
                closed.joined = last
                last.received += closed.received
                last.done += closed.done
                self._set_state(last, value, size)
                return
            self._set_state(closed, value, size)
            closed.before, self._last = last, closed
            if last is not None:
                last.after = closed
            self.waiting += 1
            if closed.done == closed.received and (due := self._settle(closed)) is not None:
                self._write(due.state)

    def _set_state(self, checkpoint: Checkpoint, value: Any, size: int) -> None:  # noqa: ANN401 - the same
        self._size += size - checkpoint.size
        checkpoint.state, checkpoint.size = value, size

    def _settle(self, checkpoint: Checkpoint) -> Checkpoint | None:
        """Remove a checkpoint whose records are done; returns it if it is the first, so that its STATE is due.

        Its STATE takes the place of the one before it otherwise. So all that wait behind the first have open records.
        """
        before, after = checkpoint.before, checkpoint.after
        if after is not None:
            after.before = before
        else:
            self._last = before
        self.waiting -= 1
        self._size -= checkpoint.size
        if before is None:
            return checkpoint
        before.after = after
        self._set_state(before, checkpoint.state, checkpoint.size)
        return None
