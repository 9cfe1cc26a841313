"""The outcome of one check: what was found, and what it means for whoever runs the tap or the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tap_jetti.errors import RequestError, worst_exit_code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_jetti.errors import JettiError

Verdict = Literal["ok", "differs", "broken", "unknown"]
"""How a check ended.

ok: as tap and target expect it. differs: otherwise, and the detail says what they do about it. broken: they cannot
work, and the detail says what to do. unknown: this account cannot show it, and the detail says why.
"""

NAMES = (
    "token",
    "permissions",
    "filter",
    "order",
    "page_cap",
    "from",
    "attributes",
    "count",
    "rate_headers",
    "clock",
    "unknown_fields",
    "inbound_hash",
)
"""All checks, in the order of the report."""


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: One of `NAMES`.
        verdict: See `Verdict`.
        found: What the server does, in a few words.
        detail: What follows from it; empty where nothing does.
        exit_code: What a run that meets this would end with; 0 unless it is broken.
    """

    name: str
    verdict: Verdict
    found: str
    detail: str = ""
    exit_code: int = 0


def broken(name: str, error: JettiError) -> Check:
    """A check that an error ended."""
    found = error.what if isinstance(error, RequestError) else type(error).__name__
    return Check(name, "broken", found, str(error), error.exit_code)


def unknown(name: str, why: str) -> Check:
    """A check that this account, or an earlier failure, leaves open."""
    return Check(name, "unknown", "not checked", why)


def exit_code_of(checks: Iterable[Check]) -> int:
    """The exit code of all checks: 0 unless one is broken."""
    return worst_exit_code([check.exit_code or 1 for check in checks if check.verdict == "broken"])
