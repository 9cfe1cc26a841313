"""Claims of writes that must happen only once, among several machines: in the Redis of the rate limit."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tap_jetti.errors import StoreError
from tap_jetti.target.delivery.ledger.once import QUIET_SECONDS, Claim

if TYPE_CHECKING:
    from tap_jetti.target.delivery.ledger.once import Identity

KEEP_SECONDS = round(2 * QUIET_SECONDS)
"""Seconds after which a claim expires: its owner may have died without a word."""

TIMEOUT = 5.0
"""Seconds to connect, and to wait for a reply."""

DONE = "done"

# Sets a claim if there is none, or if it is of an owner that is known to have ended.
CLAIM = """
local found = redis.call('GET', KEYS[1])
if not found or found == ARGV[1] or (ARGV[2] ~= '' and found == ARGV[2]) then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
  return ''
end
return found
"""

RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisClaims:
    """See `HostClaims`.

    Args:
        url: ``redis://`` or ``rediss://``.
        account: The digest of the account.
    """

    def __init__(self, url: str, account: str) -> None:
        self._prefix = f"tap-jetti:once:{account}:"
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
        self._claim = self._client.register_script(CLAIM)
        self._release = self._client.register_script(RELEASE)

    def claim(self, identity: Identity, owner: str, *, previous: str | None) -> Claim:
        """See `HostClaims.claim`.

        Raises:
            StoreError: Redis does not answer, so another machine may be making the same write.
        """
        try:
            found = cast("bytes", self._claim(keys=[self._key(identity)], args=[owner, previous or "", KEEP_SECONDS]))
        except (redis.RedisError, OSError) as error:
            raise StoreError(
                "The Redis of rate_limit_store failed, so it is not known whether another machine is making the same"
                f" write: {str(error).rstrip('.')}. Start it, and run again."
            ) from error
        if not found:
            return Claim.OWN
        return Claim.DONE if found.decode() == DONE else Claim.BUSY

    def done(self, identity: Identity) -> None:
        """See `HostClaims.done`. If Redis does not answer, the claim stays until it expires."""
        with suppress(redis.RedisError, OSError):
            self._client.set(self._key(identity), DONE, ex=KEEP_SECONDS)

    def release(self, identity: Identity, owner: str) -> None:
        """See `HostClaims.release`. If Redis does not answer, the claim stays until it expires."""
        with suppress(redis.RedisError, OSError):
            self._release(keys=[self._key(identity)], args=[owner])

    def _key(self, identity: Identity) -> str:
        return f"{self._prefix}{identity.action}:{identity.text}"
