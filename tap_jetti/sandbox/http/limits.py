"""The rate limit of the sandbox: what a request costs and what a refused one is told."""

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

_LONGEST_AGO = 60.0


def cost(method: str) -> float:
    """Units of a request: 1 for a GET, 2 for anything else."""
    return GET_COST if method == "GET" else WRITE_COST


class Limits:
    """The buckets of one account."""

    def __init__(self, seed: int) -> None:
        """Start with empty buckets."""
        self._buckets = {True: LeakyBucket(), False: LeakyBucket()}
        self._chance = random.Random(seed)  # noqa: S311 - not for secrets
        self._other_at = 0.0

    def take(self, options: Options, method: str, now: float) -> Level:
        """Let a request in if it fits into its bucket."""
        shared = options.bucket_rule == "one" or method == "GET"
        if options.foreign_load > 0:
            self._take_for_others(options, now)
        return self._buckets[shared].take(cost(method), now, rate=options.rate, capacity=options.capacity)

    def _take_for_others(self, options: Options, now: float) -> None:
        """Let in what another system has asked for until now, one unit at a time, at random."""
        self._other_at = max(self._other_at, now - _LONGEST_AGO)
        while self._other_at <= now:
            self._buckets[True].take(GET_COST, self._other_at, rate=options.rate, capacity=options.capacity)
            self._other_at += self._chance.expovariate(options.foreign_load)


def refusal(options: Options, level: Level, now: float) -> Response:
    """The 429 of a request that did not fit."""
    answer = Problem(429, "api.rate_limit.exceeded", "Too many requests.").answer()
    seconds = math.ceil(level.wait)
    texts = {
        "seconds": str(seconds),
        "date": formatdate(math.ceil(now + level.wait), usegmt=True),
        "garbage": "soon",
    }
    if options.retry_after in texts:
        answer.headers.append(("Retry-After", texts[options.retry_after]))
    return answer


def headers(options: Options, level: Level, now: float) -> list[tuple[str, str]]:
    """The headers that tell the remaining capacity, or lie about it, if any."""
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
