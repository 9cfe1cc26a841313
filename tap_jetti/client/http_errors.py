"""From a failed request to an error of `tap_jetti.errors`: by HTTP status, or by what the HTTP library raised."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, IncompleteRead, NewConnectionError

from tap_jetti.errors import (
    AuthenticationError,
    ClientError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RequestError,
    RetriableError,
    ServerError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_BY_STATUS: dict[int, tuple[type[RequestError], str, str | None]] = {
    401: (AuthenticationError, "Jetti refused the token", "Create a token under Integrations > Api and set api_token"),
    403: (
        ForbiddenError,
        "The token does not have permission for this",
        "Give the role of the API user access to it, or deselect the stream",
    ),
    404: (NotFoundError, "Not found", "Check api_url, and that the account has this resource"),
    408: (ServerError, "Jetti timed out while it read the request", None),
    414: (ClientError, "Jetti refused the request", "Select fewer fields"),
    429: (
        RateLimitedError,
        "Rate limit exceeded",
        "If another client uses the limit of this account, lower rate_limit to leave it a share",
    ),
}
"""The error, what failed, and what to do, of each status that means something of its own."""

_MAX_TEXT_LENGTH = 300
"""Characters of a title or detail that are kept."""

_CONNECT_ERRORS = (requests.ConnectTimeout, NewConnectionError, ConnectTimeoutError)
"""What is raised only before a request is sent."""


def error_from_response(
    status: int, body: bytes, *, method: str, path: str, retry_after: float | None = None
) -> RequestError:
    """The error that a response outside 2xx stands for.

    Args:
        status: The HTTP status.
        body: The body. Of an RFC 7807 problem, only ``title`` and ``detail`` are used.
        method: The HTTP method of the request.
        path: The path of the request, without its query.
        retry_after: Seconds that the header ``Retry-After`` asks for.
    """
    kind, what, advice = _BY_STATUS.get(status) or _by_class_of_status(status)
    title, detail = _title_and_detail(body)
    error = kind(what, method=method, path=path, status=status, title=title, detail=detail, advice=advice)
    if isinstance(error, RetriableError):
        error.retry_after = retry_after
    return error


def _by_class_of_status(status: int) -> tuple[type[RequestError], str, str | None]:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerError, "Server error", None
    if status >= HTTPStatus.BAD_REQUEST:
        return ClientError, "Jetti refused the request", None
    return ClientError, "Unexpected response", "Check that api_url is the base URL of the API"


def _title_and_detail(body: bytes) -> tuple[str | None, str | None]:
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(problem, dict):
        return None, None
    title, detail = (
        value[:_MAX_TEXT_LENGTH] if isinstance(value := problem.get(key), str) and value else None
        for key in ("title", "detail")
    )
    return title, detail if detail != title else None


def error_from_exception(error: Exception, *, received_bytes: int, method: str, url: str) -> RequestError:
    """The error that an exception of `requests` or `urllib3` stands for.

    Its message names the host and the path. The messages of the libraries are not used: they contain the query.

    Args:
        error: What was raised.
        received_bytes: Bytes of the body that were received before.
        method: The HTTP method of the request.
        url: The URL of the request.
    """
    parts = urlsplit(url)
    host, path = parts.hostname or "", parts.path
    # The libraries wrap each other's exceptions, and which of them is outermost depends on when it failed.
    causes = list(_causes(error))
    if any("CERTIFICATE_VERIFY_FAILED" in str(cause) for cause in causes):
        return RequestError(
            f"The TLS certificate of {host} is not trusted; nothing was sent",
            method=method,
            path=path,
            advice="Check api_url, or set REQUESTS_CA_BUNDLE to the file of your certificate authority",
        )
    if any(isinstance(cause, _CONNECT_ERRORS) for cause in causes):
        return TransportError(
            f"Cannot connect to {host}: unknown host, connection refused, or no response in time",
            may_have_arrived=False,
            method=method,
            path=path,
        )
    received_bytes = max([received_bytes, *(cause.partial for cause in causes if isinstance(cause, IncompleteRead))])
    is_timeout = any(isinstance(cause, (requests.Timeout, TimeoutError)) for cause in causes)
    what = f"{'Timed out' if is_timeout else 'Connection lost'} after {received_bytes} bytes from {host}"
    return TransportError(what, may_have_arrived=True, method=method, path=path)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and all that it wraps: by chaining, as an argument, or as the `reason` of a connection pool."""
    waiting, seen = [error], set[int]()
    while waiting:
        cause = waiting.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
