"""Routing: which method and path leads to which read or write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.sandbox.calls import custom_values, writes
from tap_jetti.sandbox.data import models
from tap_jetti.sandbox.data.reading import Reader
from tap_jetti.sandbox.http import brackets
from tap_jetti.sandbox.http.problems import Problem, Response, as_json

if TYPE_CHECKING:
    from tap_jetti.sandbox.calls.inbound import Inbound
    from tap_jetti.sandbox.data.account import Account
    from tap_jetti.sandbox.http.request_log import LoggedRequest

_HASH_HEADER = "jetti-webhook-hash"
_NO_ROUTE = "api.route.missing"


class Routes:
    """Dispatches the requests of one account."""

    def __init__(self, account: Account, inbound: Inbound) -> None:
        """Dispatch the requests of an account and its inbound queue."""
        self._account = account
        self._inbound = inbound
        self._reader = Reader(account.database, account.options, account.random)

    def respond(self, entry: LoggedRequest, headers: dict[str, str]) -> Response:
        """The response to a request.

        Raises:
            Problem: The request is refused.
        """
        options = self._account.options
        if options.redirect_to and not entry.inbound:
            return Response(302, b"", headers=[("Location", options.redirect_to)])
        length = len(entry.path) + len(entry.query)
        if options.refuse_long_url and length > options.refuse_long_url:
            return Response(414, b"URI Too Long", "text/plain")
        body = entry.body if "json" in headers.get("content-type", "") else None
        if entry.inbound:
            return self._accept(entry, headers.get(_HASH_HEADER, ""), body)
        name, *rest = _parts(entry.path, "/api/")
        resource = name.replace("-", "_")
        if "_" in name or not models.known(resource) or resource in options.missing:
            raise _no_route(entry)
        if resource in options.forbidden:
            raise Problem(403, "api.role.forbidden", f"The role of the token has no {resource}.")
        if entry.method == "GET":
            return self._read(entry, resource, rest)
        try:
            return as_json(self._write(entry, resource, rest, body))
        except Problem as problem:
            # A path that does not exist is no business error, whose status the library would default to 500.
            is_business = problem.title != _NO_ROUTE
            return problem.response(500 if is_business and options.permanent_errors == "500" else None)

    def _read(self, entry: LoggedRequest, resource: str, rest: list[str]) -> Response:
        is_limited = self._account.options.refuse_attributes == "many"
        query = brackets.parse(entry.query, most_indexed=brackets.MOST_INDEXED if is_limited else None)
        if not rest:
            return self._reader.page(resource, query)
        if rest == ["count"]:
            return self._reader.count(resource, query)
        if len(rest) == 1 and rest[0].isdecimal():
            return self._reader.one(resource, int(rest[0]), query)
        raise _no_route(entry)

    def _write(self, entry: LoggedRequest, resource: str, rest: list[str], body: object) -> object:
        account = self._account
        if not rest and entry.method == "POST" and resource in writes.CREATED:
            return writes.create(account, resource, body)
        if not rest or not rest[0].isdecimal():
            raise _no_route(entry)
        row_id = int(rest[0])
        if len(rest) == 1 and entry.method == "PUT":
            return writes.update(account, resource, row_id, body)
        call = (entry.method, resource, "/".join(rest[1:]))
        if call[2] in writes.disabled(account):
            raise _no_route(entry)
        if call in writes.WRITES:
            return writes.WRITES[call](account, row_id, body)
        if call in writes.QUEUED:
            account.get(resource, row_id)
            self._inbound.submit(writes.QUEUED[call](account, row_id, body))
            return {}
        if call[::2] == ("PUT", "sync-custom-fields") and resource in writes.with_custom_fields():
            return custom_values.sync(account, resource, row_id, body)
        raise _no_route(entry)

    def _accept(self, entry: LoggedRequest, secret: str, body: object) -> Response:
        """Accept inbound records: the response is 200 even if they are invalid, as on the real inbound host."""
        kind, *rest = _parts(entry.path, "/webhooks/")
        queue = writes.INBOUND.get((entry.method, kind, "/".join(rest)))
        if queue is None:
            raise _no_route(entry)
        owner = self._owner(kind, secret)
        if owner is None:
            self._inbound.log.append("The webhook hash is unknown.")
            if self._account.options.refuse_unknown_hash:
                raise Problem(401, "inbound.hash.unknown", "The webhook hash is unknown.")
            return as_json({})
        try:
            self._inbound.submit(queue(self._account, owner, body))
        except Problem as problem:
            self._inbound.log.append(str(problem))
        return as_json({})

    def _owner(self, kind: str, secret: str) -> int | None:
        """The id of the feed or channel that a hash identifies."""
        if kind == "inventory-feeds":
            feed = self._account.find("inventory_feeds", hash=secret)
            return int(feed["id"]) if feed else None
        custom = self._account.find("custom_channels", webhookHash=secret)
        if custom is not None:
            return int(custom["channelId"])
        channel = self._account.find("channels", hash=secret)
        return int(channel["id"]) if channel else None


def _parts(path: str, prefix: str) -> list[str]:
    if not path.startswith(prefix) or not path.endswith(".json"):
        return [""]
    return path.removeprefix(prefix).removesuffix(".json").split("/")


def _no_route(entry: LoggedRequest) -> Problem:
    return Problem(404, _NO_ROUTE, f"There is no {entry.method} {entry.path}.")
