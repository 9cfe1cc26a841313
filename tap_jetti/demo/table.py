"""Prints comparisons as an aligned table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_jetti.demo.comparison import Comparison

_HEAD = ("stream", "changed", "in Jetti", "in warehouse", "wrong", "requests", "seconds", "429s", "")


def show(comparisons: Sequence[Comparison]) -> None:
    """Print one line per stream, and the totals."""
    lines = [_cells(one) for one in comparisons]
    total = (
        "total",
        *(
            f"{sum(getattr(one, field) for one in comparisons):,}"
            for field in ("changed", "in_jetti", "in_warehouse", "wrong", "requests")
        ),
        f"{sum(one.seconds for one in comparisons):.1f}",
        f"{sum(one.refused for one in comparisons):,}",
        "equal" if all(one.is_equal for one in comparisons) else "DIFFERENT",
    )
    widths = [max(len(line[column]) for line in (_HEAD, *lines, total)) for column in range(len(_HEAD))]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    click.echo()
    for line in (_HEAD, rule, *lines, rule, total):
        click.echo(f"  {line if isinstance(line, str) else _aligned(line, widths)}")
    click.echo()


def _cells(one: Comparison) -> tuple[str, ...]:
    return (
        one.stream,
        f"{one.changed:,}" if one.changed else "",
        f"{one.in_jetti:,}",
        f"{one.in_warehouse:,}",
        f"{one.wrong:,}",
        f"{one.requests:,}",
        f"{one.seconds:.1f}",
        f"{one.refused:,}",
        "equal" if one.is_equal else "DIFFERENT",
    )


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Align the cells below their headings: text to the left, numbers to the right."""
    stream, *numbers, verdict = cells
    aligned = (f"{number:>{width}}" for number, width in zip(numbers, widths[1:-1], strict=True))
    return "  ".join([f"{stream:<{widths[0]}}", *aligned, verdict]).rstrip()
