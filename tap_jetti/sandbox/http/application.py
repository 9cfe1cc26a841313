"""The ASGI application: what happens to a request from its arrival to its response."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING

from tap_jetti.sandbox.calls.inbound import Inbound
from tap_jetti.sandbox.http import faults, limits
from tap_jetti.sandbox.http.control import Control
from tap_jetti.sandbox.http.exchange import Exchange
from tap_jetti.sandbox.http.problems import Problem, Response
from tap_jetti.sandbox.http.request_log import LoggedRequest, RequestLog
from tap_jetti.sandbox.http.routes import Routes

if TYPE_CHECKING:
    from tap_jetti.sandbox.data.account import Account
    from tap_jetti.sandbox.http.exchange import Receive, Scope, Send

OnRequest = Callable[[int, str, str], object]

_INBOUND_PER_CALL = 2000
"""Maximum number of due inbound records that are applied before a call of the API is processed."""


class Application:
    """Serves one account."""

    def __init__(self, account: Account, request_log: RequestLog) -> None:
        """Serve an account, and add every request to a request log."""
        self.account = account
        self.request_log = request_log
        self.inbound = Inbound(account)
        self.on_request: OnRequest | None = None
        self.stopping = asyncio.Event()
        self._control = Control(account, request_log, self.inbound)
        self._routes = Routes(account, self.inbound)
        self._limits = limits.Limits(account.options.seed)
        self._rng = random.Random(account.options.seed)  # noqa: S311 - not for secrets
        self._requests = 0
        self._frozen_at: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        path: str = scope["path"]
        query = scope["query_string"].decode("latin-1")
        body = await _read(receive)
        exchange = Exchange(scope["sandbox.transport"], receive, send)
        if path.startswith("/_sandbox/"):
            response = self._control.respond(scope["method"], path, query, body)
            await exchange.send(response, [])
            return
        options = self.account.options
        one_way_latency = (options.latency + options.latency_jitter * self._rng.random()) / 2
        await self._sleep(one_way_latency)
        now = self.account.now()
        entry = LoggedRequest(now, scope["method"], path, query, _parsed(body))
        entry.cost = 0.0 if entry.inbound else limits.cost(entry.method)
        self.request_log.add(entry)
        self._requests += 1
        if self.on_request is not None:
            self.on_request(self._requests, entry.method, path)
        self.account.commit_due()
        if not entry.inbound:
            self.inbound.process_due(_INBOUND_PER_CALL)
        headers = _headers(scope)
        response, fault, extra_headers = self._decide(entry, headers)
        if fault is not None and fault.kind == "stall":
            await self._sleep(options.stall_seconds)
        if options.date_header:
            now = self.account.now()
            self._frozen_at = (self._frozen_at or now) if options.freeze_date else None
            date = (self._frozen_at or now) + options.date_skew
            extra_headers.append(("Date", formatdate(int(date // 1), usegmt=True)))
        await self._sleep(one_way_latency)
        if fault is not None and fault.kind.startswith("reset"):
            await exchange.cut()
            return
        entry.status = response.status
        exchange.send_interim(options.interim_responses)
        kind = "" if fault is None else fault.kind
        if kind == "truncated":
            await exchange.send_half(response, extra_headers)
        elif kind == "drip-head":
            await exchange.drip_head(response, extra_headers, lambda: self._sleep(options.drip_seconds))
        elif kind == "drip-body":
            await exchange.drip_body(response, extra_headers, lambda: self._sleep(options.drip_seconds))
        else:
            await exchange.send(response, extra_headers)

    def _decide(
        self, entry: LoggedRequest, headers: dict[str, str]
    ) -> tuple[Response, faults.Fault | None, list[tuple[str, str]]]:
        """The response to a request, the fault to simulate, if any, and additional headers."""
        options = self.account.options
        extra_headers: list[tuple[str, str]] = []
        if not entry.inbound:
            if headers.get("authorization") != f"Bearer {options.token}":
                return _UNAUTHORIZED.response(), None, extra_headers
            level = self._limits.take(options, entry.method, entry.time)
            extra_headers = limits.headers(options, level, entry.time)
            if not level.accepted:
                return limits.refusal(options, level, entry.time), None, extra_headers
        fault = faults.choose(options, self._rng)
        response = None if fault is None else fault.response(options, entry.time)
        if response is None:
            response = self._process(entry, headers)
        return response, fault, extra_headers

    def _process(self, entry: LoggedRequest, headers: dict[str, str]) -> Response:
        try:
            return self._routes.respond(entry, headers)
        except Problem as problem:
            return problem.response()

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but end at once when the sandbox stops."""
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except asyncio.TimeoutError:
            return


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
