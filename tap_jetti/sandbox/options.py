"""The options of a sandbox: one for each behaviour of the API that is not documented, and for each fault."""

# ruff: noqa: ANN401, RUF009 - `_option` makes the fields of a dataclass, of any type

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PAGE_CAP = re.compile(r"\w+=\d+")

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
    "drip-head",
    "drip-body",
    "bomb",
)
"""The kinds of failure that a request can have."""

NORMALISATIONS = ("trim", "lower", "round", "empty", "compact")
"""What can be done to written values."""

COSTLY_FAULTS = ("stall", "drip-head", "drip-body", "bomb")
"""Those that take long or much memory, and are simulated only if they are chosen."""


def _option(default: object, text: str, *, choices: tuple[str, ...] = (), flag: bool = True) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices, "flag": flag})


@dataclass
class Options:
    """The behaviour of one sandbox; a change applies to the next request.

    The defaults are the most likely behaviour of the API. Each field is also a flag of
    ``jetti sandbox``, except ``clock``.

    Raises:
        ValueError: A value is not among its choices.
    """

    seed: int = _option(1, "Random seed; the same seed generates the same company.")
    scale: float = _option(1.0, "Size of the company; at 1 it has 5,000 inventory feed variants and 3,000 sales.")
    empty: bool = _option(default=False, text="Start without any rows.")
    token: str = _option("sandbox-token", "API token that the sandbox accepts.")
    host: str = _option("127.0.0.1", "Address to listen on.")
    port: int = _option(0, "Port to listen on; 0: any free port.")
    database: str = _option(":memory:", "SQLite file to store the rows in; if it exists, its rows are served.")
    clock: Callable[[], float] = _option(time.time, "Seconds since the epoch.", flag=False)

    rate: float = _option(2.0, "Rate limit in units per second (a GET costs 1 unit, a write 2); 0: no limit.")
    capacity: float = _option(2.0, "Capacity of the leaky bucket in units.")
    bucket_rule: str = _option(
        "one",
        "Whether GETs and writes share one leaky bucket or have separate ones.",
        choices=("one", "separate"),
    )
    rate_limit_headers: str = _option(
        "none",
        "Rate limit headers of responses; the last four do not show the remaining capacity.",
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
    foreign_load: float = _option(0.0, "Units per second that another client of the account uses.")
    retry_after: str = _option(
        "none",
        "Form of the Retry-After header of a 429.",
        choices=("none", "seconds", "date", "garbage"),
    )
    retry_after_seconds: float = _option(
        -1.0, "Seconds that Retry-After asks to wait; -1: until the bucket has room for the request."
    )

    from_means: str = _option(
        "page",
        "Unit of the query parameter `from`: pages or rows; nothing: it is ignored.",
        choices=("page", "offset", "nothing"),
    )
    default_limit: int = _option(50, "Rows per page if the query has no limit.")
    page_cap: int = _option(100, "Maximum rows per page, whatever limit the query has.")
    page_cap_after: int = _option(0, "Pages that are given before page_cap holds.")
    page_caps: tuple[str, ...] = _option((), "Maximum rows per page of single resources, such as sales=5.")
    page_cap_bytes: int = _option(0, "Maximum bytes of the rows of a page, which has at least one row; 0: no limit.")
    refuse_limit: int = _option(0, "Refuse a limit above this number of rows; 0: never.")
    refuse_limit_status: str = _option("400", "Status of a refused limit.", choices=("400", "500"))
    short_pages: float = _option(
        0.0,
        "Probability that only a random prefix of a page is given, perhaps an empty one, although more rows follow.",
    )
    decimals: str = _option("number", "How decimals are written in JSON.", choices=("number", "text", "mixed"))
    company_id: str = _option("number", "How companyId is written in JSON.", choices=("number", "text"))
    microseconds: bool = _option(default=True, text="Store timestamps with microseconds; responses show milliseconds.")
    unstable_ties: bool = _option(default=False, text="Return rows with equal sort keys in a random order.")
    extra_fields: bool = _option(default=True, text="Return undocumented, computed fields such as displayName.")
    touch_parents: bool = _option(
        default=False,
        text="A change of a row moves updatedAt of the rows that it refers to, such as a sale's of its items.",
    )
    null_dates: float = _option(
        0.3, "Share of rows with null createdAt and updatedAt, in resources where these may be null."
    )
    count: str = _option("all", "Which resources have a count.json.", choices=("all", "purchases", "none"))
    count_error: str = _option(
        "none",
        "How counts are wrong; low and high: by up to 2, zero: half of them are 0, stale: as first counted.",
        choices=("none", "low", "high", "zero", "stale"),
    )
    refuse_attributes: str = _option(
        "never",
        "When `attributes` is refused; many: if an index is above 20, and so is any other list.",
        choices=("never", "many", "always"),
    )
    include_without_key: str = _option(
        "refuse",
        "What an include does if `attributes` does not list the foreign key that it needs.",
        choices=("refuse", "answer"),
    )
    include_without_model: str = _option(
        "refuse", "What an entry of `include` without a model does.", choices=("refuse", "ignore")
    )
    refuse_long_url: int = _option(
        8000, "Maximum length of path and query in characters; longer ones are answered 414. 0: no limit."
    )
    ignore_filter: bool = _option(default=False, text="Ignore `where`.")
    ignore_descending: bool = _option(default=False, text="Ignore `order[descending]`.")
    ignore_order: bool = _option(default=False, text="Ignore `order`.")
    forbidden: tuple[str, ...] = _option((), "Resources that are answered 403.")
    missing: tuple[str, ...] = _option((), "Resources that are answered 404.")

    clock_skew: float = _option(0.0, "Seconds that the server's clock is ahead of the real time.")
    date_skew: float = _option(0.0, "Seconds that the Date header is ahead of the server's clock.")
    freeze_date: bool = _option(default=False, text="The Date header stands still, as in the answers of a cache.")
    date_header: bool = _option(default=True, text="Send a Date header.")
    latency: float = _option(0.0, "Minimum duration of every request in seconds.")
    latency_jitter: float = _option(0.0, "Maximum random addition to the latency in seconds.")
    faults: float = _option(0.0, "Probability that a request fails.")
    fault_kinds: tuple[str, ...] = _option(
        tuple(kind for kind in FAULT_KINDS if kind not in COSTLY_FAULTS),
        f"Kinds of failure to simulate: {', '.join(FAULT_KINDS)}.",
    )
    stall_seconds: float = _option(30.0, "Seconds before a stalled request is answered.")
    drip_seconds: float = _option(
        0.5, "Seconds between two pieces of a dripping response: 1 byte of its head, or 200 bytes of its body."
    )
    bomb_bytes: int = _option(400_000_000, "Bytes that the small gzip body of a bomb decompresses to.")
    interim_responses: int = _option(
        0, "Interim responses before every response: 103 Early Hints, 100 and 102 in turn."
    )
    redirect_to: str = _option("", "URL that API requests are redirected to with 302; empty: no redirect.")

    churn: float = _option(0.0, "Random row changes per second while the sandbox runs.")
    late_commits: float = _option(0.0, "Maximum seconds between updatedAt and the commit of a random row change.")

    write_validation: bool = _option(default=True, text="Refuse writes with invalid values.")
    permanent_errors: str = _option(
        "mixed",
        "Status of a refused write: the specific one, or always 500, the default of the vendor's library.",
        choices=("mixed", "500"),
    )
    disconnect_path: str = _option(
        "both",
        "Accepted path of the batch call that disconnects: disconnect-variant-batches or the long name.",
        choices=("short", "long", "both"),
    )
    products_path: str = _option(
        "both",
        "Accepted path of the call that imports products: import-connector-variant-batches or -batch.",
        choices=("batches", "batch", "both"),
    )
    channel_level_path: str = _option(
        "both",
        "Accepted path of the call that sets the stock of a channel's variant: set-variant-level, as the guide writes,"
        " or variant-set-level, as the reference does.",
        choices=("guide", "reference", "both"),
    )
    removal: str = _option(
        "delete",
        "Effect of remove-by-external-id: delete the row, or mark it as removed.",
        choices=("delete", "mark"),
    )
    removal_of_missing: str = _option(
        "404",
        "Status of remove-by-external-id for an inventory feed variant that does not exist.",
        choices=("404", "200", "422"),
    )
    normalise: tuple[str, ...] = _option(
        (),
        "What is done to written values: trim texts, lower the case of array items, round decimals to 2 places, store"
        " an empty text as null, compact tracking numbers (upper case, no blanks).",
    )
    sale_imports: bool = _option(default=True, text="Show what became of a sale in sale_imports.")
    daily_sku_limit: int = _option(0, "Maximum updates of inventory feed variants per day; 0: no limit.")
    inbound_delay: float = _option(0.2, "Seconds before accepted inbound records become visible.")
    inbound_order: str = _option(
        "arrival",
        "Order in which accepted inbound records are applied; random: also later ones of a key before earlier ones.",
        choices=("arrival", "random"),
    )
    inbound_loss: float = _option(0.0, "Share of inbound records that are accepted and lost.")
    refuse_unknown_hash: bool = _option(default=False, text="Answer an unknown webhook hash with 401 instead of 200.")
    request_log_size: int = _option(200_000, "Maximum number of requests in the request log.")

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
        if name == "page_caps" and not all(_PAGE_CAP.fullmatch(str(one)) for one in chosen):
            msg = "page_caps expects resources with a number of rows, such as sales=5."
            raise ValueError(msg)
        object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)


@cache
def _choices() -> dict[str, tuple[str, ...]]:
    known = {one.name: tuple(one.metadata["choices"]) for one in fields(Options)}
    return {**known, "fault_kinds": FAULT_KINDS, "normalise": NORMALISATIONS}
