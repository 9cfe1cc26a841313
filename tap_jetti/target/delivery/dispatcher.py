"""Collects items into batches and has them sent by several threads, in bounded memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tap_jetti.errors import Interrupted
from tap_jetti.target.delivery.batch_queue import BatchQueue
from tap_jetti.target.delivery.operations import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock
    from tap_jetti.target.delivery.operations import Route, WriteOperation

IDLE_SECONDS = 1.0
"""A batch that is not full is sent when the input has been silent for so long."""

OLDEST_SECONDS = 30.0
"""No record waits longer than this for its batch to fill."""

WAITING_BATCHES = 2
"""Batches queued for each request in flight; beyond that the input waits."""

MOST_OPEN = 5_000
"""Items in batches that are not full, over all lanes."""

LARGEST_BATCH = 1 << 20
"""Bytes, roughly, at which a batch counts as full."""

MOST_BYTES = 1 << 25
"""Bytes, roughly, that are queued or in flight; beyond that the input waits."""

_TICK = 0.25


class Dispatcher:
    """Sends batches through up to `concurrency` threads.

    One thread, that of the input, calls `add` and `finish`. It waits in `add` while enough is
    under way: a slow server slows the tap down instead of filling the memory. A failure in any
    thread shows at its next call. Threads start when they are first needed, and die with the
    process, which may end while a request hangs.

    `add` is where every record passes, so it does little: one lock, one look for the key, no
    clock. Who waits is woken only when there is something to do for them.

    Args:
        deliver: Sends one batch, or raises what the whole run must stop for.
        concurrency: Batches in flight at most.
        clock: What ages are measured by.
    """

    def __init__(self, deliver: Callable[[Batch], None], *, concurrency: int, clock: Clock) -> None:
        self._deliver = deliver
        self._concurrency = concurrency
        self._most_batches = (WAITING_BATCHES + 1) * concurrency
        self._clock = clock
        self._queue = BatchQueue()
        self._open: dict[Route, Batch] = {}
        self._waiting = 0
        self._lock = threading.RLock()
        self._ready = threading.Condition(self._lock)
        self._done = threading.Condition(self._lock)
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._in_flight = 0
        self._failure: BaseException | None = None
        self._taken = 0

    def add(self, operation: WriteOperation) -> bool:
        """Put an item into the batch of its lane, and wait while too much is under way.

        Args:
            operation: What to send.

        Returns:
            Whether it is a call's item of its own; False if it replaced a waiting one.
        """
        with self._lock:
            self._raise_failure()
            self._taken += 1
            waiting = self._queue.last.get(operation.key)
            if waiting is not None and waiting.is_open:
                is_replaced = waiting.absorb(operation)
                if not is_replaced or waiting.size >= LARGEST_BATCH:
                    self._hand_over(waiting)
                if is_replaced:
                    return False
            batch = self._open.get(operation.route) or self._opened(operation)
            self._queue.enter(batch, operation)
            self._waiting += 1
            if len(batch.operations) >= batch.limit or batch.size >= LARGEST_BATCH:
                self._hand_over(batch)
            elif self._waiting > MOST_OPEN:
                self._hand_over(next(iter(self._open.values())))
            return True

    def finish(self) -> None:
        """Send what is left and return when all is done.

        Raises:
            BaseException: What a thread failed with; what was in flight is done by then.
        """
        with self._lock:
            for batch in list(self._open.values()):
                self._close(batch)
            self._done.wait_for(lambda: not self._queue.unfinished or self._failure is not None)
            self._done.wait_for(lambda: not self._in_flight)
            self._raise_failure()

    def stop(self, *, patience: float) -> None:
        """Begin nothing new, and wait for what is in flight.

        Args:
            patience: Seconds to wait at most.
        """
        with self._lock:
            self._over.set()
            self._ready.notify_all()
            self._done.wait_for(lambda: not self._in_flight, timeout=patience)

    def _hand_over(self, batch: Batch) -> None:
        """Close a batch, and wait while too much is under way."""
        self._close(batch)
        if not self._has_room():
            self._done.wait_for(self._has_room)
            self._raise_failure()

    def _has_room(self) -> bool:
        if self._failure is not None:
            return True
        return self._queue.unfinished < self._most_batches and self._queue.size < MOST_BYTES

    def _opened(self, operation: WriteOperation) -> Batch:
        batch = self._open[operation.route] = Batch(
            operation.route, self._clock.monotonic(), operation.action.limit(operation.route)
        )
        if not self._threads:
            self._start(self._tick)
        return batch

    def _close(self, batch: Batch) -> None:
        del self._open[batch.route]
        self._waiting -= len(batch.operations)
        self._queue.close(batch)
        if len(self._queue.ready) > self._idle and len(self._threads) <= self._concurrency:
            self._start(self._work)
        self._ready.notify()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            failure: BaseException | None = None
            try:
                self._deliver(batch)
            except Interrupted:
                self._over.set()
            except BaseException as error:  # noqa: BLE001 - raised again in the thread of the input
                failure = error
            with self._lock:
                self._in_flight -= 1
                self._failure = self._failure or failure
                if self._is_ending():
                    self._ready.notify_all()
                else:
                    self._queue.done(batch)
                    self._ready.notify(len(self._queue.ready))
                self._done.notify_all()

    def _next(self) -> Batch | None:
        with self._lock:
            self._idle += 1
            self._ready.wait_for(lambda: self._queue.ready or self._is_ending())
            self._idle -= 1
            if self._is_ending():
                return None
            self._in_flight += 1
            return self._queue.ready.popleft()

    def _is_ending(self) -> bool:
        return self._failure is not None or self._over.is_set()

    def _tick(self) -> None:
        """Close batches that nothing more comes for."""
        taken, since = 0, self._clock.monotonic()
        while not self._over.wait(_TICK):
            with self._lock:
                if self._failure is not None:
                    return
                now = self._clock.monotonic()
                if self._taken != taken:
                    taken, since = self._taken, now
                for batch in list(self._open.values()):
                    if now - since >= IDLE_SECONDS or now - batch.opened >= OLDEST_SECONDS:
                        self._close(batch)

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=f"target-jetti-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
