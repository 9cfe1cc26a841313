"""The screen of `jetti sync` on a terminal: a line per stream, and how much of the rate limit is used."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tap_jetti.tap.progress.progress import format_duration

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import RenderableType
    from typing_extensions import Self

_MARKS = {"waiting": " ", "reading": ">", "complete": "✓", "failed": "✗", "interrupted": "-"}
_BAR = 20
_OTHER_LINES = 3


@dataclass
class _Stream:
    """What the tap has said of a stream."""

    outcome: str = "waiting"
    rows: int = 0
    total: int | None = None
    rows_per_second: float | None = None
    seconds_left: float | None = None
    proof: str | None = None


class Screen:
    """Draws what the tap reports, while the block lasts.

    Args:
        log: The name of the file where the messages are.
        console: The terminal.

    Attributes:
        pipe: The descriptor to which the tap writes its reports.
    """

    def __init__(self, log: str, console: Console | None = None) -> None:
        self._log = log
        self._console = console or Console(file=sys.stderr)
        self._streams: dict[str, _Stream] = {}
        self._limit_share: float | None = None
        self._live = Live(get_renderable=self.render, console=self._console, auto_refresh=True)
        read, self.pipe = os.pipe()
        self._reports = os.fdopen(read, "rb")
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._reader.start()
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Draw for the last time."""
        os.close(self.pipe)
        self._reader.join()
        self._reports.close()
        self._limit_share = None
        self._live.stop()

    def take(self, report: dict[str, Any]) -> None:
        """Take a report of the tap, see `ReportingProgress`."""
        for name in report.get("streams", ()):
            self._streams.setdefault(name, _Stream())
        if name := report.get("stream"):
            stream = self._streams.setdefault(name, _Stream())
            stream.outcome = report.get("outcome") or "reading"
            for figure in ("rows", "total", "rows_per_second", "seconds_left", "proof"):
                if report.get(figure) is not None:
                    setattr(stream, figure, report[figure])
            if stream.outcome != "reading":
                stream.seconds_left, stream.rows_per_second = None, None
            if report.get("limit_share") is not None:
                self._limit_share = report["limit_share"]

    def render(self) -> RenderableType:
        """What the terminal shows now."""
        shown, hidden = self._shown()
        table = Table.grid(padding=(0, 2))
        for justify in ("left", "left", "left", "right", "right", "left"):
            table.add_column(justify=justify, no_wrap=True)
        for name, stream in shown:
            table.add_row(*_cells(name, stream))
        return Group(*([table] if shown else []), Text(self._footer(hidden)))

    def _shown(self) -> tuple[list[tuple[str, _Stream]], int]:
        """The streams that fit on the screen, and the number of others: those that are complete go first."""
        room = max(1, self._console.height - _OTHER_LINES)
        streams = list(self._streams.items())
        spare = len(streams) - room
        hidden: set[str] = set()
        for outcome in ("complete", "waiting"):
            names = [name for name, stream in streams if stream.outcome == outcome]
            names = names if outcome == "complete" else names[::-1]
            hidden |= set(names[: max(0, spare - len(hidden))])
        return [(name, stream) for name, stream in streams if name not in hidden], len(hidden)

    def _footer(self, hidden: int) -> str:
        done = sum(stream.outcome == "complete" for stream in self._streams.values())
        rows = sum(stream.rows for stream in self._streams.values())
        parts = [f"{done} of {len(self._streams)} streams", f"{rows:,} rows"]
        if self._limit_share is not None:
            parts.append(f"limit {self._limit_share:.0%} used")
        if hidden:
            parts.append(f"{hidden} not shown")
        return "  ".join([*parts, f"log: {self._log}"])

    def _read(self) -> None:
        for line in self._reports:
            self.take(msgspec.json.decode(line))


def _cells(name: str, stream: _Stream) -> list[RenderableType]:
    rows = f"{stream.rows:,}" if stream.outcome != "waiting" else ""
    if stream.total is not None and stream.outcome == "reading":
        rows = f"{rows} of {stream.total:,}"
    is_done = stream.outcome == "complete"
    bar: RenderableType = ""
    if stream.outcome != "waiting":
        total = max(stream.rows, 1) if is_done else stream.total
        completed = total if is_done and total else stream.rows
        bar = ProgressBar(total=total, completed=completed or 0, width=_BAR, pulse=total is None)
    rate = f"{stream.rows_per_second:,.0f}/s" if stream.rows_per_second else ""
    left = f"{format_duration(stream.seconds_left)} left" if stream.seconds_left is not None else stream.proof or ""
    if stream.outcome in {"failed", "interrupted"}:
        left = stream.outcome
    return [_MARKS.get(stream.outcome, "?"), name, bar, rows, rate, left]
