"""The adapter that carries requests over the network, and can abort those in flight."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from typing_extensions import override
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from urllib3 import PoolManager


class Transport(HTTPAdapter):
    """Sends requests as `HTTPAdapter` does, and can shut their sockets down.

    Nothing else wakes a thread that waits for a response, and its time-out is a minute. So every connection that
    urllib3 opens has its socket noted here.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of `HTTPAdapter`
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._is_aborted = False
        self._lock = threading.Lock()
        super().__init__(**options)

    def abort(self) -> None:
        """Shut all connections down, also those that are opened later: a thread that waits for one gets an error."""
        with self._lock:
            self._is_aborted = True
            sockets = list(self._sockets)
        for opened in sockets:
            _shut_down(opened)

    @override
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self._note_sockets_of(self.poolmanager)

    @override
    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        self._note_sockets_of(manager)
        return manager

    def _note_sockets_of(self, manager: PoolManager) -> None:
        """Make the connections of a manager note their sockets."""
        note = self._note

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                note(self.sock)

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                note(self.sock)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    def _note(self, opened: socket.socket | None) -> None:
        if opened is not None:
            with self._lock:
                self._sockets.add(opened)
            # Checked after the socket was added: `abort` either finds it there or is seen here.
            if self._is_aborted:
                _shut_down(opened)


def _shut_down(opened: socket.socket) -> None:
    with suppress(OSError):
        # Not `opened.shutdown`: for a TLS socket it also removes the state that the reading thread is using.
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
