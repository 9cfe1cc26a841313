"""The figures of a run per action, and the summary at its end."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tap_jetti.target.delivery.figures import Figures, Outcome, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tap_jetti.client.stats import RequestStats
    from tap_jetti.target.delivery.operations import Origin, WriteOperation


MAX_LABELS = 5
"""Keys that a message names."""


class Summary:
    """Counts per action. Thread-safe."""

    def __init__(self) -> None:
        self.actions: dict[str, Figures] = {}
        self.without_effect: dict[str, list[str]] = {}
        """Per action, a few of the keys that earlier runs sent and Jetti still does not show."""
        self._lock = threading.Lock()

    def add(self, action: str, **figures: float) -> None:
        """Add to the figures of an action."""
        with self._lock:
            own = self.actions.setdefault(action, Figures())
            for name, value in figures.items():
                setattr(own, name, getattr(own, name) + value)

    def of(self, action: str) -> Figures:
        """Return the figures of an action, for a thread that is the only one to change some of them."""
        with self._lock:
            return self.actions.setdefault(action, Figures())

    def settle(self, origins: Iterable[Origin], outcome: Outcome) -> None:
        """Note the outcome of records. It may change later: what is accepted may be confirmed or rejected."""
        figure = outcome.value
        with self._lock:
            for origin in origins:
                if origin.outcome is None and origin.parts is None:  # of nearly every record, so it is fast
                    figures = origin.input_stream.figures
                    setattr(figures, figure, getattr(figures, figure) + 1)
                    origin.outcome = outcome
                else:
                    _change(origin, outcome)

    def settle_sent(self, operations: Iterable[WriteOperation], outcome: Outcome) -> None:
        """Note the outcome of the records of operations: the last one has it, the others were merged with it."""
        last: list[Origin] = []
        for operation in operations:
            origins = operation.origins
            if len(origins) > 1:
                self.settle(origins[:-1], Outcome.MERGED)
            last += origins[-1:]
        self.settle(last, outcome)

    def note_without_effect(self, action: str, labels: Sequence[str], *, number: int | None = None) -> None:
        """Note what earlier runs sent and Jetti still does not show: the run then ends with 1.

        Args:
            action: The name of the action.
            labels: What identifies the writes, for people; a few of them are enough.
            number: How many there are, if `labels` does not hold all of them.
        """
        self.add(action, without_effect=len(labels) if number is None else number)
        with self._lock:
            known = self.without_effect.setdefault(action, [])
            known += labels[: MAX_LABELS - len(known)]

    def total(self, figure: str) -> int:
        """Return one figure, summed over all actions."""
        with self._lock:
            return sum(getattr(own, figure) for own in self.actions.values())

    def as_dict(self, stats: RequestStats, *, seconds: float) -> dict[str, Any]:
        """Return the summary for the log."""
        with self._lock:
            actions = {name: asdict(own) for name, own in sorted(self.actions.items())}
        for own in actions.values():
            own["seconds"] = round(own["seconds"], 3)
        return {
            "actions": actions,
            "requests": stats.gets + stats.writes,
            "gets": stats.gets,
            "writes": stats.writes,
            "retries": stats.retries,
            "refused": stats.refused,
            "limiter_wait_seconds": round(stats.waited, 3),
            "seconds": round(seconds, 3),
        }


def _change(origin: Origin, outcome: Outcome) -> None:
    before = _outcome_of(origin)
    origin.outcome = outcome
    after = _outcome_of(origin)
    if before is not after:
        _count(origin.input_stream.figures, before, -1)
        _count(origin.input_stream.figures, after, 1)


def _outcome_of(origin: Origin) -> Outcome | None:
    """The outcome of the record that an origin is, or is a part of; None as long as a part has none."""
    return origin.outcome if origin.parts is None else worst([part.outcome for part in origin.parts])


def _count(figures: Figures, outcome: Outcome | None, number: int) -> None:
    if outcome is not None:
        setattr(figures, outcome.value, getattr(figures, outcome.value) + number)


def as_table(summary: dict[str, Any], *, dry_run: bool) -> str:
    """Return the summary as text for a terminal."""
    has_ignored = any(own["ignored"] for own in summary["actions"].values())
    outcomes = [outcome.value for outcome in Outcome if outcome is not Outcome.IGNORED or has_ignored]
    titles = {"accepted": "to send"} if dry_run else {}
    columns = ["received", *outcomes, "added", "changed", "calls"]
    headings = ["action", *(titles.get(column, column) for column in columns)]
    rows = [headings] + [
        [name, *(f"{own[column]:,}" for column in columns)] for name, own in summary["actions"].items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(headings))]
    lines = ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows]
    lines.append(
        f"Requests: {summary['requests']:,} ({summary['gets']:,} GETs, {summary['writes']:,} writes);"
        f" retries: {summary['retries']:,}; rate limit exceeded (429): {summary['refused']:,};"
        f" waited for the rate limit: {summary['limiter_wait_seconds']:,.1f} s; total: {summary['seconds']:,.1f} s"
    )
    return "\n".join(["Dry run: nothing was written." if dry_run else "Summary:", *lines])
