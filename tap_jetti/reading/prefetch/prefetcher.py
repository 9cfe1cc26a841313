"""Decides what is read ahead: as much as the rate limit lets through while responses are under way."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from tap_jetti.reading.prefetch.context import PrefetchContext
from tap_jetti.reading.prefetch.memory import PLACES, PrefetchMemory
from tap_jetti.reading.prefetch.probes import FromProbes
from tap_jetti.reading.prefetch.scheduler import PriorityScheduler
from tap_jetti.reading.prefetch.stream_ahead import StreamPrefetch
from tap_jetti.reading.prefetch.workers import Workers

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import JettiSession, Response
    from tap_jetti.reading.prefetch.stream_read import StreamRead

SPARE = 2
"""Requests kept going beyond those that the latency hides: some of them end early."""

STREAMS_PER_REQUEST = 2
"""Streams read ahead for each request in flight: some of them wait for memory."""

MIN_LATENCY = 0.02
"""Seconds below which responses come as fast as they can be worked on, whatever the rate."""

MIN_GAIN = 1.05
"""The latency times the rate above which reading ahead pays."""

MIN_FIRST_GAIN = 1.5
"""The same for the first response, also while it has not come: its time includes connecting."""

LATENCIES = 4
"""Of so many responses the fastest tells the latency."""


class Prefetcher:
    """Reads ahead for the streams of one session.

    Args:
        session: What sends the requests.
        concurrency: Requests in flight at most.
        clock: This machine's clock.
        logger: Where readers report.
        min_latency: Seconds of latency below which nothing is read ahead.
        min_gain: Latency times rate above which something is.
        places: Places for rows held ahead.
    """

    def __init__(
        self,
        session: JettiSession,
        *,
        concurrency: int,
        clock: Clock,
        logger: logging.Logger,
        min_latency: float = MIN_LATENCY,
        min_gain: float = MIN_GAIN,
        places: int = PLACES,
    ) -> None:
        self.memory = PrefetchMemory(places, clock)
        self._session = session
        self._clock = clock
        self._concurrency = concurrency
        self._min_latency = min_latency
        self._min_gain = min_gain
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._waited_for_first = 0.0
        self._has_outcome = False
        self._current: StreamPrefetch | None = None
        self._following: deque[StreamRead] = deque()
        self._ahead: dict[StreamRead, StreamPrefetch] = {}
        self._opened = 0
        self._workers = Workers(self.memory.changed, clock=clock, logger=logger, ended=self.fill)
        self._context = PrefetchContext(
            session=session,
            scheduler=PriorityScheduler(session, concurrency, clock),
            memory=self.memory,
            workers=self._workers,
            probes=FromProbes(),
            fill=self.fill,
            observe=self._observe,
            concurrency=concurrency,
            clock=clock,
            logger=logger,
        )

    def follow(self, streams: Iterable[StreamRead]) -> None:
        """Say which streams will be read, in order."""
        self._following = deque(streams)

    def open(self, stream_read: StreamRead) -> StreamPrefetch:
        """The next stream, as far as it was read ahead."""
        with self.memory.changed:
            if stream_read in self._following:
                while self._following.popleft() is not stream_read:
                    pass
            if self._current is None and self._following:
                self._workers.start(self._await_first_response)
            if self._current is not None:
                self._current.source.leave()
            self._current = self._ahead.pop(stream_read, None) or self._made(stream_read)
            return self._current

    def close(self) -> None:
        """End all threads: the requests in flight are cut, and a permit that one waits for is lost."""
        with self.memory.changed:
            self.memory.is_closed = True
            self.memory.changed.notify_all()
        self._context.scheduler.close()
        self._session.abort()
        self._workers.join()

    def fill(self) -> None:
        """Start as many readers as the limiter can serve while responses are under way."""
        latencies = tuple(self._latencies)
        latency = min(latencies, default=self._waited_for_first)
        min_gain = self._min_gain if len(latencies) > 1 else max(self._min_gain, MIN_FIRST_GAIN)
        wanted = latency * self._session.reads_a_second
        if latency < self._min_latency or wanted <= min_gain or self._session.idle_in > latency:
            return
        most = min(self._concurrency, math.ceil(wanted) + SPARE)
        with self.memory.changed:
            while not self.memory.is_closed and self._busy < STREAMS_PER_REQUEST * most and self._start_stream():
                pass
            while not self.memory.is_closed and self._busy < most and self._start_window():
                pass

    def _observe(self, path: str, response: Response | None) -> None:
        """Learn from a response how long responses take, and how large they are; None: there was none."""
        if response is not None:
            self.memory.observe(path, response)
        with self.memory.changed:
            if response is not None:
                self._latencies.append(response.received - response.sent)
            if not self._has_outcome:
                self._has_outcome = True
                self.memory.changed.notify_all()

    def _await_first_response(self) -> None:
        """Take the server for slow once its first response has not come while reading ahead would have paid."""
        began = self._clock.monotonic()
        patience = max(MIN_FIRST_GAIN / self._session.reads_a_second, self._min_latency)
        with self.memory.changed:
            while not self.memory.is_closed and not self._has_outcome and not self._session.stats.retries:
                self._waited_for_first = self._clock.monotonic() - began
                if self._waited_for_first > patience:
                    break  # `fill` comes next, as after any work
                self._clock.wait(self.memory.changed, patience - self._waited_for_first)

    @property
    def _busy(self) -> int:
        """The readers that have a request in flight or want one."""
        return len(self._workers) - self.memory.waiting + 1

    def _start_stream(self) -> bool:
        """Start to read one more of the streams that follow; answers whether there was any to start."""
        if not self._following or not self.memory.has_room_for_followers():
            return False
        stream_read = self._following.popleft()
        ahead = self._ahead[stream_read] = self._made(stream_read)
        ahead.begin()
        self._workers.start(ahead.run)
        return True

    def _made(self, stream_read: StreamRead) -> StreamPrefetch:
        self._opened += 1
        return StreamPrefetch(self._context, stream_read, self._opened)

    def _start_window(self) -> bool:
        """Start one more reader of this stream; answers whether there was anything to read."""
        if self._current is None or not self._current.source.is_current or self._context.probes.is_hopeless:
            return False
        return self._current.source.start_window()
