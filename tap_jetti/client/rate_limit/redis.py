"""A bucket for several machines, in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tap_jetti.client.rate_limit.bucket import HORIZON, Level, Reservation
from tap_jetti.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE = "redis"

TIMEOUT = 1.0
"""Seconds to connect, and seconds to answer: a Redis that takes longer is of no use here."""

SCRIPT = """
-- Bucket of bucket.py, on the server's clock, in one step.
local key, verb, horizon = KEYS[1], ARGV[1], tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local row = redis.call('HMGET', key, 'empty_at', 'blocked_until', 'pushed', 'seen')
local tat, blocked_until = tonumber(row[1] or now), tonumber(row[2] or now)
local pushed, seen = tonumber(row[3] or 0), tonumber(row[4] or now)

-- settled
local back = math.max(0, seen - now)
tat, blocked_until = tat - back, blocked_until - back
if blocked_until > now + horizon then blocked_until = now end

local wait = 0
if verb == 'reserve' then
  local charge, lead = tonumber(ARGV[2]), tonumber(ARGV[3])
  if tat > math.max(now, blocked_until) + math.max(horizon, 100 * charge) then
    tat = now
  end
  local start = math.max(now, blocked_until, tat + lead)
  tat = math.max(tat, start) + charge
  wait = start - now
elseif verb == 'block' then
  local seconds, fill = tonumber(ARGV[2]), tonumber(ARGV[3])
  local till = math.max(blocked_until, now + math.min(seconds, horizon))
  local push = till - math.max(blocked_until, now)
  tat = math.max(math.max(tat, now) + push, now + fill)
  blocked_until, pushed = till, pushed + push
elseif verb == 'delay' then
  local since, seconds = tonumber(ARGV[2]), tonumber(ARGV[3])
  local push = math.min(math.max(0, since + seconds - pushed), seconds)
  tat, pushed = math.max(tat, now) + push, pushed + push
end

-- tostring keeps 14 digits, of which the seconds since the epoch take 10.
local function text(number) return string.format('%.6f', number) end
if verb ~= 'peek' then
  redis.call('HSET', key, 'empty_at', text(tat), 'blocked_until', text(blocked_until),
    'pushed', text(pushed), 'seen', text(now))
  redis.call('EXPIRE', key, math.ceil(math.max(tat, blocked_until) - now + horizon))
end
return {text(wait), text(tat - now), text(blocked_until - now), text(pushed)}
"""


class RedisStore:
    """Keeps the bucket under one key, which expires an hour after it has drained.

    Connects when it is first used. A connection that the server has closed is opened again once,
    which may lose a slot; a time-out is not tried again.

    Args:
        url: `redis://` or `rediss://`, with user, password and options as `redis.Redis.from_url`
            takes them.
        place: Host and port, for messages: the URL may hold a password.
        account: Which bucket.
    """

    def __init__(self, url: str, *, place: str, account: str) -> None:
        self._place = place
        self._key = f"tap-jetti:rate-limit:{account}"
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
        self._script = self._client.register_script(SCRIPT)

    def reserve(self, charge: float, lead: float) -> Reservation:
        """Take the next slot."""
        wait, empty_in, _, pushed = self._run("reserve", charge, lead)
        return Reservation(wait, empty_in - wait, pushed, SOURCE)

    def block(self, seconds: float, fill: float) -> None:
        """Let nobody go for `seconds`, and count the bucket as full."""
        self._run("block", seconds, fill)

    def delay(self, reservation: Reservation, seconds: float) -> None:
        """Move all who wait back until that is `seconds` since a slot was taken."""
        self._run("delay", reservation.pushed, seconds)

    def peek(self) -> Level:
        """Read the bucket."""
        _, empty_in, blocked_in, pushed = self._run("peek")
        return Level(empty_in, blocked_in, pushed, SOURCE)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _run(self, verb: str, *seconds: float) -> tuple[float, float, float, float]:
        first, second = seconds or (0.0, 0.0)
        try:
            answer = self._script(keys=[self._key], args=[verb, first, second, HORIZON])
        except (redis.RedisError, OSError) as error:
            raise StoreError(
                f"The rate limit's Redis at {self._place} failed: {str(error).rstrip('.')}. "
                "Start it, or correct rate_limit_store."
            ) from error
        wait, empty_in, blocked_in, pushed = map(float, cast("Sequence[bytes]", answer))
        return wait, empty_in, blocked_in, pushed
