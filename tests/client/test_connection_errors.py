"""What a message says of a host that cannot be reached."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from runs import LOGGER
from tap_jetti.client.hosts import Host
from tap_jetti.client.rate_limit import MemoryStore, RateLimiter
from tap_jetti.client.session import JettiSession
from tap_jetti.errors import TransportError

if TYPE_CHECKING:
    from tap_jetti.client.clock import VirtualClock


def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("host", "cause"),
    [
        pytest.param("127.0.0.1", "connection refused", id="refused"),
        pytest.param("nohost.invalid", "the host name cannot be resolved", id="no such name"),
    ],
)
def test_the_cause_is_told(clock: VirtualClock, scheme: str, host: str, cause: str) -> None:
    """With the host and its setting; urllib3 derives all of them from its time-out."""
    limiter = RateLimiter(MemoryStore(clock), rate=1e9, burst=1e9, clock=clock)
    api = Host.api(f"{scheme}://{host}:{unused_port()}/api/", token="any", limiter=limiter)
    with (
        closing(JettiSession(api, clock=clock, retry_seconds=0, timeout=10, logger=LOGGER)) as session,
        pytest.raises(TransportError, match=rf"Cannot connect to {host}: {cause}.*Check api_url") as caught,
    ):
        session.get("sales.json")
    assert not caught.value.may_have_arrived
