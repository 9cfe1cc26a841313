"""The adapter that carries requests over the network, and can cut those in flight."""

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
    """Sends requests as `HTTPAdapter` does, and knows the sockets that they go over.

    A thread that waits for an answer cannot be woken in any other way: its time-out is a minute.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of `HTTPAdapter`
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._is_aborted = False
        self._lock = threading.Lock()
        super().__init__(**options)

    def abort(self) -> None:
        """Shut all connections down, also those still being made: whoever waits on one sees it end."""
        with self._lock:
            self._is_aborted = True
            sockets = list(self._sockets)
        for opened in sockets:
            _shut_down(opened)

    @override
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self._watch(self.poolmanager)

    @override
    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        self._watch(manager)
        return manager

    def _watch(self, manager: PoolManager) -> None:
        """Have the connections of a manager note their sockets."""
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
            if self._is_aborted:
                _shut_down(opened)


def _shut_down(opened: socket.socket) -> None:
    with suppress(OSError):
        # Not the method of a TLS socket: that takes its state away from under the thread that reads.
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
