"""The figures of a run, by action, and the summary at its end."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tap_jetti.client.stats import RequestStats


@dataclass
class Figures:
    """What became of the records of one action.

    Attributes:
        received: Records that came for it.
        unchanged: Not sent, since Jetti has the same.
        added: To be sent, and new to Jetti as far as it was looked up.
        changed: To be sent, and different from what Jetti has, or not compared.
        merged: Replaced by a later record of the same key before they were sent.
        sent: Accepted by Jetti, or placed in the feed file.
        confirmed: Read back as sent.
        rejected: Refused, and set aside where there is a place for it.
        left: Left for the next run by max_updates.
        calls: Calls it took, without repetitions.
        seconds: Time spent in those calls, added up over all that ran side by side.
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
    """Counts by action, from any thread."""

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
        """The figures of an action, for a thread that alone changes some of them."""
        with self._lock:
            return self.actions.setdefault(action, Figures())

    def total(self, figure: str) -> int:
        """One figure over all actions."""
        with self._lock:
            return sum(getattr(own, figure) for own in self.actions.values())

    def as_dict(self, stats: RequestStats, *, seconds: float) -> dict[str, Any]:
        """The whole summary, for the log."""
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
    """The summary for people."""
    columns = ["received", "unchanged", "added", "changed", "rejected", "left"]
    if not dry_run:
        columns[4:4] = ["sent", "confirmed"]
        columns.append("calls")
    heads = ["action", *("invalid" if dry_run and name == "rejected" else name for name in columns)]
    rows = [heads] + [[name, *(f"{own[figure]:,}" for figure in columns)] for name, own in summary["actions"].items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows]
    lines.append(
        f"{summary['requests']:,} requests ({summary['gets']:,} GETs, {summary['writes']:,} writes),"
        f" {summary['retries']:,} retries, {summary['refused']:,} refused (429),"
        f" {summary['limiter_wait_seconds']:,.1f} s waited for the rate limit,"
        f" {summary['seconds']:,.1f} s in all."
    )
    return "\n".join(["Plan; nothing was written." if dry_run else "Summary.", *lines])
