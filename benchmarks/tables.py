"""The results as Markdown."""

from __future__ import annotations

from typing import Any

import get_tables
from markdown import failures, scale_note, table, unique

TAP_JETTI = "tap-jetti"
PLAIN = "plain singer-sdk"
FLOOR = "floor: requests + orjson"

NOISY = 1.25
"""If the fastest run is more than so many times as fast as the slowest, the figures are marked as unreliable."""


def markdown(results: dict[str, Any]) -> str:
    """The page with all parts that were measured."""
    parts = results["parts"]
    lines = ["# Benchmarks", "", "Written by `make bench`. results.json has the same figures.", ""]
    lines += [f"Machine: {results['machine']}.", ""]
    lines += [
        f"Versions: {', '.join(f'{reader} {version}' for reader, version in results['versions'].items())}.",
        "",
    ]
    for reader, reason in results["unavailable"].items():
        lines += [f"**{reader} was left out**: {reason}.", ""]
    writers = {
        "throughput": _throughput,
        "night": get_tables.night,
        "pages": get_tables.pages,
        "saturation": _saturation,
        "shared": _shared,
        "growth": _growth,
    }
    for name, write in writers.items():
        if name in parts:
            part = parts[name]
            about = f"{part['date']}, commit {part['commit']}, load {part['load']}, {part['seconds']} s"
            about += ", quick: not for publication" if part["quick"] else ""
            lines += [*write(part), "", f"<sub>Measured {about}.</sub>", ""]
    return "\n".join(lines)


def _throughput(part: dict[str, Any]) -> list[str]:
    data = part["data"]
    found = {one["reader"]: one for one in data["readers"]}
    rows = []
    for one in data["readers"]:
        if one["failure"]:
            rows.append([one["reader"], f"failed: {one['failure']}", *[""] * 8])
            continue
        speed, cpu = one["rows_per_second"], one["cpu"]
        rows.append(
            [
                one["reader"],
                f"{speed:,.0f}",
                f"{one['slowest']:,.0f} to {one['fastest']:,.0f}",
                _ratio(speed, found.get(PLAIN, {}).get("rows_per_second")),
                _ratio(speed, found.get(FLOOR, {}).get("rows_per_second")),
                f"{cpu:.2f}",
                _ratio(cpu, found.get(FLOOR, {}).get("cpu")),
                f"{one['peak']:.0f}",
                f"{one['process_seconds']:.1f}",
                f"{one['gets']:,}",
            ]
        )
    ceiling = data["ceiling"]
    noisy = any(one["fastest"] > NOISY * one["slowest"] for one in data["readers"] if not one["failure"])
    head = ["", "rows/s", "slowest to fastest", "x plain", "x floor", "CPU s per 100k rows", "x floor", "peak MB"]
    head += ["whole process s", "GETs"]
    notes = (
        f"Medians of {data['repeat']} runs. Rows/s are measured from the first request to the end of the process. CPU"
        " includes the start of the process. All readers read the same prepared rows from one server, in pages of 100;"
        " *larger pages* is tap-jetti with its default settings, which ask for up to 1,000 rows where the server gives"
        " them."
        f" That server gives {ceiling['fixture']:,.0f} rows/s to a client that only discards them (the sandbox:"
        f" {ceiling['sandbox']:,.0f}). Singer and Airbyte messages go to /dev/null. dlt extracts, normalises and loads"
        " into JSONL files."
    )
    return [
        f"## Without a rate limit: {data['rows']:,} rows of 40 fields, 1.5 KB each",
        "",
        *table(head, rows),
        "",
        notes,
        *(["", "**The machine was busy: runs of one reader differ by more than 25 %. Measure again.**"] * noisy),
    ]


def _saturation(part: dict[str, Any]) -> list[str]:
    data = part["data"]
    readers = unique(one["reader"] for one in data)
    rows = []
    for shape, capacity, latency in unique((one["shape"], one["capacity"], one["latency"]) for one in data):
        cells = []
        for reader in readers:
            matching = [
                one
                for one in data
                if (one["reader"], one["shape"], one["capacity"], one["latency"]) == (reader, shape, capacity, latency)
            ]
            cells.append(_cell(matching[0]) if matching else "")
            if reader == TAP_JETTI:
                cells.append(f"{matching[0]['over_own']:.2f}" if matching else "")
        rows.append([shape, f"{capacity:g}", f"{latency:g} s", *cells])
    titles = [title for reader in readers for title in (reader, *([_OVER_OWN] if reader == TAP_JETTI else []))]
    return [
        "## Within the rate limit: wall time over the ideal",
        "",
        *table(["what is read", "capacity", "latency", *titles], rows),
        "",
        "tap-jetti is set to pages of 100 rows here (`page_size: 100`), as the other readers are; see"
        " *Rows per GET* for larger ones. Each cell: the time from the first request to the last response divided by"
        " the ideal; in brackets the GETs and how many of them were refused (429). Ideal: one GET per page of 100 rows,"
        " at 2 per second."
        + scale_note(part)
        + " Every run gave all rows, unless the cell says that it failed. Only tap-jetti asks the server to count the"
        " rows: in a first load, as here, one GET per stream. The column *over its own GETs* therefore"
        " divides by the ideal time of the GETs that it sent.",
        *failures(
            (f"{one['reader']}, {one['shape']}, capacity {one['capacity']:g}, {one['latency']:g} s", one["failure"])
            for one in data
        ),
    ]


_OVER_OWN = "… over its own GETs"


def _cell(one: dict[str, Any]) -> str:
    text = f"{one['over_ideal']:.2f} ({one['gets']}"
    text += f", **{one['refused']} refused**)" if one["refused"] else ")"
    return f"{text} failed" if one["failure"] else text


def _shared(part: dict[str, Any]) -> list[str]:
    rows = []
    for one in part["data"]:
        used = "-" if one["used"] is None else f"{one['used']:.1%}"
        wait = "-" if one["longest_wait"] is None else f"{one['longest_wait']:.2f}"
        failed = f"{one['failed']} of {one['processes']}" if one["failed"] else "none"
        rows.append([one["case"], one["reader"], used, f"{one['refused']} of {one['gets']}", wait, failed])
    return [
        "## Several processes on one token",
        "",
        *table(["", "reader", "limit used", "refused", "longest wait / fair share", "failed"], rows),
        "",
        "Measured while all processes read. *Limit used*: accepted GETs divided by those that 2 per second allow."
        " *Longest wait*: the longest time between two GETs of one process. *Fair share*: processes / rate. Capacity"
        " 2, latency 0.05 s." + scale_note(part),
        *failures((f"{one['reader']}, {one['case']}", one["failure"]) for one in part["data"]),
    ]


def _growth(part: dict[str, Any]) -> list[str]:
    data = part["data"]
    readers = unique(one["reader"] for one in data)
    rows = []
    for size in unique(one["rows"] for one in data):
        cells = []
        for reader in readers:
            one = next(one for one in data if one["reader"] == reader and one["rows"] == size)
            figures = [f"{one['seconds']:.1f}", f"{one['cpu']:.1f}", f"{one['peak']:.1f}"]
            cells += [f"failed: {one['failure']}", "", ""] if one["failure"] else figures
        rows.append([f"{size:,}", *cells])
    head = [f"{reader}: {what}" for reader in readers for what in ("s", "CPU s", "peak MB")]
    return [
        "## Growth, without a rate limit",
        "",
        *table(["rows", *head], rows),
        "",
        "Pages of 100 rows; *larger pages* is tap-jetti with its default settings.",
    ]


def _ratio(value: float, base: float | None) -> str:
    return f"{value / base:.2f}" if base else "-"
