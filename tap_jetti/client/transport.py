"""The adapter that carries requests over the network, each within its time, and can abort those in flight."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from typing_extensions import override
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from tap_jetti.client.connections import PlainConnection, SecureConnection
from tap_jetti.client.deadline import Deadline

if TYPE_CHECKING:
    from requests import PreparedRequest, Response
    from urllib3 import PoolManager

    from tap_jetti.client.clock import Clock


class Transport(HTTPAdapter):
    """Sends requests as `HTTPAdapter` does, but ends each attempt in time, and can shut the sockets down.

    Nothing else wakes a thread that waits for a response, and its timeout is a minute. So every connection that
    urllib3 opens has its socket noted here.

    Args:
        clock: The clock that measures attempts.
        seconds: Seconds that one attempt may take: to connect, to send, and to receive the whole response.
        **options: Those of `HTTPAdapter`.
    """

    def __init__(self, clock: Clock, *, seconds: float, **options: Any) -> None:  # noqa: ANN401
        self._clock = clock
        self._seconds = seconds
        self._attempt = threading.local()  # a thread has one attempt at a time, and reads its response itself
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._is_aborted = False
        self._lock = threading.Lock()
        super().__init__(**options)

    @property
    def deadline(self) -> Deadline:
        """When the attempt of this thread must have ended."""
        deadline: Deadline = self._attempt.deadline
        return deadline

    @override
    def send(self, request: PreparedRequest, *arguments: Any, **options: Any) -> Response:
        self._attempt.deadline = Deadline(self._clock, self._seconds)
        return super().send(request, *arguments, **options)

    def abort(self) -> None:
        """Shut all connections down, also those that are opened later: a thread that waits for one gets an error."""
        with self._lock:
            self._is_aborted = True
            sockets = list(self._sockets)
        for opened in sockets:
            _shut_down(opened)

    def note(self, opened: socket.socket) -> None:
        """Take note of an opened socket, so that `abort` finds it."""
        with self._lock:
            self._sockets.add(opened)
        # Checked after the socket was added: `abort` either finds it there or is seen here.
        if self._is_aborted:
            _shut_down(opened)

    @override
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self._own_connections_of(self.poolmanager)

    @override
    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        self._own_connections_of(manager)
        return manager

    def _own_connections_of(self, manager: PoolManager) -> None:
        """Make a manager open connections that belong to this transport."""

        class Plain(PlainConnection):
            owner = self

        class Secure(SecureConnection):
            owner = self

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}


def _shut_down(opened: socket.socket) -> None:
    with suppress(OSError):
        # Not `opened.shutdown`: for a TLS socket it also removes the state that the reading thread is using.
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
