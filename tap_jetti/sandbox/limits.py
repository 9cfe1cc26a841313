"""The rate limit of the sandbox: what a request costs and what a refused one is told."""

from __future__ import annotations

import math
from email.utils import formatdate
from typing import TYPE_CHECKING

from tap_jetti.sandbox.bucket import LeakyBucket, Level
from tap_jetti.sandbox.problems import Answer, Problem

if TYPE_CHECKING:
    from tap_jetti.sandbox.options import Options

GET_COST = 1.0
WRITE_COST = 2.0


def cost(method: str) -> float:
    """Units of a request: 1 for a GET, 2 for anything else."""
    return GET_COST if method == "GET" else WRITE_COST


class Limits:
    """The buckets of one account."""

    def __init__(self) -> None:
        """Start with empty buckets."""
        self._buckets = {True: LeakyBucket(), False: LeakyBucket()}

    def take(self, options: Options, method: str, now: float) -> Level:
        """Let a request in if it fits into its bucket."""
        shared = options.bucket_rule == "one" or method == "GET"
        return self._buckets[shared].take(cost(method), now, rate=options.rate, capacity=options.capacity)


def refusal(options: Options, level: Level, now: float) -> Answer:
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
    """The headers that tell the remaining capacity, if any."""
    limit = int(options.capacity)
    left = max(0, math.floor(options.capacity - level.used))
    drained = level.used / options.rate if options.rate else 0.0
    if options.rate_limit_headers == "x-ratelimit":
        return [
            ("X-RateLimit-Limit", str(limit)),
            ("X-RateLimit-Remaining", str(left)),
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
