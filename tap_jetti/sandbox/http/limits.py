"""The rate limit: the cost of a request, the buckets of the account, the 429 and the rate limit headers."""

from __future__ import annotations

import math
import random
from email.utils import formatdate
from typing import TYPE_CHECKING

from tap_jetti.sandbox.http.bucket import LeakyBucket, Level
from tap_jetti.sandbox.http.problems import Problem, Response

if TYPE_CHECKING:
    from tap_jetti.sandbox.options import Options

GET_COST = 1.0
WRITE_COST = 2.0

DAILY_QUOTA = 10_000
MINUTE_QUOTA = 120

_MAX_CATCH_UP_SECONDS = 60.0


def cost(method: str) -> float:
    """The units of a request: 1 for a GET, 2 for any other method."""
    return GET_COST if method == "GET" else WRITE_COST


class Limits:
    """The buckets of one account."""

    def __init__(self, seed: int) -> None:
        """Start with empty buckets."""
        self._buckets = {True: LeakyBucket(), False: LeakyBucket()}
        self._rng = random.Random(seed)  # noqa: S311 - not for secrets
        self._foreign_at = 0.0

    def take(self, options: Options, method: str, now: float) -> Level:
        """Accept a request if it fits into its bucket."""
        shared = options.bucket_rule == "one" or method == "GET"
        if options.foreign_load > 0:
            self._take_foreign_load(options, now)
        return self._buckets[shared].take(cost(method), now, rate=options.rate, capacity=options.capacity)

    def _take_foreign_load(self, options: Options, now: float) -> None:
        """Add the requests that another client has sent since the last call: GETs at random times."""
        self._foreign_at = max(self._foreign_at, now - _MAX_CATCH_UP_SECONDS)
        while self._foreign_at <= now:
            self._buckets[True].take(GET_COST, self._foreign_at, rate=options.rate, capacity=options.capacity)
            self._foreign_at += self._rng.expovariate(options.foreign_load)


def refusal(options: Options, level: Level, now: float) -> Response:
    """The 429 of a request that was not accepted."""
    response = Problem(429, "api.rate_limit.exceeded", "Too many requests.").response()
    wait = level.wait if options.retry_after_seconds < 0 else options.retry_after_seconds
    texts = {
        "seconds": str(math.ceil(wait)),
        "date": formatdate(math.ceil(now + wait), usegmt=True),
        "garbage": "soon",
    }
    if options.retry_after in texts:
        response.headers.append(("Retry-After", texts[options.retry_after]))
    return response


def headers(options: Options, level: Level, now: float) -> list[tuple[str, str]]:
    """The rate limit headers, if any; some show a value other than the remaining capacity."""
    limit = int(options.capacity)
    left = max(0, math.floor(options.capacity - level.used))
    drained = level.used / options.rate if options.rate else 0.0
    pairs: dict[str, tuple[object, object]] = {
        "x-ratelimit": (limit, left),
        "constant": (limit, 0),
        "daily-quota": (DAILY_QUOTA, max(0, DAILY_QUOTA - int(level.total))),
        "minute-quota": (MINUTE_QUOTA, MINUTE_QUOTA - int(level.total) % MINUTE_QUOTA),
        "garbage": ("many", "-1"),
    }
    if options.rate_limit_headers in pairs:
        size, remaining = pairs[options.rate_limit_headers]
        return [
            ("X-RateLimit-Limit", str(size)),
            ("X-RateLimit-Remaining", str(remaining)),
            ("X-RateLimit-Reset", str(math.ceil(now + drained))),
        ]
    if options.rate_limit_headers == "ratelimit":
        return [
            ("RateLimit-Policy", f'"default";q={limit};w=1'),
            ("RateLimit", f'"default";r={left};t={math.ceil(drained)}'),
        ]
    if options.rate_limit_headers == "call-limit":
        return [("X-Api-Call-Limit", f"{limit - left}/{limit}")]
    return []
