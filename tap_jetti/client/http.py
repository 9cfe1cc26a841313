"""One HTTP exchange: a request is sent once, and its whole response is read. Nothing is retried here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING

import requests
from urllib3.exceptions import HTTPError

from tap_jetti.client.bounded_response import MAX_RESPONSE_BYTES, TooManyBytesError
from tap_jetti.client.http_errors import error_from_exception
from tap_jetti.client.transport import Transport
from tap_jetti.errors import RequestError

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter
    from requests.structures import CaseInsensitiveDict

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.request import Request

MAX_CONNECT_SECONDS = 10.0
"""Longest time to wait for a connection. A shorter ``timeout`` shortens it."""

ATTEMPT_TIMEOUTS = 5
"""A whole attempt may take this many times ``timeout``, even if some bytes arrive all the time."""

_CHUNK_BYTES = 1 << 18
"""Bytes that are decompressed at a time."""

_MAX_LENGTH_DIGITS = 18
"""Digits of a length that are read. They are enough to tell that it is too long."""


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
        self._transport = transport or Transport(
            clock, seconds=ATTEMPT_TIMEOUTS * timeout, pool_connections=4, pool_maxsize=connections
        )
        # The transport is used without a `requests.Session`, which would take proxies, certificates and .netrc from
        # the environment for every request, keep cookies, and parse the URL of every redirect. Proxies are read once,
        # by `Host`, and the file of certificates here. .netrc and cookies are never wanted: they are credentials, and
        # the server might take a request for that of another user.
        self._verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Connection": "keep-alive",
        }

    def send(self, request: Request) -> HttpResponse:
        """Send a request once, and read the response.

        Raises:
            TransportError: There was no complete response.
            DecodeError: The response cannot be decompressed.
            ResponseTooLargeError: The response is too large.
            RequestError: The URL is invalid, or the certificate of the host is not trusted.
        """
        prepared = self._prepare(request)
        sent, content = self._clock.monotonic(), bytearray()
        try:
            # Streamed, so that the size of the body can be limited, and a cut body tells how much of it came.
            response = self._transport.send(
                prepared, stream=True, timeout=self._timeouts, verify=self._verify, proxies=request.host.proxies
            )
            with response:
                if _announced_bytes(response) > MAX_RESPONSE_BYTES:
                    raise TooManyBytesError(is_head=False)
                for chunk in response.iter_content(_CHUNK_BYTES):
                    content += chunk
                    if len(content) > MAX_RESPONSE_BYTES:
                        raise TooManyBytesError(is_head=False)
        except (requests.RequestException, HTTPError, HTTPException, OSError) as error:
            raise error_from_exception(
                error,
                received_bytes=len(content),
                method=request.method,
                url=request.url,
                setting=request.host.setting,
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
        self._transport.close()

    def abort(self) -> None:
        """Cut the requests in flight, and any that follows: each raises `TransportError` in its thread."""
        if isinstance(self._transport, Transport):
            self._transport.abort()

    def _prepare(self, request: Request) -> requests.PreparedRequest:
        prepared = requests.PreparedRequest()
        headers = self._headers if request.data is None else {**self._headers, "Content-Type": "application/json"}
        try:
            prepared.prepare(request.method, request.url, headers=headers, data=request.data, auth=request.host.auth)
        except (requests.RequestException, ValueError) as error:  # nothing is sent, so nothing may pass
            raise RequestError(
                "The URL is invalid; nothing was sent",
                method=request.method,
                path=request.path,
                advice=f"Check {request.host.setting}",
            ) from error
        return prepared


def _announced_bytes(response: requests.Response) -> int:
    """The length that the response states, 0 if it states none. It may be wrong, so it spares time only."""
    length = response.headers.get("Content-Length", "")
    return int(length[:_MAX_LENGTH_DIGITS]) if length.isascii() and length.isdecimal() else 0
