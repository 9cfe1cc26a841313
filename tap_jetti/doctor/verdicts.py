"""What each check makes of what the server answered: no requests here."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tap_jetti.client.rate_limit.headers import Reading, read_headers
from tap_jetti.doctor.check import Check, exit_code_of
from tap_jetti.errors import ForbiddenError, NotFoundError
from tap_jetti.facts import resources
from tap_jetti.facts.resources import api_name
from tap_jetti.facts.secret_fields import known_secrets
from tap_jetti.facts.timestamps import from_epoch, to_epoch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from requests.structures import CaseInsensitiveDict

    from tap_jetti.client.stats import RequestStats
    from tap_jetti.errors import JettiError
    from tap_jetti.reading.page import Page

USUAL_CAP = 100
"""Rows of the largest page that any client was seen to get."""

CLOCK_SECONDS = 60
"""Seconds by which two clocks may differ."""

SHOWN = 5
"""Names that are listed at most."""


def permissions_of(faults: Mapping[str, JettiError], looked_at: Sequence[str]) -> Check:
    """Whether the token may read what most accounts read."""
    if not faults:
        return Check("permissions", "ok", f"may read all {len(looked_at)} resources looked at")
    worst = exit_code_of([Check("permissions", "broken", "", exit_code=fault.exit_code) for fault in faults.values()])
    words = [f"{name} ({_short(fault)})" for name, fault in faults.items()]
    deselect = ", ".join(f'"!{name}"' for name in faults)
    return Check(
        "permissions",
        "broken",
        f"cannot read {', '.join(words)}",
        "Runs that select these streams fail. Grant the role of the token the right to read them,"
        f" or leave them out: select: [{deselect}].",
        exit_code=worst,
    )


def filter_of(values: Sequence[Any], key: str, least: object) -> Check:
    """Whether `where` with `$gte` was honoured."""
    if not values:
        return Check("filter", "broken", f"no row from {key} {least} on, though there is one", _NO_FILTER, exit_code=1)
    if any(value is None or value < least for value in values):
        return Check("filter", "broken", f"rows before {key} {least} came", _NO_FILTER, exit_code=1)
    return Check("filter", "ok", f"{key} $gte is honoured")


_NO_FILTER = "Incremental reads rest on it, so streams fail rather than lose rows. Tell Jetti's support."


def order_of(values: Sequence[Any], key: str, newest: Sequence[int]) -> Check:
    """Whether rows came in order, and in descending order where that was asked for."""
    if any(after < before for before, after in pairwise(values)):
        return Check(
            "order",
            "broken",
            f"rows are not ordered by {key}",
            "Reads rest on it, so streams fail rather than lose rows. Tell Jetti's support.",
            exit_code=1,
        )
    if any(after > before for before, after in pairwise(newest)):
        return Check(
            "order",
            "differs",
            "descending is ignored",
            "Reads by id have no upper bound then: rows that are added while they go on belong to them.",
        )
    return Check("order", "ok", "ascending and descending are honoured")


def page_cap_of(rows: int, *, wanted: int, asked: int, counted: int | None, refusal: JettiError | None) -> Check:
    """How many rows a page has at most."""
    if refusal is not None:
        return Check(
            "page_cap",
            "differs",
            f"a limit of {wanted} is refused, {asked} is not",
            "The tap finds the largest page that works and keeps it for 30 days.",
        )
    if rows >= wanted:
        return Check("page_cap", "ok", f"gives all {rows} rows that were asked for")
    if counted is not None and rows >= counted:
        return Check("page_cap", "ok", f"gives all {rows} rows there are; the cap, if any, is not reached")
    minutes = 1_000_000 / max(rows, 1) / 2 / 60
    follows = f"A million rows take about {minutes:,.0f} min at 2 GETs per second."
    return Check("page_cap", "ok" if rows >= USUAL_CAP else "differs", f"at most {rows} rows per page", follows)


def position_of(page: Page, second: Page) -> Check:
    """Whether `from` counts pages or rows: the second page of two rows, or the rows from the second on."""
    unit = {tuple(page.ids[2:4]): "pages", tuple(page.ids[1:3]): "rows", tuple(page.ids[:2]): ""}
    found = unit.get(tuple(second.ids))
    if found is None:
        return Check("from", "unknown", "cannot be told", "The rows changed meanwhile, or there are too few of them.")
    if not found:
        return Check("from", "differs", "is ignored", "Long streams are not read ahead. Nothing is lost.")
    return Check("from", "ok", f"counts {found}", "It is used for reading ahead alone, with either meaning.")


def attributes_of(fields: int, *, is_honoured: bool, refusal: JettiError | None) -> Check:
    """Whether a list of fields is honoured."""
    meaning = "All fields are read, and only the selected ones are kept: more bytes, the same rows."
    if refusal is not None:
        return Check("attributes", "differs", "long lists are refused" if fields else "is refused", meaning)
    if not is_honoured:
        return Check("attributes", "differs", "is ignored", meaning)
    return Check("attributes", "ok", f"a list of {fields} fields is honoured")


def count_of(counts: Mapping[str, int | None], rows: Mapping[str, int]) -> Check:
    """Whether the server counts, which is what proves that a read is complete."""
    missing = [api_name(name) for name, counted in counts.items() if counted is None]
    if missing:
        return Check(
            "count",
            "differs",
            f"does not count {' and '.join(missing)}",
            "Reads of what is not counted cannot be proven complete; the summary of a run calls them unproven.",
        )
    low = [name for name, counted in counts.items() if counted is not None and counted < rows.get(name, 0)]
    if low:
        return Check(
            "count",
            "differs",
            f"counts fewer rows of {' and '.join(map(api_name, low))} than it gives",
            "Reads go on until a count agrees, and name a count that stays wrong.",
        )
    shown = ", ".join(f"{counted:,} {name.replace('_', ' ')}" for name, counted in counts.items())
    return Check("count", "ok", shown)


def rate_headers_of(headers: Sequence[CaseInsensitiveDict[str]], stats: RequestStats) -> Check:
    """What the headers say about the rate limit, and whether anybody else uses it up."""
    if stats.refused:
        return Check(
            "rate_headers",
            "differs",
            f"{stats.refused} requests were refused (429) within the rate limit",
            "Another client uses the account. Let all of yours share one limit: the same account and rate_limit_store.",
        )
    readings = [reading for one in headers if (reading := read_headers(one)) is not None]
    if not readings:
        return Check("rate_headers", "ok", "none", "The settings rate_limit and rate_limit_burst alone are kept to.")
    if not all(reading.is_plausible for reading in readings):
        return Check("rate_headers", "differs", "in an unknown form", "They are ignored; rate_limit is kept to.")
    return _rate_headers(readings)


def _rate_headers(readings: Sequence[Reading]) -> Check:
    limits = sorted({reading.limit for reading in readings})
    left = [reading.remaining for reading in readings]
    found = f"limit {' or '.join(f'{one:g}' for one in limits)}, {min(left):g} to {max(left):g} remaining"
    return Check("rate_headers", "ok", found, "Used only once they prove to describe the bucket that refuses requests.")


def clock_of(server: float | None, machine: float, newest: str | None) -> Check:
    """Whether the clocks of the server, this machine and the rows agree."""
    if server is None:
        return Check(
            "clock",
            "differs",
            "the responses have no Date",
            "This machine's clock bounds what a run reads. Keep it set by NTP.",
        )
    if newest is not None and to_epoch(newest) > server + CLOCK_SECONDS:
        return Check(
            "clock",
            "differs",
            f"rows are newer ({newest}) than the server's clock ({from_epoch(server)})",
            "Rows newer than the server's clock are read by a later run.",
        )
    ahead = server - machine
    if abs(ahead) > CLOCK_SECONDS:
        direction = "ahead of" if ahead > 0 else "behind"
        return Check(
            "clock",
            "differs",
            f"the server's clock is {abs(ahead):,.0f} s {direction} this machine's",
            "The server's clock counts. Set this machine's by NTP if it is the wrong one.",
        )
    return Check("clock", "ok", "the server's and this machine's agree within a minute")


def unknown_fields_of(pages: Mapping[str, Page], setting: str) -> Check:
    """Fields that the schemas do not have, by name."""
    found = set()
    for resource, page in pages.items():
        known = resources.schema(resource)["properties"].keys() | known_secrets(resource)
        found |= {name for row in page for name in row if name not in known}
    if not found:
        return Check("unknown_fields", "ok", "none")
    names = sorted(found)
    shown = ", ".join(_printable(name) for name in names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    if setting == "error":
        detail = 'unknown_fields is "error", so streams fail. Set it to "warn" or "keep".'
        return Check("unknown_fields", "broken", f"{len(names)}: {shown}", detail, exit_code=1)
    detail = 'They are left out. To get them in a column of JSON, set unknown_fields to "keep".'
    if setting == "keep":
        return Check("unknown_fields", "ok", f"{len(names)}: {shown}", "They are kept in a column of JSON.")
    return Check("unknown_fields", "differs", f"{len(names)}: {shown}", detail)


def hash_of(feeds: Page | None) -> Check:
    """Whether inventory feeds show the hash that inbound calls need. The hash itself is not looked at."""
    webhooks = [row for row in feeds or () if row.get("resourceType") == "webhook"]
    if not webhooks:
        return Check("inbound_hash", "unknown", "no feed of type webhook", "Only such feeds take stock by webhook.")
    shown = sum(bool(row.get("hash")) for row in webhooks)
    if shown == len(webhooks):
        return Check("inbound_hash", "ok", f"shown by all {shown} webhook feeds looked at")
    return Check(
        "inbound_hash",
        "differs",
        f"shown by {shown} of {len(webhooks)} webhook feeds looked at",
        "Set inventory_feed_hash for the feeds that do not show it; it is on the feed's page in Jetti.",
    )


def _short(fault: JettiError) -> str:
    if isinstance(fault, ForbiddenError):
        return "403"
    return "404" if isinstance(fault, NotFoundError) else _printable(str(fault))


def _printable(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()
