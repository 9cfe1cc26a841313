"""The services that tests need: where they are, and places of their own in them."""

from __future__ import annotations

import contextlib
import os
import uuid
from typing import TYPE_CHECKING, NoReturn

import psycopg
import pytest
import redis

if TYPE_CHECKING:
    from collections.abc import Iterator

POSTGRES = os.environ.get("JETTI_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432")
REDIS = os.environ.get("JETTI_TEST_REDIS_URL", "redis://127.0.0.1:6379")
_SECONDS = 5


@contextlib.contextmanager
def postgres_database() -> Iterator[str]:
    """The URL of a new database, which is dropped at the end. Without a server the test is skipped."""
    name = f"jetti_test_{uuid.uuid4().hex}"
    try:
        server = psycopg.connect(f"{POSTGRES}/postgres", autocommit=True, connect_timeout=_SECONDS)
    except psycopg.OperationalError as error:
        _miss(f"no PostgreSQL: {str(error).strip()}. Set JETTI_TEST_POSTGRES_URL.")
    with server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"{POSTGRES}/{name}"
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextlib.contextmanager
def redis_state() -> Iterator[str]:
    """The URL of a state of its own in Redis, which is removed at the end. Without a server the test is skipped."""
    name = f"test-{uuid.uuid4().hex}"
    client = redis.Redis.from_url(REDIS, socket_connect_timeout=_SECONDS)
    try:
        client.ping()
    except redis.RedisError as error:
        _miss(f"no Redis: {error}. Set JETTI_TEST_REDIS_URL.")
    try:
        yield f"{REDIS}?state={name}"
    finally:
        client.delete(f"tap-jetti:state:{name}", f"tap-jetti:state:{name}:lock")
        client.close()


def _miss(reason: str) -> NoReturn:
    """Skip the test; fail it where the services are required."""
    if os.environ.get("JETTI_TEST_REQUIRE_SERVICES"):
        pytest.fail(reason)
    pytest.skip(reason)
