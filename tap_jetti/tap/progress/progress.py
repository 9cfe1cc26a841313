"""How far a run is: a live line a stream on a terminal, a line a stream in a log, and the figures of all at the end.

Nothing of it ever goes to standard output, which belongs to the messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.tap.progress.throughput import Throughput

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.stats import RequestStats
    from tap_jetti.tap.progress.terminal_line import TerminalLine

REFRESH_SECONDS = 0.25
"""Seconds between two pictures of the live line."""

LOG_SECONDS = 30.0
"""Seconds between two lines in a log about the same stream."""


class Progress:
    """Reports the streams of a run, one after the other.

    Args:
        line: Where somebody looks on, if anybody does.
        is_logged: Whether the log is told of long streams before their end.
        streams: How many streams there are.
        logger: Where streams are reported.
        clock: What seconds are measured by.
        stats: The figures of the session.
        rate: The GETs a second that are allowed.
    """

    def __init__(
        self,
        line: TerminalLine | None,
        *,
        is_logged: bool,
        streams: int,
        logger: logging.Logger,
        clock: Clock,
        stats: RequestStats,
        rate: float,
    ) -> None:
        self._line = line
        self._is_logged = is_logged
        self._streams = streams
        self._logger = logger
        self._clock = clock
        self._traffic = stats
        self._rate = rate
        self._started = self._told = clock.monotonic()
        self._begun = self._complete = self._rows = 0

    def begin(self, stream: str, count: Callable[[], int | None]) -> None:
        """A stream begins.

        Args:
            stream: Its name.
            count: Asks the server how many rows it will have; None where that is not known.
        """
        self._begun += 1
        self._stream = stream
        self._pace = Throughput(count, clock=self._clock, stats=self._traffic, rate=self._rate)
        self._told = self._clock.monotonic()
        if self._line:
            self._line.open()
            self._line.show(self._place())

    def advance(self, rows: int) -> None:
        """A page of so many more rows was written."""
        self._pace.advance(rows)
        if self._line and self._is_due(REFRESH_SECONDS):
            self._line.show(self._picture(self._line.width))
        elif self._is_logged and self._is_due(LOG_SECONDS):
            self._logger.info("%s", self._report())

    def end(self, outcome: str) -> None:
        """The stream is over.

        Args:
            outcome: `complete`, `failed` or `interrupted`.
        """
        if self._line:
            self._line.close()
        pace, seconds = self._pace, self._pace.seconds
        self._rows += pace.rows
        self._complete += outcome == "complete"
        self._logger.info(
            "stream=%s outcome=%s rows=%d seconds=%.1f rows_per_second=%.0f gets=%d",
            self._stream,
            outcome,
            pace.rows,
            seconds,
            pace.rows / seconds if seconds else 0,
            pace.gets,
        )

    def summarise(self, outcome: str) -> None:
        """The run is over.

        Args:
            outcome: `complete`, `incomplete` if a stream could not be read, `failed` or `interrupted`.
        """
        self._logger.info(
            "outcome=%s streams=%d complete=%d rows=%d seconds=%.1f gets=%d waited_seconds=%.1f retries=%d refused=%d",
            outcome,
            self._streams,
            self._complete,
            self._rows,
            self._clock.monotonic() - self._started,
            self._traffic.gets,
            self._traffic.waited,
            self._traffic.retries,
            self._traffic.refused,
        )

    def _is_due(self, every: float) -> bool:
        """Whether to tell how far the stream is. It is looked at then, and not more often."""
        now = self._clock.monotonic()
        if now - self._told < every:
            return False
        self._told = now
        self._pace.look()
        return True

    def _place(self) -> str:
        return f"{self._begun}/{self._streams} {self._stream}"

    def _picture(self, width: int) -> str:
        """The live line; where it is too long, without what is missed least."""
        pace = self._pace
        rows, left = f"{pace.rows:,} rows", ""
        if pace.total is not None:
            total = f"{pace.total:,}"
            rows = f"{pace.rows:{len(total)},} of {total} rows  {pace.rows * 100 // pace.total:2}%"
        if pace.seconds_left is not None:
            left = f"ETA {in_words(pace.seconds_left)}"
        rate = f"{pace.rows_a_second:,.0f}/s"
        limit = "" if pace.share is None else f"limit {pace.share:.0%}"
        for parts in ((rows, rate, limit, left), (rows, rate, left), (rows, left)):
            text = "  ".join([self._place(), *filter(None, parts)])
            if len(text) <= width:
                break
        return text

    def _report(self) -> str:
        """The same for a log."""
        pace = self._pace
        figures = {
            "rows_per_second": pace.rows_a_second,
            "limit_percent": None if pace.share is None else pace.share * 100,
            "total": pace.total,
            "eta_seconds": pace.seconds_left,
        }
        known = (f"{name}={value:.0f}" for name, value in figures.items() if value is not None)
        return " ".join([f"stream={self._stream} rows={pace.rows}", *known])


def in_words(seconds: float) -> str:
    """A time as one says it: ``<1 s``, ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 1:
        return "<1 s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
