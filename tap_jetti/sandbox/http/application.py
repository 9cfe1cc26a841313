"""The ASGI application: what happens to a request from its arrival to its answer."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Protocol

from tap_jetti.sandbox.calls.inbound import Inbound
from tap_jetti.sandbox.http import faults, limits
from tap_jetti.sandbox.http.control import Control
from tap_jetti.sandbox.http.problems import Problem, Response
from tap_jetti.sandbox.http.request_log import Entry, Ledger
from tap_jetti.sandbox.http.routes import Routes

if TYPE_CHECKING:
    from tap_jetti.sandbox.data.account import Account

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
OnRequest = Callable[[int, str, str], object]

_BEFORE_A_CALL = 2000
"""Inbound records applied before a call of the API: what is due shows, unless very much is."""


class Transport(Protocol):
    """The connection of a request."""

    def abort(self) -> None:
        """Cut it at once."""

    def close(self) -> None:
        """Close it after what was written."""


class Application:
    """Serves one account."""

    def __init__(self, account: Account, ledger: Ledger) -> None:
        """Serve an account and note the requests in a ledger."""
        self.account = account
        self.ledger = ledger
        self.inbound = Inbound(account)
        self.on_request: OnRequest | None = None
        self.stopping = asyncio.Event()
        self._control = Control(account, ledger, self.inbound)
        self._routes = Routes(account, self.inbound)
        self._limits = limits.Limits(account.options.seed)
        self._chance = random.Random(account.options.seed)  # noqa: S311 - not for secrets
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path: str = scope["path"]
        query = scope["query_string"].decode("latin-1")
        body = await _read(receive)
        exchange = _Exchange(scope["sandbox.transport"], receive, send)
        if path.startswith("/_sandbox/"):
            answer = self._control.answer(scope["method"], path, query, body)
            await exchange.send(answer, [])
            return
        options = self.account.options
        travel = (options.latency + options.latency_jitter * self._chance.random()) / 2
        await self._sleep(travel)
        now = self.account.now()
        entry = Entry(now, scope["method"], path, query, _parsed(body))
        entry.cost = 0.0 if entry.inbound else limits.cost(entry.method)
        self.ledger.add(entry)
        self._requests += 1
        if self.on_request is not None:
            self.on_request(self._requests, entry.method, path)
        self.account.commit_due()
        if not entry.inbound:
            self.inbound.process_due(_BEFORE_A_CALL)
        headers = _headers(scope)
        answer, fault, extra = self._decide(entry, headers)
        if fault is not None and fault.kind == "stall":
            await self._sleep(options.stall_seconds)
        if options.date_header:
            date = self.account.now() + options.date_skew
            extra.append(("Date", formatdate(int(date // 1), usegmt=True)))
        await self._sleep(travel)
        if fault is not None and fault.kind.startswith("reset"):
            await exchange.cut()
            return
        entry.status = answer.status
        if fault is not None and fault.kind == "truncated":
            await exchange.send_half(answer, extra)
            return
        await exchange.send(answer, extra)

    def _decide(
        self, entry: Entry, headers: dict[str, str]
    ) -> tuple[Response, faults.Fault | None, list[tuple[str, str]]]:
        """The answer to a request, how it fails, and further headers."""
        options = self.account.options
        extra: list[tuple[str, str]] = []
        if not entry.inbound:
            if headers.get("authorization") != f"Bearer {options.token}":
                return _UNAUTHORIZED.answer(), None, extra
            level = self._limits.take(options, entry.method, entry.time)
            extra = limits.headers(options, level, entry.time)
            if not level.accepted:
                return limits.refusal(options, level, entry.time), None, extra
        fault = faults.choose(options, self._chance)
        answer = None if fault is None else fault.answer(options, entry.time)
        if answer is None:
            answer = self._processed(entry, headers)
        return answer, fault, extra

    def _processed(self, entry: Entry, headers: dict[str, str]) -> Response:
        try:
            return self._routes.answer(entry, headers)
        except Problem as problem:
            return problem.answer()

    async def _sleep(self, seconds: float) -> None:
        """Wait, but not longer than the sandbox runs."""
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except asyncio.TimeoutError:
            return


class _Exchange:
    """The answering side of one request."""

    def __init__(self, transport: Transport, receive: Receive, send: Send) -> None:
        self._transport = transport
        self._receive = receive
        self._send = send

    async def send(self, answer: Response, extra: list[tuple[str, str]]) -> None:
        """Send the whole answer."""
        await self._start(answer, extra)
        await self._send({"type": "http.response.body", "body": answer.body})

    async def send_half(self, answer: Response, extra: list[tuple[str, str]]) -> None:
        """Promise the whole answer, send half of it and hang up."""
        await self._start(answer, extra)
        half = answer.body[: len(answer.body) // 2]
        await self._send({"type": "http.response.body", "body": half, "more_body": True})
        self._transport.close()
        await self._disconnected()

    async def cut(self) -> None:
        """Cut the connection without a word."""
        self._transport.abort()
        await self._disconnected()

    async def _start(self, answer: Response, extra: list[tuple[str, str]]) -> None:
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            *answer.headers,
            *extra,
        ]
        await self._send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [(name.lower().encode(), text.encode()) for name, text in headers],
            }
        )

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


_UNAUTHORIZED = Problem(401, "api.authentication.invalid", "The token is not valid.")


async def _read(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _parsed(body: bytes) -> object:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]}
