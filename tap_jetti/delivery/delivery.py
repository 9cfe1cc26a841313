"""Collects items into batches and has them sent by several threads, in bounded memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tap_jetti.client.clock import Interrupted
from tap_jetti.delivery.batches import BatchQueue
from tap_jetti.delivery.items import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock
    from tap_jetti.delivery.items import Item, Key, Lane

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


class Delivery:
    """Sends batches through up to `concurrency` threads.

    One thread, that of the input, calls `add` and `finish`. It waits in `add` while enough is
    under way: a slow server slows the tap down instead of filling the memory. A failure in any
    thread shows at its next call. Threads start when they are first needed, and die with the
    process, which may end while a request hangs.

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
        self._open: dict[Lane, Batch] = {}
        self._lane_of: dict[Key, Lane] = {}
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._in_flight = 0
        self._stopped = False
        self._failure: BaseException | None = None
        self._last_input = clock.monotonic()

    def add(self, item: Item, limit: int) -> bool:
        """Put an item into the batch of its lane, and wait while too much is under way.

        Args:
            item: What to send.
            limit: Items of a full batch in its lane.

        Returns:
            Whether it is a call's item of its own; False if it replaced a waiting one.
        """
        with self._changed:
            self._raise_failure()
            self._last_input = now = self._clock.monotonic()
            lane = self._lane_of.get(item.key)
            if lane is not None:
                batch = self._open[lane]
                if lane == item.lane and batch.items[item.key].action is item.action:
                    batch.items[item.key].absorb(item)
                    batch.size += item.size
                    if batch.size >= LARGEST_BATCH:
                        self._close(lane)
                    self._wait_for_room()
                    return False
                self._close(lane)
            opened = self._open.get(item.lane)
            if opened is None:
                opened = self._open[item.lane] = Batch(item.lane, now)
                self._start_ticker()
            opened.items[item.key] = item
            opened.size += item.size
            self._lane_of[item.key] = item.lane
            if len(opened.items) >= limit or opened.size >= LARGEST_BATCH:
                self._close(item.lane)
            elif len(self._lane_of) > MOST_OPEN:
                self._close(next(iter(self._open)))
            self._wait_for_room()
            return True

    def finish(self) -> None:
        """Send what is left and return when all is done.

        Raises:
            BaseException: What a thread failed with; what was in flight is done by then.
        """
        with self._changed:
            while self._open:
                self._close(next(iter(self._open)))
            self._changed.wait_for(lambda: not self._queue.unfinished or self._failure is not None)
            self._changed.wait_for(lambda: not self._in_flight)
            self._raise_failure()

    def stop(self, *, patience: float) -> None:
        """Begin nothing new, and wait for what is in flight.

        Args:
            patience: Seconds to wait at most.
        """
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._in_flight, timeout=patience)

    def _wait_for_room(self) -> None:
        if not self._has_room():
            self._changed.wait_for(self._has_room)
            self._last_input = self._clock.monotonic()
            self._raise_failure()

    def _has_room(self) -> bool:
        if self._failure is not None:
            return True
        return self._queue.unfinished < self._most_batches and self._queue.size < MOST_BYTES

    def _close(self, lane: Lane) -> None:
        batch = self._open.pop(lane)
        for key in batch.items:
            del self._lane_of[key]
        self._queue.put(batch)
        if not self._idle and len(self._threads) <= self._concurrency:
            self._start(self._work)
        self._changed.notify_all()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            failure: BaseException | None = None
            try:
                self._deliver(batch)
            except Interrupted:
                self._stopped = True
            except BaseException as error:  # noqa: BLE001 - raised again in the thread of the input
                failure = error
            with self._changed:
                self._in_flight -= 1
                self._failure = self._failure or failure
                if failure is None and not self._stopped:
                    self._queue.done(batch)
                self._changed.notify_all()

    def _next(self) -> Batch | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._queue.ready or self._stopped or self._failure)
            self._idle -= 1
            if self._stopped or self._failure:
                return None
            self._in_flight += 1
            return self._queue.ready.popleft()

    def _start_ticker(self) -> None:
        if not self._threads:
            self._start(self._tick)

    def _tick(self) -> None:
        """Close batches that nothing more comes for."""
        with self._changed:
            while not self._stopped and self._failure is None:
                self._changed.wait(_TICK)
                now = self._clock.monotonic()
                is_silent = now - self._last_input >= IDLE_SECONDS
                for lane, batch in list(self._open.items()):
                    if is_silent or now - batch.opened >= OLDEST_SECONDS:
                        self._close(lane)

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=f"target-jetti-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
