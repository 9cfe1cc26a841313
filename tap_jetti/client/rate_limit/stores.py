"""From the setting `rate_limit_store` to a store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from platformdirs import user_state_path

from tap_jetti.client.account import account_key
from tap_jetti.client.rate_limit.failover import FailoverStore
from tap_jetti.client.rate_limit.memory import MemoryStore
from tap_jetti.errors import StoreError

if TYPE_CHECKING:
    import logging

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.rate_limit.bucket import BucketStore

REDIS_PORT = 6379

LONE_SHARE = 0.5
"""Part of the rate that a process uses if it cannot share the limit. Others may be alone, too."""


def open_store(
    url: str | None,
    *,
    host: str,
    token: str,
    account: str | None = None,
    fallback: str = "half",
    clock: Clock,
    logger: logging.Logger,
) -> BucketStore:
    """Return the store for the bucket of an account. Nothing is opened before its first use.

    Args:
        url: `memory://` for the threads of this process, `sqlite:///path` for the processes of this machine,
            `redis://host:port/db` or `rediss://…` for several machines. None is a file in the user's state directory,
            so that processes share the limit without any setting.
        host: The host of the API.
        token: The token for the API. Only a hash of host and token is stored.
        account: What names the bucket instead of host and token, so that API users of one account share it.
        fallback: What to do if a shared store fails. `half` warns, and this process continues alone at half the rate
            until the store works again. `fail` raises.
        clock: The clock of the bucket.
        logger: The logger for failures and recoveries of the store.

    Raises:
        ValueError: if `url` or `fallback` is invalid.
        StoreError: if the `redis` package is missing; with `fail`, also if the user has no state directory. With
            `fail` the methods of the store raise it, too.
    """
    if fallback not in {"half", "fail"}:
        raise ValueError(f"rate_limit_fallback must be half or fail, got {fallback!r}")
    if url is not None and url.rstrip("/") == "memory:":
        return MemoryStore(clock)
    try:
        store = _shared_store(url, account_key(account, host=host, token=token), clock, logger)
    except _NoStateDirectoryError as error:
        if fallback == "fail":
            raise
        logger.warning("%s Until then, this process continues alone at %g %% of the rate.", error, 100 * LONE_SHARE)
        return MemoryStore(clock, share=LONE_SHARE)
    if fallback == "fail":
        return store
    return FailoverStore(store, share=LONE_SHARE, clock=clock, logger=logger)


class _NoStateDirectoryError(StoreError):
    """The user has no state directory."""


def _shared_store(url: str | None, account: str, clock: Clock, logger: logging.Logger) -> BucketStore:
    scheme, _, rest = (url or "sqlite://").partition("://")
    if scheme == "sqlite":
        from tap_jetti.client.rate_limit.sqlite import SqliteStore, boot_id  # noqa: PLC0415 - other stores do without

        path = _user_file() if url is None else _file(rest)
        return SqliteStore(path, account, clock, boot=boot_id(), logger=logger)
    if url is not None and scheme in {"redis", "rediss"}:
        place = _place(url)
        try:
            from tap_jetti.client.rate_limit.redis import RedisStore  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise StoreError(
                f"rate_limit_store is the Redis at {place}, but the redis package is missing. Install tap-jetti[redis]."
            ) from error
        return RedisStore(url, place=place, account=account)
    # The message shows the scheme only: a password may follow.
    raise ValueError(
        "rate_limit_store must be memory://, sqlite:///path or redis://host:port/db, "
        f"got {scheme + '://…' if rest else 'a value without a scheme'}"
    )


def _file(rest: str) -> Path:
    """Return the path of a `sqlite://` URL. A fourth slash is common, too."""
    path = Path("/" + rest.lstrip("/"))
    if os.name == "nt":
        path = Path(rest.lstrip("/"))
    if not rest.startswith("/") or not path.name or not path.is_absolute():
        raise ValueError(f"rate_limit_store must have an absolute path, as in sqlite:///path, got sqlite://{rest}")
    return path


def _user_file() -> Path:
    try:
        return user_state_path("tap-jetti", appauthor=False) / "rate-limit.sqlite"
    except RuntimeError as error:  # as for a user of a container who is in no passwd file
        raise _NoStateDirectoryError(
            "There is no home directory for the file of the rate limit. Set XDG_STATE_HOME or rate_limit_store."
        ) from error


def _place(url: str) -> str:
    """Return host and port of a Redis URL, for messages."""
    try:
        parts = urlsplit(url)
        place = f"{parts.hostname or 'localhost'}:{parts.port or REDIS_PORT}"
    except ValueError:
        place = ""
    # A password with a / or # in it ends up in the path or the fragment, so no part of the URL is shown.
    if not place or "@" in parts.path + parts.fragment:
        raise ValueError(
            "rate_limit_store must be redis://user:password@host:port/db, "
            "with the special characters of the password percent-encoded"
        )
    return place
