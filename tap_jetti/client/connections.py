"""Connections that open, send and receive within the time of one attempt."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from typing_extensions import override
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ProxyError
from urllib3.util.connection import allowed_gai_family, create_connection

from tap_jetti.client.bounded_response import BoundedResponse

if TYPE_CHECKING:
    from tap_jetti.client.deadline import Deadline


class ConnectionOwner(Protocol):
    """What a connection needs of the transport that it belongs to."""

    @property
    def deadline(self) -> Deadline:
        """When the attempt of the calling thread must have ended."""
        ...

    def note(self, opened: socket.socket) -> None:
        """Take note of a socket, so that it can be shut down."""
        ...


class PlainConnection(HTTPConnection):
    """A connection whose every wait is limited by the attempt that uses it. A subclass sets the owner.

    urllib3 limits each wait by itself: a host with many addresses, a proxy or a server that sends one byte at a time
    would keep a request for ever.
    """

    owner: ClassVar[ConnectionOwner]

    @override
    def connect(self) -> None:
        super().connect()
        if self.sock is not None:
            self.owner.note(self.sock)

    @override
    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(self.owner.deadline.limit(self.sock.gettimeout()))
        super().send(data)

    @override
    def _new_conn(self) -> socket.socket:
        """Connect to the first address of the host that accepts.

        Noted at once: a proxy or a TLS handshake that does not go on can be aborted, too.
        """
        failure: Exception | None = None
        for address in self._addresses():
            try:
                opened = create_connection(
                    (address, self.port),
                    self.owner.deadline.limit(self.timeout),
                    source_address=self.source_address,
                    socket_options=self.socket_options,
                )
                self.owner.note(opened)
                opened.settimeout(self.owner.deadline.limit(self.timeout))
            except TimeoutError as error:
                failure = ConnectTimeoutError(self, "No response in time.")
                failure.__cause__ = error
            except OSError as error:
                failure = NewConnectionError(self, "Not connected.")
                failure.__cause__ = error
            else:
                return opened
        raise failure or NewConnectionError(self, "The host has no address.")

    def _addresses(self) -> list[str]:
        try:
            found = socket.getaddrinfo(self._dns_host.strip("[]"), self.port, allowed_gai_family(), socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:  # UnicodeError: a label of the name is too long
            reason = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
            raise NameResolutionError(self.host, self, reason) from error
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    @override
    def _tunnel(self) -> None:
        try:
            super()._tunnel()
        except OSError as error:
            # Otherwise a proxy that refuses, or does not answer, looks like a server that did so.
            raise ProxyError("The proxy opened no tunnel.", error) from error

    def response_class(self, sock: socket.socket, *arguments: Any, **named: Any) -> BoundedResponse:  # type: ignore[override]  # noqa: ANN401 - those of `HTTPResponse`
        """Make the response that is read from a socket."""
        return BoundedResponse(sock, *arguments, deadline=self.owner.deadline, **named)


class SecureConnection(PlainConnection, HTTPSConnection):
    """The same with TLS. The standard library limits a whole handshake, and the read of a whole TLS record.

    One case has no such limit: TLS through a proxy that is itself reached by TLS. There urllib3 reads the records, and
    each of its reads is limited by itself.
    """
