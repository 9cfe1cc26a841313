"""One request: where it goes, what it costs, and what its response is decoded to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.hosts import Host
    from tap_jetti.client.rate_limit import Permit

READ_COST = 1.0
"""Units of the rate limit that a GET costs."""

WRITE_COST = 2.0
"""Units of the rate limit that any other request costs."""


@dataclass(frozen=True)
class Request:
    """A request that can be sent, once or several times.

    Attributes:
        method: The HTTP method.
        url: The URL, with its query.
        host: The host, whose credentials and rate limit it uses.
        decode: Turns the body of a response into a value, or raises `msgspec.DecodeError`.
        data: The body, or None.
        repeatable: Whether the server may act on it twice without harm.
        retry: Whether it is sent again after a failure that may pass.
        acquire: Waits for the permit of each attempt. None: the rate limit of the host does.
        on_departure: Called just before each attempt is sent, when it has its permit.
    """

    method: str
    url: str
    host: Host
    decode: Callable[[bytes], Any]
    data: bytes | None = None
    repeatable: bool = True
    retry: bool = True
    acquire: Callable[[], Permit] | None = None
    on_departure: Callable[[], None] | None = None

    @property
    def path(self) -> str:
        """The path for messages. They never contain the query: it holds customer data."""
        return urlsplit(self.url).path

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing on the server."""
        return self.method == "GET"

    @property
    def cost(self) -> float:
        """Units of the rate limit that each attempt costs."""
        return READ_COST if self.is_read else WRITE_COST
