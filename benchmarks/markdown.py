"""What the tables of the results are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FAIREST = 3
"""With a clock faster than so many times real time, the comparison is marked as unfair."""


def failures(found: Iterable[tuple[str, str | None]]) -> list[str]:
    """The list of what failed, and why."""
    lines = [f"- {what}: {reason}" for what, reason in found if reason]
    return ["", "Failures:", "", *lines] if lines else []


def scale_note(part: dict[str, Any]) -> str:
    """What a clock faster than real time means for the figures; empty if it was not faster."""
    scale = part["scale"]
    if scale == 1:
        return ""
    text = (
        f" The benchmark's clock runs {scale:g} times as fast as real time: {2 * scale:g} requests per second, and"
        f" latencies and the readers' pauses divided by {scale:g}. The readers' own work is not faster, so it counts"
        f" {scale:g} times as much as in reality."
    )
    return text + (" **That is too fast for a fair comparison: see run.py.**" if scale > FAIREST else "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def unique(values: Iterable[Any]) -> list[Any]:
    """Each value once, in order."""
    return list(dict.fromkeys(values))
