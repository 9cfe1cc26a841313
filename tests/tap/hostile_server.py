"""A server that obeys the API's contract and uses the freedoms that it leaves.

The sandbox is a likely Jetti. This one is the worst that still keeps the contract: any prefix of a page at any time,
counts of every kind, clocks of every kind, rows that change between any two requests.
"""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from tap_jetti.facts.timestamps import from_epoch, normalise, to_epoch

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

MICROSECONDS = 1_000_000

WRITE_FIELDS = {"products": "name", "vendors": "name"}
"""The text field that tells the write, where it is not ``externalId``."""


@dataclass
class Freedoms:
    """What the server does; each default is that of a friendly one.

    Attributes:
        prefix: The share of pages of which only a random prefix is given, perhaps nothing.
        cap: Rows per page at most, by resource; "" stands for all others. 0: as many as were asked for.
        cap_bytes: Bytes of a page at most; 0: any number.
        count: right, missing, low, zero, high or stale.
        microseconds: Whether dates are stored more precisely than they are shown.
        text_ids: Whether ids are shown as text.
        ignores_descending: Whether a descending order is ignored.
        surplus: Rows given beyond the limit.
        refuses_above: Rows asked for that are refused with a 400; 0: none are.
        refuses_attributes: Whether a list of fields is refused.
        date: The Date header: right, missing, 1970, frozen or local (two hours ahead).
        faults: The share of requests that are answered with a 429, a 503, or a page of HTML.
        churn: The share of requests after which a row changes.
        late: Seconds by which a changed row is committed late at most.
        latency: Seconds before an answer.
    """

    prefix: float = 0.0
    cap: dict[str, int] = field(default_factory=dict)
    cap_bytes: int = 0
    count: str = "right"
    microseconds: bool = True
    text_ids: bool = False
    ignores_descending: bool = False
    surplus: int = 0
    refuses_above: int = 0
    refuses_attributes: bool = False
    date: str = "right"
    faults: float = 0.0
    churn: float = 0.0
    late: float = 0.0
    latency: float = 0.0


@dataclass(frozen=True)
class Row:
    """One state of a row: when it was stored, in microseconds since the epoch, and which write made it."""

    updated: int
    write: int


class HostileServer:
    """Tables behind a real HTTP server.

    Attributes:
        tables: The committed rows by resource (as in paths) and id.
        requests: The paths with their queries, in their order.
        script: Called with the number, the resource and the query of each request; what it returns is the answer:
            a status and a body. None: the server answers by itself.
        ahead: Seconds by which the server's clock is ahead of this machine's.
    """

    def __init__(self, freedoms: Freedoms | None = None, *, seed: int = 1) -> None:
        self.freedoms = freedoms or Freedoms()
        self.chance = random.Random(seed)
        self.tables: dict[str, dict[int, Row]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.script: Callable[[int, str, dict[str, str]], tuple[int, Any] | None] | None = None
        self.ahead = 0.0
        self.is_quiet = False
        self._writes = 0
        self._waiting: list[tuple[float, str, int, Row]] = []
        self._counted: dict[str, int] = {}
        self._started = time.time()
        self._lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.api_url = f"http://127.0.0.1:{self._server.server_address[1]}/api/"

    def __enter__(self) -> Self:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """End to answer."""
        self._server.shutdown()
        self._server.server_close()

    # The rows.

    def now(self) -> float:
        """The server's clock."""
        return time.time() + self.ahead

    def put(self, resource: str, row_id: int, updated: float, *, late: float = 0.0) -> None:
        """Store a row, committed so many seconds later."""
        with self._lock:
            self._writes += 1
            micros = int(updated * 1000) * 1000
            micros += self.chance.randrange(1000) if self.freedoms.microseconds else 0
            row = Row(micros, self._writes)
            if late:
                self._waiting.append((self.now() + late, resource, row_id, row))
            else:
                self.tables.setdefault(resource, {})[row_id] = row

    def fill(self, resource: str, dates: list[float]) -> None:
        """Store rows with the ids 1, 2, 3 …, changed at these dates."""
        self.tables[resource] = {}
        for number, date in enumerate(dates):
            self.put(resource, number + 1, date)

    def commit(self, *, everything: bool = False) -> None:
        """Commit what is due."""
        with self._lock:
            due = [one for one in self._waiting if everything or one[0] <= self.now()]
            self._waiting = [one for one in self._waiting if one not in due]
            for _, resource, row_id, row in due:
                table = self.tables.setdefault(resource, {})
                if row_id not in table or table[row_id].write < row.write:
                    table[row_id] = row

    def change(self, resource: str) -> None:
        """Insert, delete or update rows now."""
        with self._lock:
            table, kind = self.tables.setdefault(resource, {}), self.chance.random()
            late = self.chance.random() * self.freedoms.late
            if kind < 0.3 or not table:
                waiting = [row_id for _, name, row_id, _ in self._waiting if name == resource]
                self.put(resource, max([*table, *waiting], default=0) + 1, self.now(), late=late)
            elif kind < 0.5:
                del table[self.chance.choice(list(table))]
            elif kind < 0.6:
                date = self.now()
                for row_id in self.chance.sample(list(table), self.chance.randrange(len(table) + 1)):
                    self.put(resource, row_id, date)
            else:
                self.put(resource, self.chance.choice(list(table)), self.now(), late=late)

    # The answers.

    def _answer(self, resource: str, query: dict[str, str]) -> tuple[int, Any]:
        freedoms = self.freedoms
        self.commit()
        if not self.is_quiet and self.chance.random() < freedoms.churn:
            self.change(resource.partition("/")[0])
        if self.chance.random() < freedoms.faults:
            return self.chance.choice([(429, "<html>slow down</html>"), (503, "{}"), (200, "<html>Welcome</html>")])
        name, _, is_count = resource.partition("/")
        if name not in self.tables:
            return 404, {"title": "api.not_found", "status": 404}
        found = [one for one in self.tables[name].items() if matches(query, *one)]
        if is_count:
            return self._count(name + str(sorted(query.items())), len(found))
        limit = int(query.get("limit", 50))
        if freedoms.refuses_above and limit > freedoms.refuses_above:
            return 400, {"title": "api.limit.invalid", "status": 400}
        if freedoms.refuses_attributes and any(key.startswith("attributes") for key in query):
            return 400, {"title": "api.attributes.invalid", "status": 400}
        self.chance.shuffle(found)  # rows with equal keys come in another order each time
        if query.get("order[attribute]") == "id":
            descending = query.get("order[descending]") == "true" and not freedoms.ignores_descending
            found.sort(key=lambda one: one[0], reverse=descending)
        else:
            found.sort(key=lambda one: one[1].updated)
        found = found[int(query.get("from", 0)) * limit :]
        most = limit + freedoms.surplus
        cap = freedoms.cap.get(name, freedoms.cap.get("", 0))
        most = min(most, cap or most)
        if freedoms.cap_bytes:
            most = min(most, max(1, freedoms.cap_bytes // self.chance.randrange(60, 120)))
        if not self.is_quiet and self.chance.random() < freedoms.prefix:
            most = min(most, self.chance.randrange(most + 1))
        return 200, [self.shown(name, *one) for one in found[:most]]

    def _count(self, question: str, right: int) -> tuple[int, Any]:
        kind = "right" if self.is_quiet and self.freedoms.count != "missing" else self.freedoms.count
        if kind == "missing":
            return 404, {"title": "api.not_found", "status": 404}
        if kind == "stale":
            right = self._counted.setdefault(question, right)
        lies = {"low": max(0, right - self.chance.randrange(3)), "high": right + self.chance.randrange(3)}
        lies["zero"] = self.chance.choice([0, right])
        return 200, {"count": lies.get(kind, right)}

    def shown(self, resource: str, row_id: int, row: Row) -> dict[str, Any]:
        """A row as it is shown: dates cut to milliseconds. Its text tells the write that made it."""
        date = shown_date(row.updated)
        return {
            "id": str(row_id) if self.freedoms.text_ids else row_id,
            "createdAt": "2020-01-01T00:00:00.000Z",
            "updatedAt": date,
            WRITE_FIELDS.get(resource, "externalId"): str(row.write),
        }

    def _date(self) -> str | None:
        kind = self.freedoms.date
        if kind == "missing":
            return None
        seconds = {"1970": 10.0, "frozen": self._started + self.ahead - 7200, "local": self.now() + 7200}
        return formatdate(int(seconds.get(kind, self.now())), usegmt=True)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                resource = parts.path.removeprefix("/api/").removesuffix(".json")
                query = dict(parse_qsl(parts.query))
                with server._lock:
                    server.requests.append((resource, query))
                    scripted = server.script and server.script(len(server.requests), resource, query)
                    status, body = scripted or server._answer(resource, query)
                    date = server._date()
                time.sleep(server.freedoms.latency)
                content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                with suppress(ConnectionError):  # the tap has gone
                    self._send(status, content, date)

            def _send(self, status: int, content: bytes, date: str | None) -> None:
                self.send_response_only(status)
                if date is not None:
                    self.send_header("Date", date)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: a tap that was killed closes its connections."""


def shown_date(micros: int) -> str:
    """A stored date as the API shows it: cut to milliseconds."""
    return from_epoch(micros // 1000 / 1000 + 0.0001)


def matches(query: dict[str, str], row_id: int, row: Row) -> bool:
    """Whether a row is in the ranges of a query."""
    for name, value in (("id", row_id), ("updatedAt", row.updated)):
        for operator, sign in (("$gte", 1), ("$lte", -1)):
            wanted = query.get(f"where[{name}][{operator}]")
            if wanted is not None:
                limit = int(wanted) if name == "id" else round(to_epoch(normalise(wanted)) * MICROSECONDS)
                if sign * (value - limit) < 0:
                    return False
    return True
