"""What can be chosen about a sandbox: every open question on the API is one option."""

# ruff: noqa: ANN401, RUF009 - `_option` makes the fields of a dataclass, of any type

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

FAULT_KINDS = (
    "500",
    "502-html",
    "503",
    "429",
    "reset-before",
    "reset-after",
    "truncated",
    "html-200",
    "problem-500",
    "stall",
)
"""The ways in which a request can fail."""


def _option(default: object, text: str, *, choices: tuple[str, ...] = (), flag: bool = True) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices, "flag": flag})


@dataclass
class Options:
    """The behaviour of one sandbox; a change applies to the next request.

    The defaults are the most likely reading of what is known about the API. Each field is
    a flag of ``jetti sandbox`` too, except ``clock``.

    Raises:
        ValueError: A value is not among its choices.
    """

    seed: int = _option(1, "Seed of everything random: the same seed makes the same company.")
    scale: float = _option(1.0, "Size of the company; 1 is 5,000 feed variants, 3,000 sales.")
    empty: bool = _option(default=False, text="Start without any rows.")
    token: str = _option("sandbox-token", "The API token that the sandbox accepts.")
    host: str = _option("127.0.0.1", "Address to listen on.")
    port: int = _option(0, "Port to listen on; 0 takes a free one.")
    database: str = _option(":memory:", "SQLite file that keeps the rows; its rows are used again if it exists.")
    clock: Callable[[], float] = _option(time.time, "Seconds since the epoch.", flag=False)

    rate: float = _option(2.0, "Units a second that the leaky bucket drains; 0 is no limit.")
    capacity: float = _option(2.0, "Units that the leaky bucket holds.")
    bucket_rule: str = _option(
        "one",
        "One bucket (a GET costs 1 unit, anything else 2), or separate ones.",
        choices=("one", "separate"),
    )
    rate_limit_headers: str = _option(
        "none",
        "Headers that tell the remaining capacity, or something else.",
        choices=(
            "none",
            "x-ratelimit",
            "ratelimit",
            "call-limit",
            "constant",
            "daily-quota",
            "minute-quota",
            "garbage",
        ),
    )
    foreign_load: float = _option(0.0, "Units a second that another system asks of the leaky bucket.")
    retry_after: str = _option(
        "none",
        "Form of the Retry-After header of a 429.",
        choices=("none", "seconds", "date", "garbage"),
    )

    from_means: str = _option("page", "What `from` counts: pages or rows.", choices=("page", "offset"))
    default_limit: int = _option(50, "Rows a page when no limit is asked.")
    page_cap: int = _option(100, "Largest page given, whatever limit is asked.")
    short_pages: float = _option(0.0, "Probability that a page is cut short though rows follow.")
    decimals: str = _option("number", "How decimals are written.", choices=("number", "text", "mixed"))
    company_id: str = _option("number", "How companyId is written.", choices=("number", "text"))
    microseconds: bool = _option(default=True, text="Store microseconds, though only milliseconds are shown.")
    unstable_ties: bool = _option(default=False, text="Rows with equal keys come in another order each time.")
    extra_fields: bool = _option(default=True, text="Show undocumented, computed fields such as displayName.")
    null_dates: float = _option(0.3, "Share of rows with null dates, in the resources whose dates may be null.")
    count: str = _option("all", "Which resources have count.json.", choices=("all", "purchases", "none"))
    refuse_attributes: str = _option(
        "never",
        "When a list of attributes is refused; many: an index above 20 is used.",
        choices=("never", "many", "always"),
    )
    refuse_long_url: int = _option(8000, "Longest path and query in characters; 0 is any.")
    ignore_filter: bool = _option(default=False, text="Lie: answer as if there were no where.")
    ignore_order: bool = _option(default=False, text="Lie: answer as if there were no order.")
    forbidden: tuple[str, ...] = _option((), "Resources that answer 403.")
    missing: tuple[str, ...] = _option((), "Resources that answer 404.")

    clock_skew: float = _option(0.0, "Seconds that the server's clock is ahead.")
    date_skew: float = _option(0.0, "Seconds that the Date header is ahead of the database.")
    date_header: bool = _option(default=True, text="Send a Date header.")
    latency: float = _option(0.0, "Seconds that every request takes at least.")
    latency_jitter: float = _option(0.0, "Further seconds at random.")
    faults: float = _option(0.0, "Probability that a request fails.")
    fault_kinds: tuple[str, ...] = _option(
        tuple(kind for kind in FAULT_KINDS if kind != "stall"),
        f"Kinds of failure to choose from: {', '.join(FAULT_KINDS)}.",
    )
    stall_seconds: float = _option(30.0, "Seconds until a stalled request is answered.")
    redirect_to: str = _option("", "Answer 302 to this URL.")

    churn: float = _option(0.0, "Row changes a second while the sandbox runs.")
    late_commits: float = _option(0.0, "Most seconds between a churn change's updatedAt and its commit.")

    write_validation: bool = _option(default=True, text="Refuse bad fields of a write.")
    permanent_errors: str = _option(
        "mixed",
        "Status of a refused write: its own, or 500 as the vendor's library defaults to.",
        choices=("mixed", "500"),
    )
    disconnect_path: str = _option(
        "both",
        "Name of the call that disconnects a batch.",
        choices=("short", "long", "both"),
    )
    products_path: str = _option(
        "both",
        "Name of the call that imports products: -batches or -batch.",
        choices=("batches", "batch", "both"),
    )
    removal: str = _option(
        "delete",
        "What remove-by-external-id does: delete the row, or mark it as removed.",
        choices=("delete", "mark"),
    )
    daily_sku_limit: int = _option(0, "Feed variants that may be updated a day; 0 is any.")
    inbound_delay: float = _option(0.2, "Seconds until inbound data show.")
    inbound_loss: float = _option(0.0, "Share of inbound records that are silently not applied.")
    refuse_unknown_hash: bool = _option(default=False, text="Answer 401 to an unknown webhook hash instead of 200.")
    ledger_size: int = _option(200_000, "Requests that the ledger remembers.")

    def __setattr__(self, name: str, value: object) -> None:
        """Set one option after checking it against its choices."""
        choices = _choices().get(name)
        if choices is None:
            msg = f"The sandbox has no option {name!r}."
            raise ValueError(msg)
        chosen = value if isinstance(value, (tuple, list)) else (value,)
        unknown = [str(one) for one in chosen if choices and one not in choices]
        if unknown:
            msg = f"{name} is {', '.join(unknown)}: expected {' or '.join(choices)}."
            raise ValueError(msg)
        object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)


@cache
def _choices() -> dict[str, tuple[str, ...]]:
    known = {one.name: tuple(one.metadata["choices"]) for one in fields(Options)}
    return {**known, "fault_kinds": FAULT_KINDS}
