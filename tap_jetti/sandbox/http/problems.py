"""Responses of the sandbox, and problems (RFC 7807) among them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
HTML_PAGE = b"<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"


@dataclass
class Response:
    """The response to one request."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)


class Problem(Exception):  # noqa: N818 - the word of RFC 7807
    """A request is refused, with a problem as the body of the response.

    Args:
        status: The HTTP status.
        title: A dotted code, such as ``api.channels.process_sale.missing``.
        detail: A sentence that explains it.
        details: Additional values for the body.
    """

    def __init__(self, status: int, title: str, detail: str, **details: object) -> None:
        """Keep the parts of the body."""
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.details = details

    def body(self, status: int | None = None) -> dict[str, Any]:
        """The JSON body, with another status if one is given."""
        return {
            "type": f"https://problems.jetti.io/details#{self.title}",
            "title": self.title,
            "status": status or self.status,
            "detail": self.detail,
            "details": self.details,
        }

    def response(self, status: int | None = None) -> Response:
        """The problem as a response, with another status if one is given."""
        return as_json(self.body(status), status or self.status)


def as_json(value: object, status: int = 200) -> Response:
    """A response with a JSON body."""
    return Response(status, json.dumps(value, separators=(",", ":")).encode())


def html(status: int) -> Response:
    """A response with a page of HTML, as proxies send."""
    return Response(status, HTML_PAGE, HTML)
