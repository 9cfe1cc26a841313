"""What the server's headers say of its bucket, and when they are believed.

Jetti's guide says that the headers show the remaining capacity, and names none, so all usual families are read. None of
their names tells what is counted: a leaky bucket, a day's quota, a fixed window, or nothing. `Trust` finds out.

A believed reading matters where the server's bucket is fuller than ours, by more than rounding explains: somebody else
uses the token. `RateLimiter.observe` then moves the shared bucket back, so that all who share it leave room for him.
In simulations of 300 s at 2 units a second, with 4 requests in flight, at 0.5 s each, and another system asking for 1
unit a second at random (mean of 10 runs, of which each begins with the refusals that earn the trust):

    bucket, burst    without headers             with headers
    40, 2            502 answered, 54 refused    401 answered, 14 refused
    40, 40           529 answered, 60 refused    413 answered, 19 refused
    2, 2             548 answered, 32 refused    541 answered, 32 refused

What is answered less, the other system gets. A bucket of 2 units told in whole ones says nothing: a request of ours
alone explains every reading. Alone on the token, headers change nothing at all.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from requests.structures import CaseInsensitiveDict

ROUNDING = 1.0
"""Units that a reading may be off: most servers tell whole ones, and some round down, some up."""

JITTER = 0.25
"""Seconds by which two requests may arrive further apart than both their departures and their answers were."""

TURNS = 2.0
"""How often what remains must have fallen and risen again before it is believed."""

_NAME = re.compile(r"(.*?)((?:rate-?limit(?:-limit|-remaining|-policy)?)|api-call-limit)")
_FAMILIES = tuple(
    re.compile(pattern.replace("#", r"\d{1,9}(?:\.\d{1,9})?"), re.MULTILINE)
    for pattern in (
        # Two fields. The IETF's drafts 3 to 6 let windows follow the limit: "10, 10;w=1, 50;w=60".
        r"^ratelimit-limit: (?P<limit>#)(?:[,;].*)?\n(?:.*\n)*?ratelimit-remaining: (?P<remaining>#)$",
        # Draft 7: "limit=10, remaining=5, reset=3".
        r"^ratelimit: limit=(?P<limit>#), *remaining=(?P<remaining>#)(?:[,;].*)?$",
        # Since draft 8: '"default";r=5;t=3', and the policy '"default";q=10;w=5'. The first item counts.
        r"^ratelimit-policy: [^,]*; *q=(?P<limit>#)(?:[,;].*)?\nratelimit: [^,]*; *r=(?P<remaining>#)(?:[,;].*)?$",
        # "32/40", as Shopify's.
        r"^api-call-limit: (?P<used>#) */ *(?P<limit>#)$",
    )
)


@dataclass(frozen=True)
class Reading:
    """What the headers of one answer say: units, or NaN if that is none of the usual things.

    Attributes:
        limit: Units that the bucket holds.
        remaining: Units that would still fit, after the request.
    """

    limit: float
    remaining: float

    @property
    def makes_sense(self) -> bool:
        """Whether a bucket can be like that."""
        return 0 <= self.remaining <= self.limit > 0


def read(headers: CaseInsensitiveDict[str]) -> Reading | None:
    """Return what the headers say of a rate limit, None if they do not speak of one.

    What stands before `ratelimit` in a name does not matter: `X-`, a vendor's name, or nothing.
    """
    fields = [(name, text) for name, text in headers.lower_items() if "limit" in name]
    if not fields:
        return None
    named = [(*match.groups(), text) for name, text in fields if (match := _NAME.fullmatch(name))]
    lines = sorted((prefix, f"{kind.replace('rate-', 'rate')}: {text.strip()}") for prefix, kind, text in named)
    for _, family in itertools.groupby(lines, key=lambda line: line[0]):
        text = "\n".join(line for _, line in family)
        for pattern in _FAMILIES:
            if match := pattern.search(text):
                found = {name: float(number) for name, number in match.groupdict().items()}
                return Reading(found["limit"], found.get("remaining", found["limit"] - found.get("used", 0.0)))
    return Reading(math.nan, math.nan) if named else None


class Trust:
    """Believes readings once they have proven to be of the very bucket that refuses us.

    Such a bucket always holds as much; what remains of it falls and rises again, and never rises faster than it drains;
    and where it refuses a request, nothing remains. A constant, and a quota that only falls, never turn; a window that
    starts anew rises at once; and where nobody is refused, no header is ever believed. A reading that does not fit puts
    the trust back to nothing and doubles the turns it takes, so that what fits by chance is not believed for long.

    Args:
        rate: Units a second that the bucket drains.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._asked = TURNS
        self._turns = 0
        self._is_falling = False
        self._has_refused = False
        self._last: tuple[Reading, float, float] | None = None

    def admits(self, reading: Reading, *, cost: float, is_refusal: bool, left: float, answered: float) -> bool:
        """Take a reading into account, and return whether it is believed.

        Args:
            reading: What the headers say.
            cost: Units of the request.
            is_refusal: Whether the request was refused, so that it added nothing to the bucket.
            left: When it left, in seconds.
            answered: When its answer was there, on the same clock.
        """
        last, self._last = self._last, (reading, left, answered)
        fits, rise = reading.makes_sense, 0.0
        if is_refusal:
            fits &= reading.remaining < cost + ROUNDING
        if last is not None:
            # Answers come out of order, and each may have been long under way, before it was counted or after.
            seconds = max(left - last[1], answered - last[2]) + JITTER
            rise = reading.remaining - last[0].remaining
            most = self._rate * seconds - (0.0 if is_refusal else cost) + ROUNDING
            fits &= reading.limit == last[0].limit and rise <= most
        if not fits:
            self._asked *= 2
            self._turns, self._is_falling, self._has_refused = 0, False, False
            return False
        if rise:
            self._turns += rise > 0 and self._is_falling
            self._is_falling = rise < 0
        self._has_refused |= is_refusal
        return self._has_refused and self._turns >= self._asked
