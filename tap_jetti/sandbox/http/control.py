"""The control endpoints under ``/_sandbox/``, for other processes: they are not part of the API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tap_jetti.facts import resources
from tap_jetti.sandbox.http.problems import Response, as_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.sandbox.calls.inbound import Inbound
    from tap_jetti.sandbox.data.account import Account
    from tap_jetti.sandbox.http.request_log import RequestLog


class Control:
    """Inspects and changes a sandbox. Its requests are not rate limited and not in the request log."""

    def __init__(self, account: Account, request_log: RequestLog, inbound: Inbound) -> None:
        """Control an account, its request log and its inbound queue."""
        self._account = account
        self._request_log = request_log
        self._inbound = inbound

    def respond(self, method: str, path: str, query: str, body: bytes) -> Response:
        """The response to one request: 400 if a value is invalid, 404 if the call is unknown."""
        name, _, rest = path.removeprefix("/_sandbox/").partition("/")
        try:
            return as_json(self._value(f"{method} {name}", rest, query, json.loads(body or b"{}")))
        except LookupError as error:
            return as_json({"error": f"Unknown call or key: {error}."}, 404)
        except (ValueError, TypeError) as error:
            return as_json({"error": str(error)}, 400)

    def _value(self, call: str, rest: str, query: str, body: dict[str, Any]) -> object:
        calls: dict[str, Callable[[], object]] = {
            "GET counts": lambda: {name: self._account.count(name) for name in resources.names()},
            "GET requests": lambda: self._request_log.summary(float(parse_qs(query).get("since", ["0"])[0])),
            "GET rows": lambda: self._account.rows(rest.replace("-", "_")),
            "POST touch": lambda: self._touch(body),
            "POST options": lambda: self._change(body),
            "POST reset-requests": self._request_log.clear,
            "POST settle": self._settle,
        }
        return calls[call]()

    def _touch(self, body: dict[str, Any]) -> object:
        resource = body["resource"].replace("-", "_")
        ids = body["ids"] if "ids" in body else self._account.database.ids(resource)
        return {"touched": self._account.touch(resource, ids, body.get("at"))}

    def _change(self, body: dict[str, Any]) -> object:
        for name, value in body.items():
            setattr(self._account.options, name, value)
        return {"changed": sorted(body)}

    def _settle(self) -> object:
        self._inbound.settle()
        return {"log": list(self._inbound.log)}
