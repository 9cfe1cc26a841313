"""The response as it is read from the socket: within a time, within a size, and without interim (1xx) responses."""

from __future__ import annotations

import io
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from typing_extensions import override

if TYPE_CHECKING:
    import socket

    from tap_jetti.client.deadline import Deadline

MAX_RESPONSE_BYTES = 256 << 20
"""Longest body of a response, after decompression. A page of rows has some MB at most."""

MAX_HEAD_BYTES = 1 << 20
"""Longest head of a response, the heads of all interim responses before it included."""


class TooManyBytesError(HTTPException):
    """The server sent more bytes than a response may have.

    Attributes:
        is_head: Whether the head is too long; otherwise the body is.
    """

    def __init__(self, *, is_head: bool) -> None:
        super().__init__(f"the {'head' if is_head else 'body'} is too long")
        self.is_head = is_head


class BoundedResponse(HTTPResponse):
    """Reads one response. Every read from the socket ends before the deadline, and all bytes are counted.

    Args:
        sock: The socket; its timeout is the longest time between two reads.
        debuglevel: As for `HTTPResponse`.
        method: The HTTP method of the request.
        url: As for `HTTPResponse`.
        deadline: When the response must be complete.
    """

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
        *,
        deadline: Deadline,
    ) -> None:
        self._reader = _BoundedReader(sock, deadline)
        super().__init__(cast("socket.socket", self._reader), debuglevel, method, url)

    @override
    def begin(self) -> None:
        """Read the head. Interim responses, such as 103 Early Hints, are skipped: the real one follows them."""
        super().begin()
        while HTTPStatus.CONTINUE <= self.status < HTTPStatus.OK and self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            # `HTTPResponse` skips a 100 only. Without headers it reads the next head.
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first head
            super().begin()
        self._reader.allow_body()


class _BoundedReader(io.RawIOBase):
    """Reads from a socket until the deadline. It is also the "socket" of an `HTTPResponse`, which calls `makefile`."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._socket = sock
        self._raw = cast("io.RawIOBase", sock.makefile("rb", buffering=0))
        self._deadline = deadline
        self._longest = self._timeout = sock.gettimeout()
        self._is_head = True
        self._bytes_left = MAX_HEAD_BYTES

    def makefile(self, *_: Any) -> BinaryIO:  # noqa: ANN401 - the mode, always "rb"
        """Return this reader with a buffer."""
        return io.BufferedReader(self)

    def allow_body(self) -> None:
        """Let a body follow the head, as long as a body may be."""
        self._is_head = False
        self._bytes_left += MAX_RESPONSE_BYTES

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any, /) -> int | None:
        timeout = self._deadline.limit(self._longest)
        if timeout != self._timeout:
            self._socket.settimeout(timeout)
            self._timeout = timeout
        count = self._raw.readinto(buffer)
        self._bytes_left -= count or 0
        if self._bytes_left < 0:
            raise TooManyBytesError(is_head=self._is_head)
        return count

    @override
    def close(self) -> None:
        self._raw.close()
        super().close()
