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
        received: How many came; only the thread of the input writes it.
        settled: How many of them are delivered or set aside.
        state: The STATE that follows them.
        closed: Whether that STATE has come, so that no more are received.
    """

    __slots__ = ("closed", "received", "settled", "state")

    def __init__(self) -> None:
        self.received = 0
        self.settled = 0
        self.state: Any = None
        self.closed = False


class Checkpoints:
    """Writes each STATE once all before it is done, in order; of several due, the last.

    Without records between them, a STATE takes the place of the one before. A record counts before
    anything else is done with it: whatever interrupts the run, a STATE can be late but not early.
    The thread of the input receives records and STATE; any may settle.

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
        checkpoint = self._open
        checkpoint.received += 1
        return checkpoint

    def settle(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Take note that a record of each of these is delivered or set aside."""
        with self._lock:
            for checkpoint in checkpoints:
                checkpoint.settled += 1
            self._write_due()

    def hold(self) -> None:
        """Write no STATE that comes from now on: a record is left for the next run."""
        self._is_held = True

    def state(self, value: Any) -> None:  # noqa: ANN401 - STATE is the tap's own
        """Take note of a STATE message."""
        with self._lock:
            if self._is_held:
                return
            if not self._open.received and len(self._waiting) > 1:
                self._waiting[-2].state = value
                return
            self._open.state = value
            self._open.closed = True
            self._open = Checkpoint()
            self._waiting.append(self._open)
            self._write_due()

    def _write_due(self) -> None:
        due = None
        while self._waiting[0].closed and self._waiting[0].received == self._waiting[0].settled:
            due = self._waiting.popleft()
        if due is not None:
            self._write(due.state)
