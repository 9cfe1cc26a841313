"""What can go wrong with a request, grouped by what the caller can do about it.

::

    JettiError
    ├── SettingsError            a setting is wrong: mend it
    ├── OutputError              nobody reads what is written: stop
    ├── RequestError             an answer, or the lack of one
    │   ├── TokenError           401: nothing will work, stop
    │   ├── ForbiddenError       403: skip this resource
    │   ├── NotFoundError        404: skip this resource, or try its other name
    │   ├── RejectedError        any other 4xx: this request will never work
    │   ├── RedirectError        the server points elsewhere: never followed with a token
    │   └── RetriableError       the same request may work later
    │       ├── RateLimitedError 429
    │       ├── ServerError      5xx, 408
    │       ├── UnreadableError  200, but the body is cut short or no JSON
    │       └── UnreachableError no answer: connection, time-out
    └── UnreliableAnswerError    well formed, but not what was asked for: do not go on
        └── IncompleteReadError  fewer rows came than the server counts
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

_CURES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "Create a token under Integrations > Api and set api_token",
    HTTPStatus.FORBIDDEN: "Give the API user's role access to it, or deselect the stream",
    HTTPStatus.NOT_FOUND: "Check api_url, and that the account has this resource",
    HTTPStatus.REQUEST_URI_TOO_LONG: "Select fewer fields",
    HTTPStatus.TOO_MANY_REQUESTS: ("Something else uses this account's limit: give it a share by lowering rate_limit"),
}
_LONGEST_TEXT = 300


class JettiError(Exception):
    """Anything that this client reports. Its text is for the user."""


class SettingsError(JettiError):
    """A setting is missing or wrong."""


class OutputError(JettiError):
    """What is written is not read any more, or has no room."""


class RequestError(JettiError):
    """A request failed.

    Args:
        what: What happened, as the beginning of a sentence.
        method: The HTTP method.
        path: The path of the request, without its query.
        status: The status of the answer, or None if there was none.
        title: The problem's dotted code, if the body had one.
        detail: The problem's explanation, if the body had one.
    """

    def __init__(
        self,
        what: str,
        *,
        method: str,
        path: str,
        status: int | None = None,
        title: str | None = None,
        detail: str | None = None,
    ) -> None:
        self.what = what
        self.method = method
        self.path = path
        self.status = status
        self.title = title
        self.detail = detail
        place = f"{status} on {method} {path}" if status else f"{method} {path}"
        reason = ": ".join(text for text in (title, detail) if text)
        text = f"{what} ({place}{': ' + reason if reason else ''})."
        cure = _CURES.get(status or 0)
        super().__init__(f"{text} {cure}." if cure else text)


class AuthenticationError(RequestError):
    """Jetti refused the token."""


class ForbiddenError(RequestError):
    """The token may not do this."""


class NotFoundError(RequestError):
    """There is no such resource or row."""


class ClientError(RequestError):
    """The request itself is wrong: sending it again changes nothing."""


class RedirectError(RequestError):
    """The server points to another place, where the token must not go."""


class RetriableError(RequestError):
    """The same request may succeed later.

    Attributes:
        may_have_arrived: Whether the server may have acted on the request.
        retry_after: The seconds that the server asked to wait, or None.
    """

    may_have_arrived: bool = True
    retry_after: float | None = None


class RateLimitedError(RetriableError):
    """The server counted too many requests. It did not act on this one."""

    may_have_arrived = False


class ServerError(RetriableError):
    """The server failed, or said so of what is a permanent business error."""

    @property
    def maybe_permanent(self) -> bool:
        """Whether a dotted title suggests a business error: the API's default status is 500."""
        return "." in (self.title or "")


class DecodeError(RetriableError):
    """The answer is not JSON, or was cut."""


class TransportError(RetriableError):
    """There was no complete answer.

    Args:
        may_have_arrived: False only if the request cannot have reached the server.
        **place: As for `RequestError`.
    """

    def __init__(self, what: str, *, may_have_arrived: bool, **place: Any) -> None:  # noqa: ANN401
        super().__init__(what, **place)
        self.may_have_arrived = may_have_arrived


class UnreliableAnswerError(JettiError):
    """The server answered, but not what it was asked: reading on would lose rows."""


class IncompleteReadError(UnreliableAnswerError):
    """The server counts more rows than it gave."""


def error_from_response(
    status: int, body: bytes, *, method: str, path: str, retry_after: float | None = None
) -> RequestError:
    """The error that an answer outside 2xx stands for.

    Args:
        status: The HTTP status.
        body: The body; of an RFC 7807 problem in it only ``title`` and ``detail`` are used.
        method: The HTTP method of the request.
        path: The path of the request, without its query.
        retry_after: What the header of that name asks for, in seconds.
    """
    kind, what = _kind_of(status)
    title, detail = _title_and_detail(body)
    error = kind(what, method=method, path=path, status=status, title=title, detail=detail)
    if isinstance(error, RetriableError):
        error.retry_after = retry_after
    return error


def _kind_of(status: int) -> tuple[type[RequestError], str]:
    known: dict[int, tuple[type[RequestError], str]] = {
        401: (AuthenticationError, "Jetti refused the token"),
        403: (ForbiddenError, "The token has no permission for this"),
        404: (NotFoundError, "Jetti does not know this resource"),
        408: (ServerError, "Jetti gave up waiting for the request"),
        429: (RateLimitedError, "Jetti refused the request as one too many"),
    }
    if status in known:
        return known[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerError, "Jetti failed"
    if status >= HTTPStatus.BAD_REQUEST:
        return ClientError, "Jetti rejected the request"
    return ClientError, "Jetti gave an unexpected answer"


def _title_and_detail(body: bytes) -> tuple[str | None, str | None]:
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(problem, dict):
        return None, None
    title, detail = (
        value[:_LONGEST_TEXT] if isinstance(value := problem.get(key), str) and value else None
        for key in ("title", "detail")
    )
    return title, detail if detail != title else None
