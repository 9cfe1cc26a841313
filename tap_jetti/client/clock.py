"""The clocks that all waits go through: the system clock, and one that tests move by hand."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import Protocol

from tap_jetti.errors import Interrupted


class Clock(Protocol):
    """Measures time and waits."""

    def time(self) -> float:
        """Return the wall clock, in seconds since the epoch. It may be set forward or back at any time."""
        ...

    def monotonic(self) -> float:
        """Return seconds since a fixed point in time. It never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`; at once if `seconds` is 0 or negative.

        Raises:
            Interrupted: as soon as the clock is stopped, or if it was stopped before.
        """
        ...

    def wait(self, condition: threading.Condition, seconds: float | None = None) -> bool:
        """Wait until `condition`, which the caller holds, is notified, but no longer than `seconds`.

        Threads wait for each other only here, so that a simulation can decide which thread runs next. To stop the
        clock does not end the wait: whoever stops it must also notify its own conditions.

        Returns:
            False if the time was over first.
        """
        ...


class SystemClock:
    """The clock of the operating system, with sleeps that `stop` ends.

    `stop` may be called in the handler of a signal, because it takes no lock. `threading.Event.set` does, and would
    deadlock if the signal came while the main thread, which runs the handler, held that lock. A handler that raises
    also ends a sleep of the main thread.
    """

    def __init__(self) -> None:
        self._stopped = False
        self._sleepers: set[SimpleQueue[None]] = set()

    def time(self) -> float:
        """Return `time.time()`."""
        return time.time()

    def monotonic(self) -> float:
        """Return `time.monotonic()`. On Linux it is the same for all processes since the last boot."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`.

        Raises:
            Interrupted: as soon as `stop` is called.
        """
        deadline = time.monotonic() + seconds
        wakeup: SimpleQueue[None] = SimpleQueue()
        self._sleepers.add(wakeup)
        try:
            # Checked after `wakeup` was added: a stop either finds it there or is seen here.
            while not self._stopped:
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                try:
                    wakeup.get(timeout=min(left, threading.TIMEOUT_MAX))
                except Empty:
                    continue
        finally:
            self._sleepers.discard(wakeup)
        raise Interrupted

    def wait(self, condition: threading.Condition, seconds: float | None = None) -> bool:
        """Wait until `condition` is notified, but no longer than `seconds`; return False if the time was over first."""
        return condition.wait(seconds)

    def stop(self) -> None:
        """End every sleep in every thread, now and from now on: each raises `Interrupted`."""
        self._stopped = True
        for wakeup in tuple(self._sleepers):
            wakeup.put(None)


class VirtualClock:
    """A clock that moves only when it is told to. A sleep takes no time and moves the clock forward by its length.

    For tests and simulations with one thread. Several threads may use it, but they do not wait for each other: their
    sleeps add up.

    Args:
        wall: The start of the wall clock, in seconds since the epoch; by default 2020-01-01.
        monotonic: The start of the monotonic clock, in seconds.
    """

    def __init__(self, *, wall: float = 1_577_836_800.0, monotonic: float = 1_000.0) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._stopped = False
        self._lock = threading.Lock()

    def time(self) -> float:
        """Return the wall clock: its start, plus the time that has passed, plus all steps."""
        with self._lock:
            return self._wall

    def monotonic(self) -> float:
        """Return the start, plus the time that has passed."""
        with self._lock:
            return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Move the clock forward by `seconds`.

        Raises:
            Interrupted: if the clock is stopped.
        """
        if self._stopped:
            raise Interrupted
        self.advance(max(0.0, seconds))

    def wait(self, condition: threading.Condition, seconds: float | None = None) -> bool:
        """Wait until `condition` is notified. With `seconds`, move the clock forward instead and return False."""
        if seconds is None:
            return condition.wait()
        self.advance(max(0.0, seconds))
        return False

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass.

        Raises:
            ValueError: if `seconds` is negative; use `step` to set the wall clock back.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back: cannot advance by {seconds} s")
        with self._lock:
            self._wall += seconds
            self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock forward by `seconds`, or back if negative, without letting time pass."""
        with self._lock:
            self._wall += seconds

    def stop(self) -> None:
        """Make every sleep from now on raise `Interrupted`."""
        self._stopped = True
