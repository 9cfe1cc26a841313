"""Collects operations into batches and sends them from several threads, in bounded memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tap_jetti.errors import Interrupted
from tap_jetti.target.delivery.batch_queue import BatchQueue
from tap_jetti.target.delivery.operations import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock
    from tap_jetti.target.delivery.operations import OperationKey, Route, WriteOperation

IDLE_SECONDS = 1.0
"""An open batch is sent after this many seconds without input."""

MAX_AGE_SECONDS = 30.0
"""An open batch is sent when its first record has waited this long."""

QUEUED_PER_THREAD = 2
"""Batches that may wait in the queue per thread; beyond that the input waits."""

MAX_OPEN_OPERATIONS = 5_000
"""The largest number of operations in open batches, over all routes."""

FULL_BATCH_BYTES = 1 << 20
"""The approximate size in bytes at which a batch counts as full."""

MAX_QUEUED_BYTES = 1 << 25
"""The approximate size of all unfinished batches in bytes; beyond that the input waits."""

_TICK_SECONDS = 0.25


class Dispatcher:
    """Sends batches from up to `concurrency` threads.

    The input thread calls `add` and `finish`. It waits in `add` while too much is unfinished: a slow server slows the
    tap down instead of filling the memory. A failure in any thread is raised by the next call. Threads start when
    they are first needed. They are daemons: the process can end while a request hangs.

    Every record passes `add`, so it does little: one lock, one lookup of the key, no clock. Threads are notified only
    when there is something for them to do.

    Args:
        send: Sends one batch; whatever it raises stops the run.
        concurrency: The largest number of batches in flight.
        clock: For ages and all waits.

    Attributes:
        on_tick: Called by the timer, four times per second, without a lock.
    """

    def __init__(self, send: Callable[[Batch], None], *, concurrency: int, clock: Clock) -> None:
        self._send = send
        self._concurrency = concurrency
        self._max_unfinished = (QUEUED_PER_THREAD + 1) * concurrency
        self._clock = clock
        self._queue = BatchQueue()
        self._open: dict[Route, Batch] = {}
        self._open_operations = 0
        # One lock for everything, and a condition for each kind of thread that waits, so that `notify` wakes the
        # right one: workers for a batch, the input thread for a batch to be done, the timer for its next tick.
        self._lock = threading.RLock()
        self._batch_ready = threading.Condition(self._lock)
        self._batch_done = threading.Condition(self._lock)
        self._timer_tick = threading.Condition(self._lock)
        self._threads: list[threading.Thread] = []
        self._idle_workers = 0
        self._in_flight = 0
        self._is_stopped = False
        self._failure: BaseException | None = None
        self._added = 0
        self.on_tick: Callable[[], None] = lambda: None

    def start_timer(self) -> None:
        """Start to close old batches and to call `on_tick`, unless that was done."""
        with self._lock:
            if not self._threads:
                self._start(self._run_timer)

    def add(self, operation: WriteOperation) -> bool:
        """Add an operation to the open batch of its route, and wait while too much is unfinished.

        Args:
            operation: What to send.

        Returns:
            False if it was merged into an operation that waits.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._added += 1
            waiting = self._queue.latest.get(operation.key)
            if waiting is not None and waiting.is_open:
                is_merged = waiting.merge(operation)
                if not is_merged or waiting.size >= FULL_BATCH_BYTES:
                    self._close_and_wait(waiting)
                if is_merged:
                    return False
            batch = self._open.get(operation.route) or self._open_batch(operation)
            self._queue.add(batch, operation)
            self._open_operations += 1
            if len(batch.operations) >= batch.limit or batch.size >= FULL_BATCH_BYTES:
                self._close_and_wait(batch)
            elif self._open_operations > MAX_OPEN_OPERATIONS:
                self._close_and_wait(next(iter(self._open.values())))
            return True

    def has(self, key: OperationKey) -> bool:
        """Whether an operation of a key is not done yet."""
        with self._lock:
            return key in self._queue.latest

    def merge(self, operation: WriteOperation) -> bool:
        """Merge an operation into one that waits in an open batch; returns False if that is not possible."""
        with self._lock:
            waiting = self._queue.latest.get(operation.key)
            if waiting is None or not waiting.is_open or not waiting.merge(operation):
                return False
            self._added += 1
            return True

    def finish(self) -> None:
        """Send what is left, and return when everything is done.

        Raises:
            BaseException: The failure of a thread, after all requests in flight have ended.
        """
        with self._lock:
            for batch in list(self._open.values()):
                self._close(batch)
            self._wait_until(self._batch_done, lambda: not self._queue.unfinished or self._failure is not None)
            self._wait_until(self._batch_done, lambda: not self._in_flight)
            self._raise_failure()

    def stop(self, *, timeout: float) -> None:
        """Start no new requests, and wait for those in flight.

        Args:
            timeout: The longest wait in seconds.
        """
        with self._lock:
            self._is_stopped = True
            self._batch_ready.notify_all()
            self._timer_tick.notify_all()
            self._wait_until(self._batch_done, lambda: not self._in_flight, seconds=timeout)

    def _close_and_wait(self, batch: Batch) -> None:
        """Close a batch, and wait while too much is unfinished."""
        self._close(batch)
        if not self._has_room():
            self._wait_until(self._batch_done, self._has_room)
            self._raise_failure()

    def _has_room(self) -> bool:
        if self._failure is not None:
            return True
        return self._queue.unfinished < self._max_unfinished and self._queue.size < MAX_QUEUED_BYTES

    def _open_batch(self, operation: WriteOperation) -> Batch:
        batch = self._open[operation.route] = Batch(
            operation.route, self._clock.monotonic(), operation.action.batch_limit(operation.route)
        )
        self.start_timer()
        return batch

    def _close(self, batch: Batch) -> None:
        del self._open[batch.route]
        self._open_operations -= len(batch.operations)
        self._queue.close(batch)
        if len(self._queue.ready) > self._idle_workers and len(self._threads) <= self._concurrency:
            self._start(self._send_batches)
        self._batch_ready.notify()

    def _send_batches(self) -> None:
        """Send ready batches until the run ends: what each worker thread does."""
        while (batch := self._next_batch()) is not None:
            failure: BaseException | None = None
            is_interrupted = False
            try:
                self._clock.sleep(0)  # raises Interrupted if the clock was stopped: then nothing new is sent
                self._send(batch)
            except Interrupted:
                is_interrupted = True
            except BaseException as error:  # noqa: BLE001 - raised again in the input thread
                failure = error
            with self._lock:
                self._in_flight -= 1
                self._failure = self._failure or failure
                self._is_stopped = self._is_stopped or is_interrupted
                if self._is_ending():
                    self._batch_ready.notify_all()
                else:
                    self._queue.finish(batch)
                    self._batch_ready.notify(len(self._queue.ready))
                self._batch_done.notify_all()

    def _next_batch(self) -> Batch | None:
        with self._lock:
            self._idle_workers += 1
            self._wait_until(self._batch_ready, lambda: bool(self._queue.ready) or self._is_ending())
            self._idle_workers -= 1
            if self._is_ending():
                return None
            self._in_flight += 1
            return self._queue.ready.popleft()

    def _is_ending(self) -> bool:
        return self._failure is not None or self._is_stopped

    def _run_timer(self) -> None:
        """Close batches that wait too long for more records, and call `on_tick`: what the timer thread does."""
        added, since = 0, self._clock.monotonic()
        while True:
            with self._lock:
                self._clock.wait(self._timer_tick, _TICK_SECONDS)
                if self._is_ending():
                    return
                now = self._clock.monotonic()
                if self._added != added:
                    added, since = self._added, now
                for batch in list(self._open.values()):
                    if now - since >= IDLE_SECONDS or now - batch.opened >= MAX_AGE_SECONDS:
                        self._close(batch)
            try:
                self.on_tick()
            except Interrupted:
                return
            except BaseException as error:  # noqa: BLE001 - raised again in the input thread
                self._fail(error)

    def _wait_until(
        self, condition: threading.Condition, is_met: Callable[[], bool], *, seconds: float | None = None
    ) -> None:
        """Wait until `is_met` returns true, for at most `seconds`. The caller holds the lock."""
        deadline = None if seconds is None else self._clock.monotonic() + seconds
        while not is_met():
            remaining = None if deadline is None else deadline - self._clock.monotonic()
            if remaining is not None and remaining <= 0:
                return
            self._clock.wait(condition, remaining)

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=f"target-jetti-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error
            self._batch_ready.notify_all()
            self._batch_done.notify_all()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
