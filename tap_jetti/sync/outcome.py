"""How a sync ended: its exit code and its cause, decided in one table, and the summary."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import EXIT_RETRY, JettiError
from tap_jetti.process.command import SIGNAL_EXIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_jetti.sync.children import Child

    State = Mapping[str, Any]


@dataclass
class Ending:
    """What is known when both processes have ended.

    Attributes:
        tap: The tap; None if it was not started.
        loader: The loader.
        signum: The signal that ended the run.
        hung_seconds: How long the loader had not read on when it was ended.
        loader_ended_first: Whether the loader ended before it had read everything.
        state_error: Why the state could not be stored.
        sent: The last state that the tap sent.
        stored: The last state that the loader confirmed.
        rows: The rows that were passed to the loader, by stream.
        tap_summary: What the tap says of its run.
    """

    tap: Child | None
    loader: Child
    signum: int | None = None
    hung_seconds: float | None = None
    loader_ended_first: bool = False
    state_error: JettiError | None = None
    sent: State | None = None
    stored: State | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    tap_summary: dict[str, Any] | None = None

    def verdict(self) -> tuple[int, str | None]:
        """The exit code of the sync, and its cause: the first of the causes that holds."""
        return next(self._causes(), (0, None))

    def all_causes(self) -> list[str]:
        """Everything that went wrong."""
        return [text for _, text in self._causes()]

    def _causes(self) -> Iterator[tuple[int, str]]:
        loader, tap = self.loader, self.tap
        if self.signum is not None:
            yield SIGNAL_EXIT + self.signum, f"Stopped by {signal.Signals(self.signum).name}."
        if self.hung_seconds is not None:
            yield EXIT_RETRY, f"The loader has not read on for {self.hung_seconds:.0f} s and was ended."
        elif loader.exit_code:
            yield loader.exit_code, f"{_capital(loader.ending)}, see its messages."
        elif self.loader_ended_first:
            yield 1, "The loader ended before it had read everything, and reported no error."
        if tap and tap.exit_code and not self.loader_ended_first and self.signum is None:
            reason = (self.tap_summary or {}).get("cause")
            yield tap.exit_code, f"{_capital(tap.ending)}{f': {reason}' if reason else ', see its messages.'}"
        if self.state_error is not None:
            yield self.state_error.exit_code, str(self.state_error)
        elif not loader.exit_code and self.hung_seconds is None and not _covers(self.stored, self.sent):
            yield (
                1,
                (
                    "The loader ended without the last state, so it is unknown whether it has stored all rows."
                    " The next run reads them again."
                ),
            )

    def summary(self) -> dict[str, Any]:
        """The summary: that of the tap, with the end of the sync as a whole."""
        code, cause = self.verdict()
        found = self.tap_summary or {
            "streams": {
                name: {"outcome": "failed", "proof": None, "rows": rows, "seconds": None}
                for name, rows in self.rows.items()
            },
            **dict.fromkeys(("gets", "refused", "retries", "waited_seconds")),
        }
        outcome = found.get("outcome", "failed")
        if self.signum is not None:
            outcome = "interrupted"
        elif code and outcome in {"complete", "interrupted"}:
            outcome = "failed"
        return {**found, "outcome": outcome, "exit_code": code, "cause": cause}


def failure_summary(code: int, cause: str) -> dict[str, Any]:
    """The summary of a sync that ended before the tap was started."""
    figures = dict.fromkeys(("gets", "refused", "retries"), 0)
    outcome = "interrupted" if code > SIGNAL_EXIT else "failed"
    return {"outcome": outcome, "exit_code": code, "cause": cause, "streams": {}, **figures, "waited_seconds": 0.0}


def _covers(stored: State | None, sent: State | None) -> bool:
    """Whether the loader has confirmed the last state: each bookmark of it, in whatever it is wrapped."""
    if sent is None:
        return True
    bookmarks = (stored or {}).get("bookmarks", {})
    return stored is not None and all(bookmarks.get(name) == one for name, one in sent.get("bookmarks", {}).items())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
