"""Answers of the sandbox, and the problems (RFC 7807) among them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
HTML_PAGE = b"<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"


@dataclass
class Response:
    """What is sent back for one request."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)


class Problem(Exception):  # noqa: N818 - the word of RFC 7807
    """A refusal with a problem body.

    Args:
        status: The HTTP status.
        title: A dotted code, such as ``api.channels.process_sale.missing``.
        detail: A sentence for people.
        details: Further values.
    """

    def __init__(self, status: int, title: str, detail: str, **details: object) -> None:
        """Keep the parts of the body."""
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.details = details

    def body(self, status: int | None = None) -> dict[str, Any]:
        """The problem as it goes over the wire, under another status if one is given."""
        return {
            "type": f"https://problems.jetti.io/details#{self.title}",
            "title": self.title,
            "status": status or self.status,
            "detail": self.detail,
            "details": self.details,
        }

    def answer(self, status: int | None = None) -> Response:
        """The problem as an answer, under another status if one is given."""
        return as_json(self.body(status), status or self.status)


def as_json(value: object, status: int = 200) -> Response:
    """An answer with a JSON body."""
    return Response(status, json.dumps(value, separators=(",", ":")).encode())


def html(status: int) -> Response:
    """A page of HTML, as proxies send."""
    return Response(status, HTML_PAGE, HTML)
