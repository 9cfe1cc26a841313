"""The tap as `jetti sync` runs it: it ends when `jetti sync` does, and reports its progress on a pipe."""

from __future__ import annotations

import os
import signal
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from typing_extensions import override

from tap_jetti.process.command import run_command
from tap_jetti.tap.progress.progress import REFRESH_SECONDS, Progress
from tap_jetti.tap.run_context import RunContext
from tap_jetti.tap.tap import TapJetti

if TYPE_CHECKING:
    from collections.abc import Callable

REPORTS = "JETTI_SYNC_REPORTS"
"""The variable with the descriptor of the pipe for reports. Without it, none are written."""


class ReportingProgress(Progress):
    """Writes what a live line would show as lines of JSON, for the screen of `jetti sync`.

    Args:
        pipe: The descriptor to write to.
        **arguments: Those of `Progress`.
    """

    def __init__(self, pipe: int, **arguments: Any) -> None:  # noqa: ANN401 - see `Progress`
        super().__init__(None, is_logged=False, **arguments)
        self._pipe: int | None = pipe
        self._report(streams=list(self._figures))

    @override
    def begin(self, stream: str, count: Callable[[], int | None]) -> None:
        super().begin(stream, count)
        self._report(stream=stream, rows=0)

    @override
    def advance(self, rows: int) -> None:
        super().advance(rows)
        if self._is_due(REFRESH_SECONDS):
            throughput = self._throughput
            self._report(
                stream=self._stream,
                rows=throughput.rows,
                total=throughput.total,
                rows_per_second=throughput.rows_per_second,
                limit_share=throughput.limit_share,
                seconds_left=throughput.seconds_left,
            )

    @override
    def end(self, outcome: str, proof: str | None = None, *, invalid_values: int = 0) -> None:
        stream = self._stream
        super().end(outcome, proof, invalid_values=invalid_values)
        if stream is not None:
            figures = self._figures[stream]
            self._report(stream=stream, rows=figures.rows, outcome=outcome, proof=proof, seconds=figures.seconds)

    def _report(self, **report: Any) -> None:  # noqa: ANN401 - any JSON
        if self._pipe is None:
            return
        try:
            os.write(self._pipe, msgspec.json.encode(report) + b"\n")
        except OSError:  # nobody looks any more, which must not stop the run
            self._pipe = None


class ReportingContext(RunContext):
    """The context of a run whose progress is shown by another process."""

    @cached_property
    def progress(self) -> Progress:
        """What the user sees of the run while it goes on."""
        return ReportingProgress(
            int(os.environ[REPORTS]),
            figures=self.summary.streams,
            logger=self._logger,
            clock=self.clock,
            stats=self.session.stats,
            rate=self.session.reads_a_second,
        )


class ReportingTap(TapJetti):
    """The tap, with reports."""

    run_context_class = ReportingContext


def main() -> NoReturn:
    """Run the tap. Its standard input is a pipe that closes when `jetti sync` ends, however it ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run_command(ReportingTap if REPORTS in os.environ else TapJetti)


def _end_with_parent() -> None:
    """Stop the tap once its parent has gone: nobody else would, and it would go on using the rate limit."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
