"""Reports the progress of a run: a live line on a terminal, lines per stream in the log, and the figures of the run.

Nothing is written to standard output, which is for Singer messages only.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tap_jetti.tap.progress.throughput import Throughput
from tap_jetti.tap.run_summary import StreamFigures

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.stats import RequestStats
    from tap_jetti.tap.progress.terminal_line import TerminalLine

REFRESH_SECONDS = 0.25
"""Seconds between two updates of the live line."""

LOG_SECONDS = 30.0
"""Seconds between two log lines about the same stream."""


class Progress:
    """Reports the streams of a run, one after the other.

    Args:
        line: The live line, or None if there is no terminal to show it on.
        is_logged: Whether streams that are still being read are reported in the log.
        is_quiet: Whether streams that have ended are reported at the level DEBUG only.
        figures: Where the figures of each stream of the run are kept.
        logger: Where streams are reported.
        clock: The clock to measure with.
        stats: The request statistics of the session.
        rate: The GETs per second that the rate limit allows.
    """

    def __init__(
        self,
        line: TerminalLine | None,
        *,
        is_logged: bool,
        is_quiet: bool = False,
        figures: dict[str, StreamFigures],
        logger: logging.Logger,
        clock: Clock,
        stats: RequestStats,
        rate: float,
    ) -> None:
        self._line = line
        self._is_logged = is_logged
        self._level_of_streams = logging.DEBUG if is_quiet else logging.INFO
        self._figures = figures
        self._logger = logger
        self._clock = clock
        self._stats = stats
        self._rate = rate
        self._started_at = self._reported_at = clock.monotonic()
        self._begun = 0
        self._stream: str | None = None

    def begin(self, stream: str, count: Callable[[], int | None]) -> None:
        """Report that a stream begins.

        Args:
            stream: The name of the stream.
            count: Asks the server how many rows the stream will have. None: unknown.
        """
        self._begun += 1
        self._stream = stream
        self._throughput = Throughput(count, clock=self._clock, stats=self._stats, rate=self._rate)
        self._reported_at = self._clock.monotonic()
        if self._line:
            self._line.open()
            self._line.show(self._position())

    def advance(self, rows: int) -> None:
        """Record that a page with so many rows was written, and report the stream if that is due."""
        self._throughput.advance(rows)
        if self._line and self._is_due(REFRESH_SECONDS):
            self._line.show(self._live_text(self._line.width))
        elif self._is_logged and self._is_due(LOG_SECONDS):
            self._logger.info("%s", self._log_text())

    def end(self, outcome: str, proof: str | None = None, *, invalid_values: int = 0) -> None:
        """Report that the stream has ended, if one has begun.

        Args:
            outcome: `complete`, `failed` or `interrupted`.
            proof: `proven`, `trusted` or `unproven` if it is complete.
            invalid_values: The number of values that did not fit the schema.
        """
        if self._stream is None:
            return
        if self._line:
            self._line.close()
        throughput, seconds = self._throughput, self._throughput.seconds
        self._figures[self._stream] = StreamFigures(outcome, proof, throughput.rows, seconds, invalid_values)
        self._logger.log(
            self._level_of_streams,
            "stream=%s outcome=%s rows=%d seconds=%.1f rows_per_second=%.0f gets=%d%s%s",
            self._stream,
            outcome,
            throughput.rows,
            seconds,
            throughput.rows / seconds if seconds else 0,
            throughput.gets,
            f" proof={proof}" if proof else "",
            f" invalid_values={invalid_values}" if invalid_values else "",
        )
        self._stream = None

    def summarise(self, outcome: str) -> None:
        """Report that the run has ended.

        Args:
            outcome: `complete`, `incomplete` if a stream failed, `failed` or `interrupted`.
        """
        self.end(outcome)  # an error that is still being handled keeps the generator of its stream from ending
        figures = self._figures.values()
        unproven = [name for name, stream in self._figures.items() if stream.proof == "unproven"]
        if unproven:
            self._logger.warning(
                "Not proven complete: %s. Jetti does not count them correctly or at all, or verify_counts is never.",
                ", ".join(unproven),
            )
        self._logger.info(
            "outcome=%s streams=%d complete=%d rows=%d seconds=%.1f gets=%d waited_seconds=%.1f retries=%d refused=%d",
            outcome,
            len(figures),
            sum(stream.outcome == "complete" for stream in figures),
            sum(stream.rows for stream in figures),
            self._clock.monotonic() - self._started_at,
            self._stats.gets,
            self._stats.waited,
            self._stats.retries,
            self._stats.refused,
        )

    def _is_due(self, interval: float) -> bool:
        """Whether the last report is this many seconds old. If so, a sample is taken, and the next interval begins."""
        now = self._clock.monotonic()
        if now - self._reported_at < interval:
            return False
        self._reported_at = now
        self._throughput.measure()
        return True

    def _position(self) -> str:
        return f"{self._begun}/{len(self._figures)} {self._stream}"

    def _live_text(self, width: int) -> str:
        """The text of the live line. If it is too long, the rate limit's share is left out first, then the rate."""
        throughput = self._throughput
        rows, left = f"{throughput.rows:,} rows", ""
        if throughput.total is not None:
            total = f"{throughput.total:,}"
            percent = throughput.rows * 100 // throughput.total
            # Padded, so that the line does not jump while the number grows.
            rows = f"{throughput.rows:{len(total)},} of {total} rows  {percent:2}%"
        if throughput.seconds_left is not None:
            left = f"ETA {format_duration(throughput.seconds_left)}"
        rate = f"{throughput.rows_per_second:,.0f}/s"
        limit = "" if throughput.limit_share is None else f"limit {throughput.limit_share:.0%}"
        for parts in ((rows, rate, limit, left), (rows, rate, left), (rows, left)):
            text = "  ".join([self._position(), *filter(None, parts)])
            if len(text) <= width:
                break
        return text

    def _log_text(self) -> str:
        """The same figures for the log, as ``name=value`` pairs."""
        throughput = self._throughput
        figures = {
            "rows_per_second": throughput.rows_per_second,
            "limit_percent": None if throughput.limit_share is None else throughput.limit_share * 100,
            "total": throughput.total,
            "eta_seconds": throughput.seconds_left,
        }
        known = (f"{name}={value:.0f}" for name, value in figures.items() if value is not None)
        return " ".join([f"stream={self._stream} rows={throughput.rows}", *known])


def format_duration(seconds: float) -> str:
    """Format a duration by its two largest units: ``<1 s``, ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 1:
        return "<1 s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
