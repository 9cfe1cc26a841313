"""How far a run is: a live line a stream on a terminal, a line a stream in a log.

Nothing of it ever goes to standard output, which belongs to the messages.
"""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING, Any, TextIO

from typing_extensions import override

if TYPE_CHECKING:
    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import Traffic

REFRESH_SECONDS = 0.25
"""Seconds between two pictures of the live line."""

_ERASE = "\r\x1b[K"


class Progress:
    """Reports the streams of a run, one after the other.

    Args:
        output: Where the live line goes, if it is a terminal: standard error.
        logger: Where finished streams are reported.
        clock: What seconds are measured by.
        traffic: The figures of the session.
        rate: The units a second that are allowed, to show the share in use.

    Attributes:
        rows: The rows of all streams so far.
        is_live: Whether somebody looks on.
    """

    def __init__(self, output: TextIO, *, logger: logging.Logger, clock: Clock, traffic: Traffic, rate: float) -> None:
        self.rows = 0
        self.is_live = output.isatty()
        self._output = output
        self._logger = logger
        self._clock = clock
        self._traffic = traffic
        self._rate = rate
        self._stream = ""
        self._rows = 0
        self._started = self._drawn = clock.monotonic()
        self._gets = 0
        self._eraser = _Eraser(self)

    def begin(self, stream: str) -> None:
        """A stream begins."""
        self._stream, self._rows = stream, 0
        self._started, self._gets = self._clock.monotonic(), self._traffic.gets
        if self.is_live:
            for handler in logging.getLogger().handlers:
                handler.addFilter(self._eraser)

    def advance(self, rows: int) -> None:
        """So many more rows were written."""
        self._rows += rows
        self.rows += rows
        now = self._clock.monotonic()
        if self.is_live and now - self._drawn >= REFRESH_SECONDS:
            self._drawn = now
            self._draw(now - self._started)

    def end(self, outcome: str) -> None:
        """The stream is over.

        Args:
            outcome: `complete`, or `failed`.
        """
        seconds = self._clock.monotonic() - self._started
        self.erase()
        self._logger.info(
            "stream=%s outcome=%s rows=%d seconds=%.1f rows_per_second=%.0f gets=%d",
            self._stream,
            outcome,
            self._rows,
            seconds,
            self._rows / seconds if seconds else 0,
            self._traffic.gets - self._gets,
        )
        for handler in logging.getLogger().handlers:
            handler.removeFilter(self._eraser)

    def erase(self) -> None:
        """Take the live line off the screen, so that something else can be written there."""
        if self.is_live:
            self._output.write(_ERASE)
            self._output.flush()

    def _draw(self, seconds: float) -> None:
        rate = self._rows / seconds if seconds else 0.0
        parts = [f"{self._stream}  {self._rows:,} rows", f"{rate:,.0f}/s"]
        if self._rate * seconds >= 1:
            used = (self._traffic.gets - self._gets) / (self._rate * seconds)
            parts.append(f"{min(used, 1):.0%} of the limit")
        line = "  ".join(parts)[: shutil.get_terminal_size().columns - 1]
        self._output.write(f"{_ERASE}{line}")
        self._output.flush()


class _Eraser(logging.Filter):
    """Takes the live line away before a log line is written over it."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    @override
    def filter(self, record: logging.LogRecord) -> Any:
        self._progress.erase()
        return True
