"""Measures how fast one stream is read, and estimates when it will be complete."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.stats import RequestStats

WINDOW_SECONDS = 60.0
"""Rates are averages over this many seconds. Prefetched rows arrive in bursts of up to half a minute's worth."""

SAMPLE_SECONDS = 1.0
"""Minimum time between two samples of the window, in seconds."""

COUNT_AFTER_SECONDS = 10.0
"""Rows are counted only of streams that take this many seconds: the count costs one GET."""

COUNT_AFTER_PAGES = 20
"""Rows are counted only of streams with this many pages, so that at most one request in twenty is a count."""


class _Sample(NamedTuple):
    time: float
    rows: int
    gets: int


class Throughput:
    """Measures one stream.

    Args:
        count: Asks the server how many rows the stream will have. None: unknown.
        clock: The clock to measure with.
        stats: The request statistics of the session.
        rate: The GETs per second that the rate limit allows.

    Attributes:
        rows: The rows so far.
        total: The rows that the stream will have. None: unknown.
    """

    def __init__(self, count: Callable[[], int | None], *, clock: Clock, stats: RequestStats, rate: float) -> None:
        self.rows = 0
        self.total: int | None = None
        self._count = count
        self._clock = clock
        self._stats = stats
        self._rate = rate
        self._pages = 0
        self._is_counted = False
        self._start = self._latest = self._sample()
        self._window = deque([self._start])

    @property
    def seconds(self) -> float:
        """Seconds since the stream began."""
        return self._clock.monotonic() - self._start.time

    @property
    def gets(self) -> int:
        """GETs since the stream began."""
        return self._stats.gets - self._start.gets

    @property
    def rows_per_second(self) -> float:
        """Rows per second, averaged over the window."""
        return self._per_second(self._latest.rows - self._window[0].rows)

    @property
    def limit_share(self) -> float | None:
        """The share of the rate limit that is in use, from 0 to 1. None: too early to tell."""
        is_early = self._rate * (self._latest.time - self._window[0].time) < 1
        return None if is_early else min(self._per_second(self._latest.gets - self._window[0].gets) / self._rate, 1.0)

    @property
    def seconds_left(self) -> float | None:
        """The estimated seconds until the stream is complete. None: unknown."""
        return (
            None if self.total is None or not self.rows_per_second else (self.total - self.rows) / self.rows_per_second
        )

    def advance(self, rows: int) -> None:
        """Record that a page with so many rows was written."""
        self.rows += rows
        self._pages += 1

    def measure(self) -> None:
        """Take a sample. A stream that turns out to be long is counted, once."""
        if not self._is_counted and self._pages >= COUNT_AFTER_PAGES and self.seconds >= COUNT_AFTER_SECONDS:
            self._is_counted = True
            self.total = self._count()
        if self.total is not None and self.rows > self.total:
            self.total = None  # rows were added since the count, or rows are read a second time
        self._latest = self._sample()
        # Samples are dropped until the first one is the youngest that is at least as old as the window is long.
        if self._latest.time - self._window[-1].time >= SAMPLE_SECONDS:
            self._window.append(self._latest)
            while self._latest.time - self._window[1].time >= WINDOW_SECONDS:
                self._window.popleft()

    def _sample(self) -> _Sample:
        return _Sample(self._clock.monotonic(), self.rows, self._stats.gets)

    def _per_second(self, number: int) -> float:
        seconds = self._latest.time - self._window[0].time
        return number / seconds if seconds else 0.0
