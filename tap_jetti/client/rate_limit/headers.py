"""What the server's rate limit headers say about its bucket, and when they are trusted.

Jetti's guide says that headers show the remaining capacity, but not which, so all common formats are read. Their names
do not tell what is counted: a leaky bucket, a daily quota, a fixed window, or nothing. `HeaderTrust` finds out.

A trusted reading matters if the server's bucket is fuller than ours, by more than rounding explains: then another
client uses the token. `RateLimiter.observe` delays the shared bucket, so that all who share it leave room for that
client. In simulations of 300 s at 2 units per second, with 4 requests in flight that take 0.5 s each, and another
client that asks for 1 unit per second at random times (mean of 10 runs; each begins with the refusals that the trust
needs):

    bucket, burst    without headers              with headers
    40, 2            502 accepted, 54 refused     401 accepted, 14 refused
    40, 40           529 accepted, 60 refused     413 accepted, 19 refused
    2, 2             548 accepted, 32 refused     541 accepted, 32 refused

The other client gets what is accepted less. A bucket of 2 units that is shown in whole units says nothing: one request
of ours explains every reading. If no other client uses the token, headers change nothing.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from requests.structures import CaseInsensitiveDict

ROUNDING_UNITS = 1.0
"""Units by which a reading may be wrong. Most servers show whole units; some round down, some up."""

JITTER_SECONDS = 0.25
"""Two requests may arrive further apart, by this much, than both they were sent and their responses were received."""

MIN_CYCLES = 2.0
"""Cycles, in which the remaining units fall and rise again, that a server must show before it is trusted."""

_NAME = re.compile(r"(.*?)((?:rate-?limit(?:-limit|-remaining|-policy)?)|api-call-limit)")
_FORMATS = tuple(
    re.compile(pattern.replace("#", r"\d{1,9}(?:\.\d{1,9})?"), re.MULTILINE)
    for pattern in (
        # Two fields. In the IETF's drafts 3 to 6, windows may follow the limit: "10, 10;w=1, 50;w=60".
        r"^ratelimit-limit: (?P<limit>#)(?:[,;].*)?\n(?:.*\n)*?ratelimit-remaining: (?P<remaining>#)$",
        # Draft 7: "limit=10, remaining=5, reset=3".
        r"^ratelimit: limit=(?P<limit>#), *remaining=(?P<remaining>#)(?:[,;].*)?$",
        # Since draft 8: '"default";r=5;t=3', and the policy '"default";q=10;w=5'. The first item is used.
        r"^ratelimit-policy: [^,]*; *q=(?P<limit>#)(?:[,;].*)?\nratelimit: [^,]*; *r=(?P<remaining>#)(?:[,;].*)?$",
        # "32/40": used and limit, as Shopify has it.
        r"^api-call-limit: (?P<used>#) */ *(?P<limit>#)$",
    )
)


@dataclass(frozen=True)
class Reading:
    """What the headers of one response say, in units. Both are NaN if the format is unknown.

    Attributes:
        limit: Units that the bucket holds.
        remaining: Units that still fit after the request.
    """

    limit: float
    remaining: float

    @property
    def is_plausible(self) -> bool:
        """Whether a bucket can have these values."""
        return 0 <= self.remaining <= self.limit > 0


def read_headers(headers: CaseInsensitiveDict[str]) -> Reading | None:
    """Return what the headers say about a rate limit, or None if they say nothing about one.

    The part of a name before `ratelimit` does not matter: `X-`, the name of a vendor, or nothing.
    """
    fields = [(name, text) for name, text in headers.lower_items() if "limit" in name]
    if not fields:  # by far the most common case, on every response
        return None
    named = [(*match.groups(), text) for name, text in fields if (match := _NAME.fullmatch(name))]
    lines = sorted((prefix, f"{kind.replace('rate-', 'rate')}: {text.strip()}") for prefix, kind, text in named)
    # Fields with the same prefix belong together. Sorted and joined, each format is one regular expression.
    for _, group in itertools.groupby(lines, key=lambda line: line[0]):
        text = "\n".join(line for _, line in group)
        for pattern in _FORMATS:
            if match := pattern.search(text):
                found = {name: float(number) for name, number in match.groupdict().items()}
                return Reading(found["limit"], found.get("remaining", found["limit"] - found.get("used", 0.0)))
    return Reading(math.nan, math.nan) if named else None


class HeaderTrust:
    """Decides whether readings describe the bucket that refuses our requests.

    Such a bucket has four signs, and all are required:

    - its limit never changes;
    - what remains falls and rises again, `MIN_CYCLES` times: a constant, or a quota that only falls, never does;
    - it never rises faster than the bucket drains: a fixed window that starts again rises at once;
    - where it refuses a request, nothing remains. Headers are never trusted before the first refusal.

    A reading that contradicts one of them ends the trust, and doubles the cycles that are required from then on. So
    readings that fit by chance are not trusted for long.

    Args:
        rate: Units per second that the bucket drains.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._required_cycles = MIN_CYCLES
        self._cycles = 0
        self._is_falling = False
        self._has_refused = False
        self._last: tuple[Reading, float, float] | None = None

    def accepts(self, reading: Reading, *, cost: float, is_refusal: bool, sent: float, received: float) -> bool:
        """Take a reading into account, and return whether it is trusted.

        Args:
            reading: What the headers say.
            cost: The cost of the request in units.
            is_refusal: Whether the request was refused, and so added nothing to the bucket.
            sent: When the request was sent, in seconds.
            received: When its response was received, on the same clock.
        """
        last, self._last = self._last, (reading, sent, received)
        fits, rise = reading.is_plausible, 0.0
        if is_refusal:
            fits &= reading.remaining < cost + ROUNDING_UNITS
        if last is not None:
            # Responses may come out of order, and the server may have counted a request at any time between sending
            # and receiving. So the longer of both distances limits what can have drained in between.
            seconds = max(sent - last[1], received - last[2]) + JITTER_SECONDS
            rise = reading.remaining - last[0].remaining
            max_rise = self._rate * seconds - (0.0 if is_refusal else cost) + ROUNDING_UNITS
            fits &= reading.limit == last[0].limit and rise <= max_rise
        if not fits:
            self._required_cycles *= 2
            self._cycles, self._is_falling, self._has_refused = 0, False, False
            return False
        if rise:
            self._cycles += rise > 0 and self._is_falling
            self._is_falling = rise < 0
        self._has_refused |= is_refusal
        return self._has_refused and self._cycles >= self._required_cycles
