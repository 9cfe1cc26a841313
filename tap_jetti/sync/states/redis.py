"""A state in Redis."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from typing import TYPE_CHECKING, Any, cast

import redis

from tap_jetti.errors import StoreError
from tap_jetti.sync.states.file import parse_state
from tap_jetti.sync.states.local_lock import HOST, BusyError, of_machine

if TYPE_CHECKING:
    from collections.abc import Callable

    State = dict[str, Any]

LEASE_SECONDS = 60
"""The lock of a process that was lost, and its machine with it, ends after so many seconds."""

_TIMEOUT = 10.0

_TAKE = """
local owner = redis.call('get', KEYS[1])
if owner and string.sub(owner, 1, #ARGV[2]) ~= ARGV[2] then return owner end
redis.call('set', KEYS[1], ARGV[1], 'ex', ARGV[3])
return false
"""
"""Take the lock if it is free. An owner on this machine has gone: the lock of the machine has been taken before."""

_RENEW = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('expire', KEYS[1], ARGV[2])
return 1
"""

_WRITE = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('set', KEYS[2], ARGV[2])
return 1
"""
"""Write only while the lock is one's own."""

_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end return 1"


class RedisStore:
    """Keeps the state under one key, and a lock that is renewed while this process lives under another.

    Args:
        url: The URL of the server.
        name: The name of the state.
        place: The URL without a password.
    """

    def __init__(self, url: str, *, name: str, place: str) -> None:
        self.place = place
        self.local_lock = of_machine(place)
        self._client = redis.Redis.from_url(url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)
        self._key = f"tap-jetti:state:{name}"
        self._lock_key = f"{self._key}:lock"
        self._owner = f"{HOST}/{uuid.uuid4().hex}"
        self._closed = threading.Event()
        self._renewer: threading.Thread | None = None

    def lock(self) -> None:
        """Take the lock, and renew it until `close`."""
        owner = self._run(lambda: self._eval(_TAKE, [self._lock_key], self._owner, f"{HOST}/", LEASE_SECONDS))
        if owner:
            raise BusyError(self.place, f"on {owner.decode().partition('/')[0]}")
        self._renewer = threading.Thread(target=self._renew, name="state lock", daemon=True)
        self._renewer.start()

    def read(self) -> State | None:
        """The state, or None if there is none."""
        found = self._run(lambda: self._client.get(self._key))
        return parse_state(cast("bytes", found), self.place) if found else None

    def write(self, state: State) -> None:
        """Replace the state, if the lock is still one's own."""
        text = json.dumps(state)
        if not self._run(lambda: self._eval(_WRITE, [self._lock_key, self._key], self._owner, text)):
            # A server that was away for long has dropped the lock. It is taken again, unless somebody else has it.
            owner = self._run(lambda: self._eval(_TAKE, [self._lock_key], self._owner, f"{HOST}/", LEASE_SECONDS))
            if owner:
                raise BusyError(self.place, f"on {owner.decode().partition('/')[0]}")
            self._run(lambda: self._eval(_WRITE, [self._lock_key, self._key], self._owner, text))

    def close(self) -> None:
        """Give the lock up."""
        self._closed.set()
        if self._renewer:
            self._renewer.join()
            with contextlib.suppress(redis.RedisError):  # it ends by itself
                self._eval(_RELEASE, [self._lock_key], self._owner)
        self._client.close()

    def _renew(self) -> None:
        while not self._closed.wait(LEASE_SECONDS / 4):
            try:
                self._eval(_RENEW, [self._lock_key], self._owner, LEASE_SECONDS)
            except redis.RedisError:
                continue  # `write` finds out whether the lock was lost

    def _eval(self, script: str, keys: list[str], *arguments: object) -> Any:  # noqa: ANN401 - of the script
        return self._client.eval(script, len(keys), *keys, *map(str, arguments))

    def _run(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - of the call
        try:
            return call()
        except redis.RedisError as error:
            raise StoreError(f"The state at {self.place} cannot be used: {type(error).__name__}.") from error
