"""A bucket for several machines, in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tap_jetti.client.rate_limit.bucket import MAX_DELAY, Level, Reservation
from tap_jetti.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE = "redis"

TIMEOUT = 1.0
"""Seconds to connect, and to wait for a reply. The store has failed if Redis takes longer: requests would wait, too."""

# The script is `Bucket` of bucket.py again, run by Redis in one step and on its clock, so that all machines share a
# clock, too. A test compares the two. The fields keep the names that they have had since version 0.1.0, because older
# versions may share the bucket: `empty_at` is the TAT, `pushed` the total delay, `seen` the time of the last write.
SCRIPT = """
local key, verb, max_delay = KEYS[1], ARGV[1], tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local row = redis.call('HMGET', key, 'empty_at', 'blocked_until', 'pushed', 'seen')
local tat, blocked_until = tonumber(row[1] or now), tonumber(row[2] or now)
local total_delay, written_at = tonumber(row[3] or 0), tonumber(row[4] or now)

-- Bucket.at
local set_back = math.max(0, written_at - now)
tat, blocked_until = tat - set_back, blocked_until - set_back
if blocked_until > now + max_delay then blocked_until = now end

local wait = 0
if verb == 'reserve' then
  local increment, start_offset = tonumber(ARGV[2]), tonumber(ARGV[3])
  if tat > math.max(now, blocked_until) + math.max(max_delay, 100 * increment) then
    tat = now
  end
  local start = math.max(now, blocked_until, tat + start_offset)
  tat = math.max(tat, start) + increment
  wait = start - now
elseif verb == 'block' then
  local seconds, capacity = tonumber(ARGV[2]), tonumber(ARGV[3])
  local till = math.max(blocked_until, now + math.min(seconds, max_delay))
  local delay = till - math.max(blocked_until, now)
  tat = math.max(math.max(tat, now) + delay, now + capacity)
  blocked_until, total_delay = till, total_delay + delay
elseif verb == 'delay' then
  local since, seconds = tonumber(ARGV[2]), tonumber(ARGV[3])
  local delay = math.min(math.max(0, since + seconds - total_delay), seconds)
  tat, total_delay = math.max(tat, now) + delay, total_delay + delay
end

-- Not tostring: it keeps 14 digits, and the seconds since the epoch take 10 of them.
local function text(number) return string.format('%.6f', number) end
if verb ~= 'peek' then
  redis.call('HSET', key, 'empty_at', text(tat), 'blocked_until', text(blocked_until),
    'pushed', text(total_delay), 'seen', text(now))
  redis.call('EXPIRE', key, math.ceil(math.max(tat, blocked_until) - now + max_delay))
end
return {text(wait), text(tat - now), text(blocked_until - now), text(total_delay)}
"""


class RedisStore:
    """Keeps the bucket under one key, which expires an hour after the bucket has drained.

    It connects on the first use. If the server has closed the connection, it connects again once, which may lose a
    slot. A time-out is not retried.

    Args:
        url: `redis://` or `rediss://`, with user, password and options as `redis.Redis.from_url` takes them.
        place: Host and port, for messages: the URL may contain a password.
        account: The key of the bucket.
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

    def reserve(self, increment: float, start_offset: float) -> Reservation:
        """Reserve the next slot."""
        wait, empty_in, _, total_delay = self._run("reserve", increment, start_offset)
        return Reservation(wait, empty_in - wait, total_delay, SOURCE)

    def block(self, seconds: float, capacity: float) -> None:
        """Let nobody go for `seconds`, and count the bucket as full."""
        self._run("block", seconds, capacity)

    def delay(self, reservation: Reservation, seconds: float) -> None:
        """Move all reserved slots back, until they have moved by `seconds` since `reservation` was made."""
        self._run("delay", reservation.total_delay, seconds)

    def peek(self) -> Level:
        """Read the level."""
        _, empty_in, blocked_in, total_delay = self._run("peek")
        return Level(empty_in, blocked_in, total_delay, SOURCE)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _run(self, verb: str, *seconds: float) -> tuple[float, float, float, float]:
        """Run the script, and return wait, empty in, blocked in and total delay, in seconds."""
        first, second = seconds or (0.0, 0.0)
        try:
            reply = self._script(keys=[self._key], args=[verb, first, second, MAX_DELAY])
        except (redis.RedisError, OSError) as error:
            raise StoreError(
                f"The rate limit's Redis at {self._place} failed: {str(error).rstrip('.')}. "
                "Start it, or correct rate_limit_store."
            ) from error
        wait, empty_in, blocked_in, total_delay = map(float, cast("Sequence[bytes]", reply))
        return wait, empty_in, blocked_in, total_delay
