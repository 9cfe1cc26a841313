"""Servers that send prepared bytes slowly, piece by piece."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

PAUSE = 0.02
"""Seconds between two pieces."""


@contextlib.contextmanager
def dripping(pieces: Iterable[bytes], *, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve the same bytes on every connection, whatever is asked, one piece after the other; yields the port."""
    over = threading.Event()
    parts = list(pieces)
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            encrypted = context.wrap_socket(connection, server_side=True) if context else connection
            with encrypted:
                encrypted.recv(65_536)
                for piece in parts:
                    encrypted.sendall(piece)
                    if over.wait(PAUSE):
                        return

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                thread = threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True)
                threads.append(thread)
                thread.start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()
