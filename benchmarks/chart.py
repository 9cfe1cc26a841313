"""The results as an SVG chart with its own background, light or dark."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH = 960
MARGIN = 24
GAP = 28
PANEL_WIDTH = (WIDTH - 2 * MARGIN - GAP) // 2
PANEL_HEIGHT = 306
HEAD = 64
"""Pixels above a panel's content, for its title and what it shows."""

CLASSES = {
    "tap-jetti": "a",
    "tap-jetti, larger pages": "a",
    "plain singer-sdk": "b",
    "dlt rest_api": "c",
    "Airbyte low-code": "d",
    "floor: requests + orjson": "e",
}
"""The colour of each reader."""

STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;font-size:12px;fill:#334155}
.card{fill:#fff;stroke:#e2e8f0}.title{font-size:14px;font-weight:600;fill:#0f172a}.quiet{font-size:11px;fill:#64748b}
.strong{font-weight:600;fill:#0f172a}.grid{stroke:#e2e8f0}.mark{stroke:#64748b;stroke-dasharray:3 3}
.fa{fill:#2563eb}.fb{fill:#d97706}.fc{fill:#0d9488}.fd{fill:#9333ea}.fe{fill:#94a3b8}
.sa{stroke:#2563eb}.sb{stroke:#d97706}.sc{stroke:#0d9488}.sd{stroke:#9333ea}.se{stroke:#94a3b8}
.line{fill:none;stroke-width:2}.line.sa{stroke-width:3}
@media (prefers-color-scheme:dark){
text{fill:#cbd5e1}.card{fill:#0f172a;stroke:#334155}.title,.strong{fill:#f8fafc}.quiet{fill:#94a3b8}
.grid{stroke:#1e293b}.mark{stroke:#94a3b8}
.fa{fill:#60a5fa}.fb{fill:#f59e0b}.fc{fill:#2dd4bf}.fd{fill:#c084fc}.fe{fill:#64748b}
.sa{stroke:#60a5fa}.sb{stroke:#f59e0b}.sc{stroke:#2dd4bf}.sd{stroke:#c084fc}.se{stroke:#64748b}
}
"""


class Panel:
    """A part of the chart; its origin is the top left corner of its content."""

    def __init__(self, title: str, about: str) -> None:
        """Start with the headings."""
        self._parts: list[str] = []
        self.text(0, 22 - HEAD, title, "title")
        self.text(0, 40 - HEAD, about, "quiet")

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """Write words on a base line."""
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        self._parts.append(f'<text class="{kind}" {place}>{escape(words)}</text>')

    def bar(self, y: float, length: float, reader: str) -> None:
        """A bar from the left edge."""
        length = max(length, 2)
        self._parts.append(
            f'<rect x="0" y="{y:.1f}" width="{length:.1f}" height="12" rx="2" class="f{_class(reader)}"/>'
        )

    def rule(self, x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> None:
        """A thin line."""
        self._parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def curve(self, points: Sequence[tuple[float, float]], reader: str) -> None:
        """A line through points, which are marked."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{path}" class="line s{_class(reader)}"/>')
        self._parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="f{_class(reader)}"/>' for x, y in points]

    def dot(self, x: float, y: float, reader: str) -> None:
        """The colour of a reader, for a legend."""
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="f{_class(reader)}"/>')

    def placed(self, x: float, y: float) -> str:
        """The SVG of the panel at a place."""
        return f'<g transform="translate({x},{y + HEAD})">{"".join(self._parts)}</g>'


def svg(results: dict[str, Any]) -> str:
    """The chart of all parts that were measured."""
    makers: dict[str, Callable[[dict[str, Any]], Panel]] = {
        "throughput": _throughput,
        "saturation": _saturation,
        "shared": _shared,
        "growth": _growth,
    }
    panels = [make(results["parts"][name]) for name, make in makers.items() if name in results["parts"]]
    height = 2 * MARGIN + -(-len(panels) // 2) * (PANEL_HEIGHT + GAP) - GAP
    places = [
        (MARGIN + index % 2 * (PANEL_WIDTH + GAP), MARGIN + index // 2 * (PANEL_HEIGHT + GAP))
        for index in range(len(panels))
    ]
    drawn = "\n".join(panel.placed(*place) for panel, place in zip(panels, places, strict=True))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img"><title>tap-jetti beside other readers</title><style>{STYLE}</style>\n'
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>\n{drawn}\n</svg>\n'
    )


def _throughput(part: dict[str, Any]) -> Panel:
    data = part["data"]
    about = f"{data['rows']:,} rows of 40 fields; processor time per 100k rows, peak memory"
    panel = Panel("Rows per second without a rate limit", about)
    drawn = [one for one in data["readers"] if one["reader"] != "tap-jetti, larger pages"]
    measured = [one for one in drawn if not one["failure"]]
    most = max((one["rows_per_second"] for one in measured), default=1)
    for index, one in enumerate(drawn):
        if one["failure"]:
            _bar(panel, index, one["reader"], 0, "failed")
        else:
            value = f"{one['rows_per_second']:,.0f}/s · {one['cpu']:.1f} s CPU · {one['peak']:.0f} MB"
            _bar(panel, index, one["reader"], one["rows_per_second"] / most, value)
    return panel


def _shared(part: dict[str, Any]) -> Panel:
    panel = Panel("Several processes on one token", "share of the rate limit used while all read; refused requests")
    for index, one in enumerate(part["data"]):
        refused = f"{one['refused'] / one['gets']:.0%} refused" if one["refused"] else "none refused"
        name = f"{one['reader']}, {one['case']}"
        if one["used"] is None:
            words = f"{one['failed']} of {one['processes']} failed" if one["failed"] else "not measured"
            _bar(panel, index, one["reader"], 0, f"{words}, {refused}", name=name)
        else:
            _bar(panel, index, one["reader"], min(one["used"], 1), f"{one['used']:.1%}, {refused}", name=name)
    return panel


def _bar(panel: Panel, index: int, reader: str, share: float, value: str, *, name: str = "") -> None:
    """A named bar with its value above it on the right."""
    y = index * 46
    panel.text(0, y + 8, name or reader, "strong" if reader == "tap-jetti" else "")
    panel.text(PANEL_WIDTH, y + 8, value, "strong" if reader == "tap-jetti" else "", "end")
    panel.bar(y + 14, share * PANEL_WIDTH, reader)


def _saturation(part: dict[str, Any]) -> Panel:
    data = part["data"]
    shape, capacity = data[0]["shape"], data[0]["capacity"]
    shown = [one for one in data if (one["shape"], one["capacity"]) == (shape, capacity)]
    latencies = list(dict.fromkeys(one["latency"] for one in shown))
    clock = "" if part["scale"] == 1 else f", on a clock {part['scale']:g} times as fast"
    panel = Panel("Wall time over the ideal", f"{shape}, 2 GETs per second, by latency{clock}")
    values = [one["over_ideal"] for one in shown if not one["failure"]]
    step, top = _steps(max([2.0, *values]) - 1)
    xs = [30 + (PANEL_WIDTH - 50) * index / max(1, len(latencies) - 1) for index in range(len(latencies))]
    top += 1
    ticks = [1 + step * index for index in range(round((top - 1) / step) + 1)]
    _frame(panel, ticks, "{:.2f}" if step < 0.5 else "{:.1f}")
    panel.rule(30, _y(1, 1, top), PANEL_WIDTH, _y(1, 1, top), "mark")
    for x, latency in zip(xs, latencies, strict=True):
        panel.text(x, 164, f"{latency:g} s", "quiet", "middle")
    readers = list(dict.fromkeys(one["reader"] for one in shown))
    for reader in reversed(readers):
        own = {one["latency"]: one for one in shown if one["reader"] == reader and not one["failure"]}
        points = [(x, _y(own[at]["over_ideal"], 1, top)) for x, at in zip(xs, latencies, strict=True) if at in own]
        panel.curve(points, reader)
    notes = {}
    for reader in readers:
        own_runs = [one for one in shown if one["reader"] == reader]
        worst = max(one["refused"] / max(1, one["gets"]) for one in own_runs)
        failed = sum(bool(one["failure"]) for one in own_runs)
        notes[reader] = f"up to {worst:.0%} refused" if worst else "none refused"
        notes[reader] += f", {failed} failed" if failed else ""
    _legend(panel, notes)
    return panel


def _growth(part: dict[str, Any]) -> Panel:
    data = part["data"]
    sizes = list(dict.fromkeys(one["rows"] for one in data))
    readers = list(dict.fromkeys(one["reader"] for one in data))
    panel = Panel("Peak memory by number of rows", "MB, without a rate limit")
    step, top = _steps(max([64.0, *(one["peak"] for one in data)]))
    xs = [45 + (PANEL_WIDTH - 90) * index / max(1, len(sizes) - 1) for index in range(len(sizes))]
    _frame(panel, [step * index for index in range(round(top / step) + 1)], "{:.0f}")
    for x, size in zip(xs, sizes, strict=True):
        panel.text(x, 164, f"{size:,} rows", "quiet", "middle")
    for reader in reversed(readers):
        own = {one["rows"]: one["peak"] for one in data if one["reader"] == reader and not one["failure"]}
        panel.curve([(x, _y(own[size], 0, top)) for x, size in zip(xs, sizes, strict=True) if size in own], reader)
    notes = {}
    for reader in readers:
        own_runs = [one for one in data if one["reader"] == reader and not one["failure"]]
        notes[reader] = f"{own_runs[-1]['peak']:.0f} MB, {own_runs[-1]['seconds']:.0f} s at the end" if own_runs else ""
    _legend(panel, notes)
    return panel


def _steps(reach: float) -> tuple[float, float]:
    """A round distance between ticks, at most five of them, and the last one."""
    step = next(step for step in (0.25, 0.5, 1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000) if reach / step <= 5)
    return step, math.ceil(reach / step) * step


def _y(value: float, bottom: float, top: float) -> float:
    return 146 - (value - bottom) / (top - bottom) * 140


def _frame(panel: Panel, ticks: Sequence[float], form: str) -> None:
    for tick in ticks:
        y = _y(tick, ticks[0], ticks[-1])
        panel.rule(30, y, PANEL_WIDTH, y)
        panel.text(24, y + 4, form.format(tick), "quiet", "end")


def _legend(panel: Panel, notes: dict[str, str]) -> None:
    """The readers, each with a note."""
    for index, (reader, note) in enumerate(notes.items()):
        y = 188 + index * 17
        panel.dot(5, y - 4, reader)
        panel.text(15, y, f"{reader}: {note}", "strong" if reader == "tap-jetti" else "")


def _class(reader: str) -> str:
    return CLASSES.get(reader, "e")
