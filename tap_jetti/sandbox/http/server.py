"""The HTTP server: uvicorn's protocol on an event loop in a thread of its own."""

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
    from tap_jetti.sandbox.http.application import Application, Receive, Scope, Send

_BACKLOG = 512
_KEEP_ALIVE = 75
_PATIENCE = 1.0
_TICK = 0.02
_RECORDS_A_TICK = 150
"""Few enough that new data are accepted faster than old ones are applied, as in a queue."""


class _Protocol(HttpToolsProtocol):
    """HTTP/1.1 that shows the application its connection, so that it can cut it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        serve = self.app

        async def show(scope: Any, receive: Any, send: Any) -> None:
            scope["sandbox.transport"] = self.transport
            await serve(scope, receive, send)

        self.app = show


class Server:
    """Serves an application from `start` to `stop`."""

    def __init__(self, application: Application, host: str, port: int) -> None:
        """Bind the address; port 0 takes a free one.

        Raises:
            OSError: The address is taken or does not exist.
        """
        self._application = application
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jetti-sandbox", daemon=True)

    def start(self) -> None:
        """Return when requests are answered."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Return when all connections are closed and the thread has ended."""
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
        await _settled()
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(list(state.tasks), timeout=_PATIENCE)
        for connection in list(state.connections):
            if isinstance(connection, _Protocol):
                connection.transport.abort()
        await _settled()
        await server.wait_closed()

    async def _tick(self) -> None:
        """Process what is due until the sandbox stops."""
        while not self._application.stopping.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._application.stopping.wait(), _TICK)
            self._application.account.commit_due()
            self._application.inbound.process_due(_RECORDS_A_TICK)


async def _settled() -> None:
    """Let the loop go round until a connection that was just accepted is made, or one that was just cut is lost."""
    for _ in range(5):
        await asyncio.sleep(0)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    It states its protocol: asyncio switches Nagle's algorithm off only where it sees TCP, and
    with it every answer in two parts would wait 40 ms for the client's acknowledgement.
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
