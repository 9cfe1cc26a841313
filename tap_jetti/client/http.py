"""One HTTP exchange: a request is sent once, and its whole response is read. Nothing is retried here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING

import requests
from urllib3.exceptions import HTTPError

from tap_jetti.client.http_errors import error_from_exception
from tap_jetti.client.transport import Transport
from tap_jetti.errors import RedirectError

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter
    from requests.structures import CaseInsensitiveDict

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.request import Request

MAX_CONNECT_SECONDS = 10.0
"""Longest time to wait for a connection. A shorter ``timeout`` shortens it."""

TOTAL_TIMEOUT_FACTOR = 5
"""A whole response may take this many times ``timeout``, even if some bytes arrive all the time."""

_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class HttpResponse:
    """A complete response of any status, not yet decoded.

    Attributes:
        status: The HTTP status.
        headers: Its headers.
        content: The body, decompressed.
        location: Where it redirects to, or None.
        sent: The monotonic clock, in seconds, when the request was sent.
        received: The same clock when the response was complete.
    """

    status: int
    headers: CaseInsensitiveDict[str]
    content: bytes
    location: str | None
    sent: float
    received: float


class HttpClient:
    """Sends requests over a pool of connections. Threads may share it.

    Args:
        clock: The clock that measures the time of a response.
        timeout: Read timeout in seconds.
        user_agent: The ``User-Agent`` header.
        connections: Connections that are kept open per host.
        transport: The adapter that carries the requests; by default the network.
    """

    def __init__(
        self, *, clock: Clock, timeout: float, user_agent: str, connections: int, transport: HTTPAdapter | None = None
    ) -> None:
        self._clock = clock
        self._timeouts = (min(timeout, MAX_CONNECT_SECONDS), timeout)
        self._total_timeout = TOTAL_TIMEOUT_FACTOR * timeout
        self._transport = transport or Transport(pool_connections=4, pool_maxsize=connections)
        self.session = requests.Session()
        # By default requests reads proxies, certificates and .netrc from the environment for every request. Proxies
        # are read once, by `Host`, and the file of certificates here. .netrc is never wanted: it would add
        # credentials of its own.
        self.session.trust_env = False
        self.session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        # With a cookie the server might take a request for that of another user.
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.session.mount("https://", self._transport)
        self.session.mount("http://", self._transport)
        self._headers = {**self.session.headers, "User-Agent": user_agent, "Accept": "application/json"}

    def send(self, request: Request) -> HttpResponse:
        """Send a request once, and read the response.

        Raises:
            TransportError: There was no complete response.
            RedirectError: The response redirects to an invalid URL.
            RequestError: The certificate of the host is not trusted.
        """
        sent, content = self._clock.monotonic(), bytearray()
        try:
            # Streamed, so that the time of the whole body can be limited, and a cut body tells how much of it came.
            response = self.session.send(
                self._prepare(request),
                proxies=request.host.proxies,
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
            )
            with response:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    content += chunk
                    if self._clock.monotonic() - sent > self._total_timeout:
                        raise requests.Timeout
        except (requests.RequestException, HTTPError, OSError) as error:
            raise error_from_exception(
                error, received_bytes=len(content), method=request.method, url=request.url
            ) from error
        except ValueError as error:  # requests parses the Location header even if it does not follow it
            raise RedirectError(
                "Did not follow a redirect to an invalid URL",
                method=request.method,
                path=request.path,
                advice="Check api_url or inbound_url",
            ) from error
        return HttpResponse(
            response.status_code,
            response.headers,
            bytes(content),
            response.headers["Location"] if response.is_redirect else None,
            sent,
            self._clock.monotonic(),
        )

    def close(self) -> None:
        """Close all connections."""
        self.session.close()

    def abort(self) -> None:
        """Cut the requests in flight, and any that follows: each raises `TransportError` in its thread."""
        if isinstance(self._transport, Transport):
            self._transport.abort()

    def _prepare(self, request: Request) -> requests.PreparedRequest:
        # Not by `requests.Session.prepare_request`: it has nothing to add, and takes a sixth of the time of a call.
        prepared = requests.PreparedRequest()
        headers = self._headers if request.data is None else {**self._headers, "Content-Type": "application/json"}
        prepared.prepare(request.method, request.url, headers=headers, data=request.data, auth=request.host.auth)
        return prepared
