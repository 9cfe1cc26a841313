"""The clocks everything that waits is given: the real one, and one that tests move by hand."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import Protocol

from tap_jetti.errors import Interrupted


class Clock(Protocol):
    """Tells the time and waits."""

    def time(self) -> float:
        """Return the wall clock, in seconds since the epoch. It may be stepped, in either direction."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some fixed instant; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`, at once if there are none left to wait.

        Raises:
            Interrupted: as soon as the clock is stopped, also if it was stopped before.
        """
        ...

    def wait(self, condition: threading.Condition, seconds: float | None = None) -> bool:
        """Wait for a notification of `condition`, which the caller holds, for at most `seconds`.

        Every wait of one thread for another goes through here, so that a simulation decides who runs next. Stopping
        the clock does not end it: whoever stops it notifies the conditions that it owns.

        Returns:
            False if the time was over first.
        """
        ...


class SystemClock:
    """The machine's own clock, whose sleepers can be woken.

    `stop` may be called in a signal handler: it takes no lock, whereas `threading.Event.set` deadlocks if the signal
    comes while the very thread that handles it holds the event's lock. A signal handler that raises in the main
    thread interrupts a sleep there at once, too.
    """

    def __init__(self) -> None:
        self._stopped = False
        self._sleepers: set[SimpleQueue[None]] = set()

    def time(self) -> float:
        """Return `time.time()`."""
        return time.time()

    def monotonic(self) -> float:
        """Return `time.monotonic()`; on Linux all processes since the last boot see the same value."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`.

        Raises:
            Interrupted: as soon as `stop` is called.
        """
        deadline = time.monotonic() + seconds
        bell: SimpleQueue[None] = SimpleQueue()
        self._sleepers.add(bell)
        try:
            # Looked at after the bell is hung up: a stop either rings it or is seen here.
            while not self._stopped:
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                try:
                    bell.get(timeout=min(left, threading.TIMEOUT_MAX))
                except Empty:
                    continue
        finally:
            self._sleepers.discard(bell)
        raise Interrupted

    def wait(self, condition: threading.Condition, seconds: float | None = None) -> bool:
        """Wait for a notification of `condition`, for at most `seconds`; False if the time was over first."""
        return condition.wait(seconds)

    def stop(self) -> None:
        """Wake every sleeper in every thread, and let none sleep from now on: each raises `Interrupted`."""
        self._stopped = True
        for bell in tuple(self._sleepers):
            bell.put(None)


class VirtualClock:
    """A clock that moves only when it is told to: a sleep takes no time and moves it on by what was asked.

    For tests and simulations with one thread of control. It may be read and moved from several threads, but it does
    not make them wait for each other: the sleeps of two threads add up.

    Args:
        wall: Where the wall clock starts, in seconds since the epoch; 2020-01-01 if left out.
        monotonic: Where the monotonic clock starts, in seconds.
    """

    def __init__(self, *, wall: float = 1_577_836_800.0, monotonic: float = 1_000.0) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._stopped = False
        self._lock = threading.Lock()

    def time(self) -> float:
        """Return the wall clock: its start, plus what has passed, plus the steps."""
        with self._lock:
            return self._wall

    def monotonic(self) -> float:
        """Return the start plus what has passed."""
        with self._lock:
            return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Move the clock on by `seconds`.

        Raises:
            Interrupted: if the clock is stopped.
        """
        if self._stopped:
            raise Interrupted
        self.advance(max(0.0, seconds))

    def wait(self, condition: threading.Condition, seconds: float | None = None) -> bool:
        """Wait for a notification of `condition`; with a limit nothing is waited for, and the time is over at once."""
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
        """Set the wall clock forward, or back if negative, by `seconds`, during which no time passes."""
        with self._lock:
            self._wall += seconds

    def stop(self) -> None:
        """Make every sleep from now on raise `Interrupted`."""
        self._stopped = True
