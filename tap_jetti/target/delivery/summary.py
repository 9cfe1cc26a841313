"""The figures of a run per action, and the summary at its end."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tap_jetti.client.stats import RequestStats


@dataclass
class Figures:
    """The outcomes of the records of one action.

    Attributes:
        received: Records received.
        unchanged: Records that were not sent, since Jetti has the same values.
        added: Operations to send whose row Jetti does not have, as far as rows are compared.
        changed: Operations to send that differ from Jetti's row or are not compared.
        merged: Operations that were merged with a later one of the same key before they were sent.
        sent: Operations that Jetti accepted, or records in the feed file.
        confirmed: Sent operations that were read back as sent.
        rejected: Operations and records that cannot be written.
        left: Operations left for the next run by ``max_updates``.
        calls: Calls made, without retries.
        seconds: Time spent in those calls, added up over all threads.
    """

    received: int = 0
    unchanged: int = 0
    added: int = 0
    changed: int = 0
    merged: int = 0
    sent: int = 0
    confirmed: int = 0
    rejected: int = 0
    left: int = 0
    calls: int = 0
    seconds: float = 0.0


class Summary:
    """Counts per action. Thread-safe."""

    def __init__(self) -> None:
        self.actions: dict[str, Figures] = {}
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


def as_table(summary: dict[str, Any], *, dry_run: bool) -> str:
    """Return the summary as text for a terminal."""
    columns = ["received", "unchanged", "added", "changed", "rejected", "left"]
    if not dry_run:
        columns[4:4] = ["sent", "confirmed"]
        columns.append("calls")
    headings = ["action", *columns]
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
