"""How a response is sent: whole, after interim responses, in part, or drop by drop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tap_jetti.sandbox.http.problems import Response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Pause = Callable[[], Awaitable[None]]

_INTERIM = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\n",
)
_DRIP_BYTES = 200


class Transport(Protocol):
    """The connection of a request."""

    def abort(self) -> None:
        """Close it at once, without sending what is buffered."""

    def close(self) -> None:
        """Close it after the buffered data are sent."""

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""

    def write(self, data: bytes) -> None:
        """Send bytes that are no part of the response."""


class Exchange:
    """Sends the response to one request."""

    def __init__(self, transport: Transport, receive: Receive, send: Send) -> None:
        self._transport = transport
        self._receive = receive
        self._send = send

    async def send(self, response: Response, extra_headers: list[tuple[str, str]]) -> None:
        """Send the whole response."""
        await self._start(response, extra_headers)
        await self._send({"type": "http.response.body", "body": response.body})

    async def send_half(self, response: Response, extra_headers: list[tuple[str, str]]) -> None:
        """Send the headers of the whole response and half of its body, then close the connection."""
        await self._start(response, extra_headers)
        half = response.body[: len(response.body) // 2]
        await self._send({"type": "http.response.body", "body": half, "more_body": True})
        self._transport.close()
        await self._disconnected()

    def send_interim(self, count: int) -> None:
        """Send interim responses, which precede the real one."""
        for number in range(count):
            self._transport.write(_INTERIM[number % len(_INTERIM)])

    async def drip_head(self, response: Response, extra_headers: list[tuple[str, str]], pause: Pause) -> None:
        """Send the whole response as bytes, its head one byte at a time, then close the connection."""
        lines = [f"{name}: {text}\r\n" for name, text in _all_headers(response, extra_headers)]
        head = f"HTTP/1.1 {response.status} Dripping\r\n{''.join(lines)}\r\n".encode("latin-1")
        for byte in head:
            if self._transport.is_closing():
                break
            self._transport.write(bytes([byte]))
            await pause()
        self._transport.write(response.body)
        self._transport.close()
        await self._disconnected()

    async def drip_body(self, response: Response, extra_headers: list[tuple[str, str]], pause: Pause) -> None:
        """Send the whole response, 200 bytes of its body at a time."""
        await self._start(response, extra_headers)
        for start in range(0, len(response.body), _DRIP_BYTES):
            if self._transport.is_closing():
                break
            piece = response.body[start : start + _DRIP_BYTES]
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            await pause()
        await self._send({"type": "http.response.body", "body": b""})

    async def cut(self) -> None:
        """Close the connection without a response."""
        self._transport.abort()
        await self._disconnected()

    async def _start(self, response: Response, extra_headers: list[tuple[str, str]]) -> None:
        headers = _all_headers(response, extra_headers)
        await self._send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": [(name.lower().encode(), text.encode()) for name, text in headers],
            }
        )

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _all_headers(response: Response, extra_headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        ("Content-Type", response.content_type),
        ("Content-Length", str(len(response.body))),
        *response.headers,
        *extra_headers,
    ]
