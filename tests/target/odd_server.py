"""A server that keeps to what is documented of Jetti and uses every freedom that leaves, each at a test's choice."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CONDITION = re.compile(r"where\[(\w+)\](?:\[(\$\w+)\])?(?:\[\d*\])?")


@dataclass
class Call:
    """One request that arrived."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any


_NUMBERS = itertools.count()
"""A server may get the port of an earlier one. Its token tells the ledger that it is another account."""


@dataclass
class OddServer:
    """Rows to read, and what a test wants to be answered otherwise.

    Attributes:
        rows: By resource as in a path; values as they are shown, ids as numbers or text.
        page: Rows of a list at most.
        answer: Answers a call instead, with a status and a body; None leaves it to the rows. A
            body that is bytes goes out as it is, and a status of 0 cuts the connection.
        calls: What arrived, in order.
    """

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    page: int = 100
    answer: Callable[[Call], tuple[int, Any] | None] = lambda _call: None
    calls: list[Call] = field(default_factory=list)
    url: str = ""
    token: str = field(default_factory=lambda: f"odd-token-{next(_NUMBERS)}")

    @property
    def api_url(self) -> str:
        """The base of the API."""
        return f"{self.url}/api/"

    @property
    def inbound_url(self) -> str:
        """The base of the inbound API."""
        return f"{self.url}/webhooks/"

    @property
    def writes(self) -> list[tuple[str, str, Any]]:
        """Method, path and body of each call that is no GET."""
        return [(call.method, call.path, call.body) for call in self.calls if call.method != "GET"]

    def settle(self) -> None:
        """Nothing waits here."""

    def respond(self, call: Call) -> tuple[int, Any]:
        """The answer to a call."""
        told = self.answer(call)
        if told is not None:
            return told
        if call.method != "GET":
            return 200, b""
        resource, _, rest = call.path.removeprefix("/api/").removesuffix(".json").partition("/")
        if resource not in self.rows:
            return 404, {"title": "api.missing"}
        found = [row for row in self.rows[resource] if all(_meets(row, *one) for one in _conditions(call.query))]
        if rest == "count":
            return 200, {"count": len(found)}
        if rest:
            one = [row for row in found if str(row["id"]) == rest]
            return (200, one[0]) if one else (404, {"title": "api.missing"})
        limit = int(dict(call.query).get("limit", 50))
        return 200, sorted(found, key=lambda row: int(row["id"]))[: min(limit, self.page)]


def _conditions(query: list[tuple[str, str]]) -> Iterator[tuple[str, str, list[str]]]:
    found: dict[tuple[str, str], list[str]] = {}
    for name, value in query:
        matched = _CONDITION.fullmatch(name)
        if matched:
            found.setdefault((matched[1], matched[2] or "$in"), []).append(value)
    return ((name, operator, values) for (name, operator), values in found.items())


def _meets(row: dict[str, Any], name: str, operator: str, values: list[str]) -> bool:
    if operator == "$in":
        return str(row.get(name)) in values
    limit, value = values[0], str(row[name])
    if limit.isdecimal():
        return int(value) >= int(limit) if operator == "$gte" else int(value) <= int(limit)
    return value >= limit if operator == "$gte" else value <= limit


@contextlib.contextmanager
def odd_server(**choices: Any) -> Iterator[OddServer]:
    """Start one."""
    odd = OddServer(**choices)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_call(self) -> None:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            call = Call(
                self.command,
                parts.path,
                parse_qsl(parts.query, keep_blank_values=True),
                dict(self.headers.items()),
                json.loads(content) if content else None,
            )
            odd.calls.append(call)
            status, body = odd.respond(call)
            if not status:
                self.close_connection = True
                return
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = handle_one_call  # noqa: N815 - the names of the library

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    odd.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield odd
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
