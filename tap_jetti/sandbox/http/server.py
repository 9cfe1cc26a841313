"""The HTTP server: uvicorn's protocol, in an event loop in a thread of its own."""

# ruff: noqa: ANN401 - the types of uvicorn's own interfaces

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from tap_jetti.sandbox.http.application import Application
    from tap_jetti.sandbox.http.exchange import Receive, Scope, Send

_BACKLOG = 512
_KEEP_ALIVE = 75
_SHUTDOWN_SECONDS = 1.0
_TICK_SECONDS = 0.02
_RECORDS_PER_TICK = 150
"""A low number: inbound records are accepted faster than they are applied, so the queue can grow."""


class _Protocol(HttpToolsProtocol):
    """HTTP/1.1 that gives the application access to the connection, so that it can close it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        serve = self.app

        async def with_transport(scope: Any, receive: Any, send: Any) -> None:
            scope["sandbox.transport"] = self.transport
            await serve(scope, receive, send)

        self.app = with_transport


class Server:
    """Serves an application from `start` to `stop`."""

    def __init__(self, application: Application, host: str, port: int) -> None:
        """Bind the address; port 0 is any free port.

        Raises:
            OSError: The address is in use or does not exist.
        """
        self._application = application
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jetti-sandbox", daemon=True)

    def start(self) -> None:
        """Start to serve; returns when requests are accepted."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Stop; returns when all connections are closed and the thread has ended."""
        self._loop.call_soon_threadsafe(self._application.stopping.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _serve(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await self._application(scope, receive, send)

        config = uvicorn.Config(
            application,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            interface="asgi3",
        )
        config.load()
        state = ServerState()
        server = await self._loop.create_server(
            lambda: _Protocol(config=config, server_state=state, app_state={}), sock=self._socket
        )
        self._ready.set()
        await self._tick()
        server.close()
        await _run_pending_callbacks()
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(list(state.tasks), timeout=_SHUTDOWN_SECONDS)
        for connection in list(state.connections):
            if isinstance(connection, _Protocol):
                connection.transport.abort()
        await _run_pending_callbacks()
        await server.wait_closed()

    async def _tick(self) -> None:
        """Apply due changes at regular intervals until the sandbox stops."""
        while not self._application.stopping.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._application.stopping.wait(), _TICK_SECONDS)
            self._application.account.commit_due()
            self._application.inbound.process_due(_RECORDS_PER_TICK)


async def _run_pending_callbacks() -> None:
    """Let the event loop finish connections that were just accepted or just closed."""
    for _ in range(5):
        await asyncio.sleep(0)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    The protocol is given explicitly: asyncio disables Nagle's algorithm only for sockets that
    state TCP, and with it a response in two parts would wait 40 ms for an acknowledgement.
    """
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
