"""The tables of the parts that count GETs."""

from __future__ import annotations

from typing import Any

from markdown import failures, scale_note, table, unique

TAP_JETTI = "tap-jetti"

_CELL = (
    "Each cell: the GETs, and in brackets the time from the first request to the last response as a multiple of"
    " tap-jetti's. The server allows 2 GETs per second; latency 0.5 s."
)


def night(part: dict[str, Any]) -> list[str]:
    """Nightly runs of 25 streams."""
    return [
        "## Nightly runs of 25 streams after a first load",
        "",
        *_gets_table("since the last run", part["data"], "night", has_least=False),
        "",
        _CELL + scale_note(part) + " The server caps pages at 100 rows. Each run goes on from the state of the one"
        " before, and every changed row came, unless the cell says that it failed. All streams are read by"
        " `updatedAt`. tap-jetti has its default settings. It asks the server to count each stream in the first load"
        " and again after 5 to 7 days; in between, a page smaller than the largest that the stream ever gave is the"
        " end. *All proofs due* puts the counts of a week into one night: 25 GETs more, or about 4 per night. Where"
        " another reader needs fewer GETs, it proves nothing: any page shorter than asked for is the end to it, even if"
        " the server has cut that page. dlt asks each stream until a page is empty, which takes a second GET.",
        *failures((f"{one['reader']}, {one['night']}", one["failure"]) for one in part["data"]),
    ]


def pages(part: dict[str, Any]) -> list[str]:
    """One long stream, by what the server does with large pages."""
    data = part["data"]
    return [
        f"## Rows per GET: one stream of {data[0]['rows']:,} rows",
        "",
        *_gets_table("the server", data, "server", has_least=True),
        "",
        _CELL + scale_note(part) + " *Least*: the rows divided by those of the largest page that the server gives, of"
        " 1,000 at most. tap-jetti has its default settings: it begins with pages of 100 rows and doubles them while"
        " they come full, and one GET more is the count. The other readers ask for one size, which somebody has to"
        " choose: 100 rows are safe, and 1,000 take as few GETs where the server gives them.",
        *failures((f"{one['reader']}, the server {one['server']}", one["failure"]) for one in data),
    ]


def _gets_table(head: str, data: list[dict[str, Any]], name: str, *, has_least: bool) -> list[str]:
    """A row per night or server, a column per reader."""
    readers = unique(one["reader"] for one in data)
    rows = []
    for case in unique(one[name] for one in data):
        found = {one["reader"]: one for one in data if one[name] == case}
        own = found.get(TAP_JETTI)
        least = [f"{next(iter(found.values()))['least_gets']:,}"] if has_least else []
        rows.append([case, *least, *(_cell(found[reader], own) for reader in readers)])
    return table([head, *(["least"] if has_least else []), *readers], rows)


def _cell(one: dict[str, Any], own: dict[str, Any] | None) -> str:
    gets = f"{one['gets']:,}" + (f", **{one['refused']} refused**" if one["refused"] else "")
    if one["failure"]:
        return f"**failed** after {gets}"
    return f"{gets} ({one['seconds'] / own['seconds']:.2f})" if own and not own["failure"] else gets
