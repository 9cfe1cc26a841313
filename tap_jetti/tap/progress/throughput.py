"""How fast one stream goes, and when it will be at its end."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.stats import RequestStats

PACE_SECONDS = 60.0
"""How far back to look for how fast a stream goes: rows that were read ahead come half a minute's worth at a time."""

SAMPLE_SECONDS = 1.0
"""Seconds between two samples of that."""

LONG_SECONDS = 10.0
"""How long a stream has gone on when its rows are counted, which takes a GET: not for those that end before."""

LONG_PAGES = 20
"""How many pages it has had by then: the count is one request in twenty at most."""


class _Sample(NamedTuple):
    time: float
    rows: int
    gets: int


class Throughput:
    """How far one stream is.

    Args:
        count: Asks the server how many rows it will have; None where that is not known.
        clock: What seconds are measured by.
        stats: The figures of the session.
        rate: The GETs a second that are allowed.

    Attributes:
        rows: The rows so far.
        total: The rows that it will have; None where that is not known.
    """

    def __init__(self, count: Callable[[], int | None], *, clock: Clock, stats: RequestStats, rate: float) -> None:
        self.rows = 0
        self.total: int | None = None
        self._count = count
        self._clock = clock
        self._traffic = stats
        self._rate = rate
        self._pages = 0
        self._is_counted = False
        self._start = self._now = self._sample()
        self._past = deque([self._start])

    @property
    def seconds(self) -> float:
        """How long it has gone on."""
        return self._clock.monotonic() - self._start.time

    @property
    def gets(self) -> int:
        """The GETs since it began."""
        return self._traffic.gets - self._start.gets

    @property
    def rows_a_second(self) -> float:
        """How fast it is, lately."""
        return self._a_second(self._now.rows - self._past[0].rows)

    @property
    def share(self) -> float | None:
        """The part of the limit in use, lately; None where it is too early to tell."""
        is_early = self._rate * (self._now.time - self._past[0].time) < 1
        return None if is_early else min(self._a_second(self._now.gets - self._past[0].gets) / self._rate, 1.0)

    @property
    def seconds_left(self) -> float | None:
        """How long it will go on; None where that is not known."""
        return None if self.total is None or not self.rows_a_second else (self.total - self.rows) / self.rows_a_second

    def advance(self, rows: int) -> None:
        """A page of so many more rows was written."""
        self.rows += rows
        self._pages += 1

    def look(self) -> None:
        """Measure how fast it is now. The server is asked how long it will be, once and only if it is long already."""
        if not self._is_counted and self._pages >= LONG_PAGES and self.seconds >= LONG_SECONDS:
            self._is_counted = True
            self.total = self._count()
        if self.total is not None and self.rows > self.total:
            self.total = None  # it has grown, or is read once more
        self._now = self._sample()
        if self._now.time - self._past[-1].time >= SAMPLE_SECONDS:
            self._past.append(self._now)
            while self._now.time - self._past[1].time >= PACE_SECONDS:
                self._past.popleft()

    def _sample(self) -> _Sample:
        return _Sample(self._clock.monotonic(), self.rows, self._traffic.gets)

    def _a_second(self, number: int) -> float:
        seconds = self._now.time - self._past[0].time
        return number / seconds if seconds else 0.0
