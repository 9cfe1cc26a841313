"""Fixtures for tests of the client."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from certificates import Certificate, make_certificate

from runs import LOGGER, TOKEN
from tap_jetti.client.hosts import Host
from tap_jetti.client.rate_limit import MemoryStore, RateLimiter
from tap_jetti.client.session import JettiSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_jetti.client.clock import VirtualClock


@pytest.fixture
def connect(clock: VirtualClock) -> Iterator[Callable[..., JettiSession]]:
    """Open sessions to any URL."""
    with contextlib.ExitStack() as stack:

        def open_(url: str, **arguments: Any) -> JettiSession:
            limiter = arguments.pop("limiter", None) or RateLimiter(
                MemoryStore(clock), rate=1e9, burst=1e9, clock=clock
            )
            session = JettiSession(
                **{
                    "api": Host.api(url, token=TOKEN, limiter=limiter),
                    "clock": clock,
                    "retry_seconds": 20,
                    "timeout": 5,
                    "logger": LOGGER,
                    **arguments,
                }
            )
            return stack.enter_context(contextlib.closing(session))

        yield open_


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for 127.0.0.1."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))
