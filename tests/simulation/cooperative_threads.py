"""Threads of which one runs at a time, chosen by a seed, on a clock that only moves while all of them wait.

The code under test is the real one. Only what it takes from `threading` is replaced while a schedule plays: locks,
conditions and threads. A thread may be replaced by another whenever it takes a lock, reads the clock, sleeps or waits.
"""

from __future__ import annotations

import contextlib
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from tap_jetti.client.clock import VirtualClock
from tap_jetti.client.rate_limit import bucket
from tap_jetti.errors import Interrupted
from tap_jetti.reading import page_limit
from tap_jetti.reading.prefetch import memory, scheduler, workers

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

SWITCHES = 0.15
"""The share of the moments at which a thread that could go on is replaced by another."""

INSTANT = 1e-9
"""Seconds that a wait takes longer than it should, so that time moves on even if the wait is too short to count."""

MODULES: tuple[ModuleType, ...] = (bucket, page_limit, memory, scheduler, workers)
"""The modules of the readers whose locks, conditions and threads are replaced."""


class Deadlock(BaseException):
    """All threads wait for each other."""


class Task:
    """A thread, and what it waits for."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.turn.acquire()
        self.ready: Callable[[], bool] | None = None
        self.until: float | None = None
        self.is_done = False

    def can_run(self, now: float) -> bool:
        """Whether it waits for nothing any more."""
        return self.ready is None or (self.until is not None and self.until <= now) or self.ready()


class Threads:
    """Chooses which thread runs.

    Args:
        chance: What decides.
        now: The monotonic clock, in seconds.
    """

    def __init__(self, chance: random.Random, *, now: float = 1000.0) -> None:
        self.now = now
        self.switched = 0
        self._chance = chance
        self._running = Task()
        self._tasks = [self._running]
        self._is_stuck = False

    @property
    def current(self) -> Task:
        """The thread that runs."""
        return self._running

    @property
    def alive(self) -> int:
        """The threads that have not ended, without the main thread."""
        return len(self._tasks) - 1

    @contextlib.contextmanager
    def replaced(self, modules: Iterable[ModuleType] = MODULES) -> Iterator[None]:
        """Let the code under test use these threads."""
        fake = SimpleNamespace(
            Lock=lambda: Lock(self),
            RLock=lambda: Lock(self, is_nested=True),
            Condition=lambda lock=None: Condition(self, lock),
            Thread=lambda **options: Thread(self, **options),
            local=threading.local,
            current_thread=lambda: self._running,
        )
        with contextlib.ExitStack() as stack:
            for module in modules:
                stack.enter_context(mock.patch.object(module, "threading", fake))
            yield

    def may_switch(self) -> None:
        """Perhaps let another thread run."""
        if len(self._tasks) > 1 and self._chance.random() < SWITCHES:
            self.wait(None)

    def wait(self, ready: Callable[[], bool] | None, until: float | None = None) -> None:
        """Let others run until something is so, or a time is there."""
        task = self._running
        task.ready, task.until = ready, until
        self._hand_on(task)
        if self._is_stuck:
            raise Deadlock

    def add(self, task: Task) -> None:
        """Let one more thread run some time."""
        self._tasks.append(task)

    def end(self, task: Task) -> None:
        """Let the others go on without this thread."""
        task.is_done = True
        self._tasks.remove(task)
        self._hand_on(None)

    def _hand_on(self, task: Task | None) -> None:
        chosen = self._choose()
        self._running = chosen
        if chosen is task:
            return
        self.switched += 1
        chosen.turn.release()
        if task is not None:
            task.turn.acquire()

    def _choose(self) -> Task:
        while True:
            able = [task for task in self._tasks if task.can_run(self.now)]
            if able:
                return self._chance.choice(able)
            times = [task.until for task in self._tasks if task.until is not None]
            if not times:
                self._is_stuck = True
                return self._tasks[0]
            self.now = min(times)


class Clock(VirtualClock):
    """The clock of these threads.

    Args:
        threads: What chooses which of them runs.
        wall: The start of the wall clock, in seconds since the epoch.
    """

    def __init__(self, threads: Threads, *, wall: float) -> None:
        super().__init__(wall=wall)
        self._threads = threads
        self._wall_at_start = wall - threads.now

    def time(self) -> float:
        """Return the wall clock."""
        return self._wall_at_start + self._threads.now

    def monotonic(self) -> float:
        """Return the monotonic clock."""
        self._threads.may_switch()
        return self._threads.now

    def sleep(self, seconds: float) -> None:
        """Let others run for so long.

        Raises:
            Interrupted: The clock was stopped.
        """
        self._threads.wait(lambda: self._stopped, self._threads.now + max(0.0, seconds))
        if self._stopped:
            raise Interrupted

    def wait(self, condition: Any, seconds: float | None = None) -> bool:
        """Wait until `condition` is notified, but no longer than `seconds`."""
        return bool(condition.wait(seconds))

    def advance(self, seconds: float) -> None:
        """Let time pass while no other thread runs."""
        self._threads.now += seconds


class Lock:
    """A lock of these threads; a thread may take it again if it may be nested."""

    def __init__(self, threads: Threads, *, is_nested: bool = False) -> None:
        self._threads = threads
        self._is_nested = is_nested
        self.owner: Task | None = None
        self.depth = 0

    def __enter__(self) -> None:
        """Take it."""
        self._threads.may_switch()
        current = self._threads.current
        if not (self._is_nested and self.owner is current):
            if self.owner is not None:
                self._threads.wait(lambda: self.owner is None)
            self.owner = current
        self.depth += 1

    def __exit__(self, *error: object) -> None:
        """Let go of it."""
        self.depth -= 1
        if self.depth == 0:
            self.owner = None


class Condition:
    """A condition of these threads, with a lock of its own or one that it shares."""

    def __init__(self, threads: Threads, lock: Lock | None = None) -> None:
        self._threads = threads
        self._lock = lock or Lock(threads, is_nested=True)
        self._waiting: list[list[bool]] = []

    def __enter__(self) -> None:
        """Take its lock."""
        self._lock.__enter__()

    def __exit__(self, *error: object) -> None:
        """Let go of its lock."""
        self._lock.__exit__(*error)

    def wait(self, seconds: float | None) -> bool:
        """Wait until it is notified, but no longer than so many seconds; return False if the time was over first."""
        lock, current = self._lock, self._threads.current
        assert lock.owner is current, "a thread waits for a condition that it does not hold"
        notified, depth = [False], lock.depth
        self._waiting.append(notified)
        lock.owner, lock.depth = None, 0
        try:
            self._threads.wait(lambda: notified[0], None if seconds is None else self._threads.now + seconds + INSTANT)
            self._threads.wait(lambda: lock.owner is None)
        finally:
            lock.owner, lock.depth = current, depth
        if not notified[0]:
            self._waiting.remove(notified)
        return notified[0]

    def notify(self, number: int = 1) -> None:
        """Wake some of those that wait, the first ones first."""
        assert self._lock.owner is self._threads.current, "a thread notifies a condition that it does not hold"
        for notified in self._waiting[:number]:
            notified[0] = True
        del self._waiting[:number]

    def notify_all(self) -> None:
        """Wake all that wait."""
        self.notify(len(self._waiting))


class Thread:
    """A thread that runs when it is chosen."""

    def __init__(self, threads: Threads, *, target: Callable[[], None], name: str, daemon: bool) -> None:
        self._threads = threads
        self._target = target
        self._task = Task()
        self._thread = threading.Thread(target=self._run, name=name, daemon=daemon)

    def start(self) -> None:
        """Let it run some time."""
        self._threads.add(self._task)
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait until it has ended, but no longer than so many seconds."""
        self._threads.wait(lambda: self._task.is_done, self._threads.now + timeout)

    def _run(self) -> None:
        self._task.turn.acquire()
        try:
            self._target()
        except Deadlock:
            pass
        finally:
            self._threads.end(self._task)
