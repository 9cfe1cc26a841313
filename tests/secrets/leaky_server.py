"""A server whose answers hold secrets wherever an answer can hold any."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Answer:
    """What is answered instead of rows.

    Attributes:
        status: The status; 0 cuts the connection.
        body: Text, bytes or JSON.
        headers: More headers.
        length: The length that is stated, if it is not that of the body.
        calls: The beginnings of the calls that are answered so: a method and a path.
    """

    status: int
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    calls: tuple[str, ...] = ("GET", "PUT", "POST", "DELETE")


@dataclass
class LeakyServer:
    """Rows, and what is answered instead.

    Attributes:
        rows: By resource as in a path. A request for rows gets all of them.
        headers: Headers of every answer.
        instead: What is answered instead of rows, if anything.
        received: The headers of the calls that arrived.
    """

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    instead: Answer | None = None
    received: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str) -> Answer:
        """The answer to a call."""
        if self.instead is not None and f"{method} {path}".startswith(self.instead.calls):
            return self.instead
        if method != "GET":
            return Answer(200, {})
        resource, _, rest = path.removeprefix("/api/").removesuffix(".json").partition("/")
        if resource not in self.rows:
            return Answer(404, {"title": "api.missing"})
        rows = self.rows[resource]
        return Answer(200, {"count": len(rows)} if rest == "count" else next(iter(rows), {}) if rest else rows)


@contextlib.contextmanager
def leaky_server() -> Iterator[LeakyServer]:
    """Start one."""
    leaky = LeakyServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_call(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            leaky.received.append(f"{self.path}\n{self.headers}")
            answer = leaky.answer(self.command, urlsplit(self.path).path)
            if not answer.status:
                self.close_connection = True
                return
            body = answer.body
            data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(answer.status)
            for name, value in {**leaky.headers, **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data) if answer.length is None else answer.length))
            self.end_headers()
            self.wfile.write(data)
            self.close_connection = answer.length is not None

        do_GET = do_POST = do_PUT = do_DELETE = handle_one_call  # noqa: N815 - the names of the library

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    leaky.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield leaky
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
