"""From the setting `rate_limit_store` to a store."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tap_jetti.client.rate_limit.failover import FailoverStore
from tap_jetti.client.rate_limit.memory import MemoryStore
from tap_jetti.errors import StoreError

if TYPE_CHECKING:
    import logging

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.rate_limit.bucket import BucketStore

REDIS_PORT = 6379


def open_store(
    url: str | None,
    *,
    host: str,
    token: str,
    fallback: str = "half",
    clock: Clock,
    logger: logging.Logger,
) -> BucketStore:
    """Return where to keep the bucket of an account. Nothing is opened before its first use.

    Args:
        url: `memory://` for the threads of this process, `sqlite:///path` for the processes of this
            machine, `redis://host:port/db` or `rediss://…` for several machines. None is a file of
            this user's, so that two processes share without being told to.
        host: The API's host.
        token: The API's token. Only a hash of both is stored.
        fallback: What to do when a shared store is lost: `half` warns and keeps to half the rate in
            this process (the whole rate if it is the user's file, which nobody asked for), until
            the store can be used again; `fail` raises.
        clock: The time.
        logger: Told when a store is lost and when it is back.

    Raises:
        ValueError: if `url` or `fallback` is none of these.
        StoreError: if the `redis` package is missing; with `fail`, if there is no place
            for the user's file. With `fail` the store's methods raise it, too.
    """
    if fallback not in {"half", "fail"}:
        raise ValueError(f"rate_limit_fallback must be half or fail, got {fallback!r}")
    if url is not None and url.rstrip("/") == "memory:":
        return MemoryStore(clock)
    account = hashlib.sha256(f"{host.lower()}\n{token}".encode()).hexdigest()[:32]
    try:
        store = _shared_store(url, account, clock)
    except _NoHomeError as error:
        if fallback == "fail":
            raise
        logger.warning("%s Until then this process keeps to the rate by itself.", error)
        return MemoryStore(clock)
    if fallback == "fail":
        return store
    share = 1.0 if url is None else 0.5
    return FailoverStore(store, share=share, clock=clock, logger=logger)


class _NoHomeError(StoreError):
    """The user has no home directory."""


def _shared_store(url: str | None, account: str, clock: Clock) -> BucketStore:
    scheme, _, rest = (url or "sqlite://").partition("://")
    if scheme == "sqlite":
        # Not before it is used: another store does without it.
        from tap_jetti.client.rate_limit.sqlite import SqliteStore, boot_id  # noqa: PLC0415

        path = _user_file() if url is None else _file(rest)
        return SqliteStore(path, account, clock, boot=boot_id())
    if url is not None and scheme in {"redis", "rediss"}:
        place = _place(url)
        try:
            from tap_jetti.client.rate_limit.redis import RedisStore  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise StoreError(
                f"rate_limit_store names the Redis at {place}, but the redis package is missing. "
                "Install tap-jetti[redis]."
            ) from error
        return RedisStore(url, place=place, account=account)
    # Without what follows the scheme, which may be a password.
    raise ValueError(
        "rate_limit_store must be memory://, sqlite:///path or redis://host:port/db, "
        f"got {scheme if rest else 'something without a scheme'}"
    )


def _file(rest: str) -> Path:
    """Return the path of a `sqlite://` URL, in which a fourth slash is usual, too."""
    path = Path("/" + rest.lstrip("/"))
    if os.name == "nt":
        path = Path(rest.lstrip("/"))
    if not rest.startswith("/") or not path.name or not path.is_absolute():
        raise ValueError(f"rate_limit_store must name an absolute path, as in sqlite:///path, got sqlite://{rest}")
    return path


def _user_file() -> Path:
    # The XDG specification has a relative path ignored.
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        try:
            state = Path.home() / ".local" / "state"
        except RuntimeError as error:
            raise _NoHomeError(
                "There is no home directory for the rate limit's file. Set XDG_STATE_HOME or rate_limit_store."
            ) from error
    return state / "tap-jetti" / "rate-limit.sqlite"


def _place(url: str) -> str:
    """Return host and port of a Redis URL."""
    try:
        parts = urlsplit(url)
        place = f"{parts.hostname or 'localhost'}:{parts.port or REDIS_PORT}"
    except ValueError:
        place = ""
    # Neither the error nor the parts are shown: with a / or # in it, a password is cut in two.
    if not place or "@" in parts.path + parts.fragment:
        raise ValueError(
            "rate_limit_store must be redis://user:password@host:port/db, "
            "with special characters of the password percent-encoded"
        )
    return place
