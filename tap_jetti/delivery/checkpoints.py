"""STATE messages that wait until everything received before them is done."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Checkpoint:
    """The records received between two STATE messages.

    Attributes:
        outstanding: Records neither delivered nor set aside.
        state: The STATE that follows them.
        closed: Whether that STATE has come.
        is_empty: Whether no record has come since the STATE before.
    """

    __slots__ = ("closed", "is_empty", "outstanding", "state")

    def __init__(self) -> None:
        self.outstanding = 0
        self.state: Any = None
        self.closed = False
        self.is_empty = True


class Checkpoints:
    """Writes each STATE once all before it is done, in order; of several due, the last.

    Without records between them, a STATE takes the place of the one before. A record counts before
    anything else is done with it: whatever interrupts the run, a STATE can be late but not early.
    Threads may share it.

    Args:
        write: Writes a STATE's value.
    """

    def __init__(self, write: Callable[[Any], None]) -> None:
        self._write = write
        self._open = Checkpoint()
        self._waiting = deque([self._open])
        self._is_held = False
        self._lock = threading.Lock()

    def receive(self) -> Checkpoint:
        """Take note of a record; `settle` what this returns, once, when it is done."""
        with self._lock:
            self._open.outstanding += 1
            self._open.is_empty = False
            return self._open

    def settle(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Take note that a record of each of these is delivered or set aside."""
        with self._lock:
            for checkpoint in checkpoints:
                checkpoint.outstanding -= 1
            self._write_due()

    def hold(self) -> None:
        """Write no STATE that comes from now on: a record is left for the next run."""
        self._is_held = True

    def state(self, value: Any) -> None:  # noqa: ANN401 - STATE is the tap's own
        """Take note of a STATE message."""
        with self._lock:
            if self._is_held:
                return
            if self._open.is_empty and len(self._waiting) > 1:
                self._waiting[-2].state = value
                return
            self._open.state = value
            self._open.closed = True
            self._open = Checkpoint()
            self._waiting.append(self._open)
            self._write_due()

    def _write_due(self) -> None:
        due = None
        while self._waiting[0].closed and not self._waiting[0].outstanding:
            due = self._waiting.popleft()
        if due is not None:
            self._write(due.state)
