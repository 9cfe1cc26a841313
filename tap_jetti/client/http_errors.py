"""From a failed request to an error of `tap_jetti.errors`: by HTTP status, or by what the HTTP library raised."""

from __future__ import annotations

import http.client
import json
import os
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    IncompleteRead,
    InvalidHeader,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
)
from urllib3.exceptions import DecodeError as CannotDecode

from tap_jetti.client.bounded_response import MAX_HEAD_BYTES, MAX_RESPONSE_BYTES, TooManyBytesError
from tap_jetti.errors import (
    AuthenticationError,
    ClientError,
    DecodeError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RequestError,
    ResponseTooLargeError,
    RetriableError,
    ServerError,
    TransportError,
)
from tap_jetti.facts.redaction import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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

_MAX_PROBLEM_BYTES = 1 << 20
"""Longest body of a failure that is parsed."""

_HANDSHAKE = re.compile(
    r"\bSSL: (WRONG_VERSION_NUMBER|UNSUPPORTED_PROTOCOL|NO_PROTOCOLS_AVAILABLE|HTTP_REQUEST|NO_SHARED_CIPHER"
    r"|\w+_ALERT_HANDSHAKE_FAILURE|\w+_ALERT_PROTOCOL_VERSION|\w+_UNRECOGNIZED_NAME|\w+_ALERT_INSUFFICIENT_SECURITY)"
)
"""What OpenSSL says if a handshake fails for another reason than the certificate, so that no request was sent."""

_REFUSED_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""What the standard library says if a proxy refuses."""


class _Place(TypedDict):
    """Which request failed, as errors take it."""

    method: str
    path: str


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
    return ClientError, "Unexpected response", None


def _title_and_detail(body: bytes) -> tuple[str | None, str | None]:
    if len(body) > _MAX_PROBLEM_BYTES:
        return None, None
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(problem, dict):
        return None, None
    title, detail = (
        shortened(value, _MAX_TEXT_LENGTH) if isinstance(value := problem.get(key), str) and value else None
        for key in ("title", "detail")
    )
    return title, detail if detail != title else None


def error_from_exception(
    error: Exception, *, received_bytes: int, method: str, url: str, setting: str = "api_url"
) -> RequestError:
    """The error that an exception of `requests` or `urllib3` stands for.

    Its message names the host and the path. The messages of the libraries are not used: they contain the query.

    Args:
        error: What was raised.
        received_bytes: Bytes of the body that were received before.
        method: The HTTP method of the request.
        url: The URL of the request.
        setting: The setting that names the host.
    """
    parts = urlsplit(url)
    host, place = parts.hostname or "", _Place(method=method, path=parts.path)
    # The libraries wrap each other's exceptions, and which of them is outermost depends on when it failed.
    causes = list(_causes(error))
    return _connection_error(causes, host, setting, place) or _response_error(causes, received_bytes, host, place)


def _connection_error(causes: Sequence[BaseException], host: str, setting: str, place: _Place) -> RequestError | None:
    """The error if there was no connection, so that nothing was sent."""
    if any("CERTIFICATE_VERIFY_FAILED" in str(cause) for cause in causes):
        return RequestError(
            f"The TLS certificate of {host} is not trusted; nothing was sent",
            advice=f"Check {setting}, or set REQUESTS_CA_BUNDLE to the file of your certificate authority",
            **place,
        )
    refusals = [found[1] for found in map(_HANDSHAKE.search, map(str, causes)) if found]
    if refusals:
        reason = refusals[0].lower().replace("_", " ")
        return TransportError(
            f"Cannot connect to {host}: TLS failed ({reason}); nothing was sent",
            may_have_arrived=False,
            advice=f"Check scheme and port of {setting}, and what intercepts TLS on the way",
            **place,
        )
    if _has(causes, ProxyError):
        return TransportError(
            f"Cannot connect to {host} through the proxy: {_reason(causes)}",
            may_have_arrived=False,
            advice="Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
            **place,
        )
    if _has(causes, requests.ConnectTimeout, NewConnectionError, ConnectTimeoutError):
        return TransportError(
            f"Cannot connect to {host}: {_reason(causes)}",
            may_have_arrived=False,
            advice=f"Check {setting} and the network",
            **place,
        )
    return None


def _response_error(causes: Sequence[BaseException], received_bytes: int, host: str, place: _Place) -> RequestError:
    """The error if the response did not come, or not as it must."""
    if _has(causes, TooManyBytesError):
        return _too_large(causes, host, place)
    if _has(causes, CannotDecode):
        return DecodeError(f"The response from {host} cannot be decompressed, after {received_bytes} bytes", **place)
    is_cut = _has(causes, ConnectionError, TimeoutError, http.client.IncompleteRead)
    if _has(causes, http.client.HTTPException, InvalidHeader) and not is_cut:
        return TransportError(f"The response from {host} is not valid HTTP", may_have_arrived=True, **place)
    received_bytes = max([received_bytes, *(cause.partial for cause in causes if isinstance(cause, IncompleteRead))])
    what = "Timed out" if _has(causes, requests.Timeout, TimeoutError) else "Connection lost"
    return TransportError(f"{what} after {received_bytes} bytes from {host}", may_have_arrived=True, **place)


def _too_large(causes: Iterable[BaseException], host: str, place: _Place) -> RequestError:
    """The error of a response that exceeds a size limit."""
    if any(isinstance(cause, TooManyBytesError) and cause.is_head for cause in causes):
        what = f"The headers of the response from {host} exceed {MAX_HEAD_BYTES >> 20} MB"
        return TransportError(what, may_have_arrived=True, **place)
    return ResponseTooLargeError(
        f"The response from {host} exceeds {MAX_RESPONSE_BYTES >> 20} MB",
        advice="Set page_size to fewer rows" if place["method"] == "GET" else None,
        **place,
    )


def _reason(causes: Sequence[BaseException]) -> str:
    """Why there is no connection, in words of our own: those of the libraries contain addresses of objects."""
    if _has(causes, NameResolutionError):
        return "the host name cannot be resolved"
    if _has(causes, ConnectionRefusedError):
        return "connection refused"
    refusals = [refusal[1] for cause in causes if (refusal := _REFUSED_TUNNEL.match(str(cause)))]
    if refusals:
        return f"it refused with status {refusals[0]}"
    codes = [cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno]
    if codes:
        return os.strerror(codes[0]).lower()
    # Last, for urllib3 derives every failure to connect from its time-out.
    if _has(causes, requests.ConnectTimeout, ConnectTimeoutError, TimeoutError):
        return "no response in time"
    return "the connection was closed"


def _has(causes: Iterable[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


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


def problem_status(body: object) -> int | None:
    """Return the status that the body of a problem (RFC 7807) names; None if the body is something else."""
    if not isinstance(body, dict) or "id" in body or not isinstance(body.get("title"), str):
        return None
    status = body.get("status")
    return status if type(status) is int and HTTPStatus.BAD_REQUEST <= status < 600 else None  # noqa: PLR2004
