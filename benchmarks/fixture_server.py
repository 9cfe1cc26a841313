"""A very fast server, for what is measured without a rate limit.

It implements the part of the API that the readers use: the bearer token, ``where`` on ``updatedAt`` and ``id``,
``order``, ``limit`` (up to 1,000 rows), ``from`` (pages) and ``count.json``. All rows are prepared as text, except for
their id and updatedAt. It reads its orders as JSON lines from standard input, see `servers`, and stops at the end of
the input.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import sys
import threading
import time
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote_plus

from fixture import KINDS, LARGEST_PAGE, TOKEN, index_of, updated_at, wide_fields

_A_DAY = 2880
_END = b"\r\n\r\n"


class Rows:
    """Prepared rows, which become pages on request."""

    def __init__(self) -> None:
        """Prepare what is the same in every response."""
        self.count = 0
        texts = (json.dumps(wide_fields(kind), separators=(",", ":"), ensure_ascii=False) for kind in range(KINDS))
        self._ends = [text[1:].encode() for text in texts]
        self._times = [updated_at(number)[10:].encode() for number in range(_A_DAY)]
        self._days: dict[int, bytes] = {}

    def page(self, start: int, stop: int) -> bytes:
        """The JSON array of the rows from start to stop."""
        texts = []
        for number in range(start, stop):
            day, part = divmod(number, _A_DAY)
            date = self._days.get(day)
            if date is None:
                date = self._days[day] = updated_at(day * _A_DAY)[:10].encode()
            end = self._ends[number % KINDS]
            texts.append(b'{"id":%d,"updatedAt":"%b%b",%b' % (number + 1, date, self._times[part], end))
        return b"[%b]" % b",".join(texts)


class Service:
    """Answers GET requests, and records how many came and when."""

    def __init__(self) -> None:
        """Start without rows."""
        self.rows = Rows()
        self.reset()

    def reset(self) -> None:
        """Forget the requests so far."""
        self.first = self.last = 0.0
        self.gets = self.rows_sent = 0

    def answer(self, target: str, *, allowed: bool) -> tuple[int, bytes]:
        """The status and the body of a response."""
        now = time.time()
        self.first = self.first or now
        self.last = now
        self.gets += 1
        if not allowed:
            return 401, b'{"title":"api.authentication.invalid","status":401}'
        path, _, query = target.partition("?")
        asked = dict(pair.partition("=")[::2] for pair in unquote_plus(query).split("&") if pair)
        if asked.pop("order[attribute]", "id") not in {"id", "updatedAt"}:
            return 400, b'{"title":"api.query.order.invalid","status":400}'
        limit = min(int(asked.pop("limit", "50")), LARGEST_PAGE)
        page = int(asked.pop("from", "0"))
        start, stop = 0, self.rows.count
        for name, text in asked.items():
            field, _, bound = name.removeprefix("where[").removesuffix("]").partition("][")
            if field not in {"id", "updatedAt"} or bound not in {"$gte", "$lte"}:
                return 400, b'{"title":"api.query.where.invalid","status":400}'
            place = int(text) - 1 if field == "id" else index_of(text)
            if bound == "$gte":
                start = max(start, math.ceil(place))
            else:
                stop = min(stop, math.floor(place) + 1)
        if path.endswith("/count.json"):
            return 200, b'{"count":%d}' % max(0, stop - start)
        start = min(start + page * limit, stop) if stop > start else stop
        stop = min(start + limit, stop)
        self.rows_sent += stop - start
        return 200, self.rows.page(start, stop)


class Connection(asyncio.Protocol):
    """One client: HTTP/1.1 with keep-alive, one request at a time."""

    def __init__(self, service: Service) -> None:
        """Answer with what a service returns."""
        self._service = service
        self._waiting = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401, D102 - asyncio's own
        self._transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio's own
        self._waiting += data
        while _END in self._waiting:
            head, _, self._waiting = self._waiting.partition(_END)
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        request, *lines = head.split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        allowed = headers.get(b"authorization") == b"Bearer " + TOKEN.encode()
        status, body = self._service.answer(request.split(b" ")[1].decode("latin-1"), allowed=allowed)
        date = formatdate(time.time() // 1, usegmt=True).encode()
        self._transport.writelines(
            [
                b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nDate: %b\r\nContent-Length: %d\r\n\r\n"
                % (status, date, len(body)),
                body,
            ]
        )
        if headers.get(b"connection") == b"close":
            self._transport.close()


def obey(service: Service, loop: asyncio.AbstractEventLoop) -> None:
    """Obey the lines of standard input."""
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        reply: object = None
        if order["do"] == "fill":
            service.rows.count = order["rows"]
        elif order["do"] == "reset":
            service.reset()
        elif order["do"] == "look":
            reply = {"first": service.first, "last": service.last, "gets": service.gets, "rows": service.rows_sent}
        print(json.dumps({"reply": reply}), flush=True)
    loop.call_soon_threadsafe(loop.stop)


def main() -> None:
    """Serve until standard input ends."""
    service = Service()
    loop = asyncio.new_event_loop()
    # Without the protocol asyncio would not switch off Nagle's algorithm.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    loop.run_until_complete(loop.create_server(lambda: Connection(service), sock=listening))
    threading.Thread(target=obey, args=(service, loop), daemon=True).start()
    print(json.dumps({"reply": f"http://127.0.0.1:{listening.getsockname()[1]}/api/"}), flush=True)
    loop.run_forever()


if __name__ == "__main__":
    main()
