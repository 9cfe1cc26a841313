"""Everything that can go wrong, in one tree, grouped by what can be done about it.

::

    JettiError                           1    anything reported to the user
    ├── SettingsError                    78   a setting, catalog or state is wrong: correct it
    ├── InputError                       78   the target's input is not Singer: correct the tap
    │   └── MissingSchemaError           78   a record came before its SCHEMA
    ├── OutputError                      1    standard output is closed or full
    ├── StoreError                       75   the rate limit's shared store failed
    ├── RequestError                     1    an HTTP request failed
    │   ├── AuthenticationError          77   401: no request will work
    │   ├── ForbiddenError               77   403: skip this resource
    │   ├── NotFoundError                1    404: skip this resource, or try its other name
    │   ├── ClientError                  1    any other 4xx: this request will never work
    │   ├── RedirectError                78   the server points elsewhere: never followed with a token
    │   └── RetriableError               75   the same request may work later
    │       ├── RateLimitedError         75   429
    │       ├── ServerError              75   5xx, 408
    │       ├── DecodeError              75   2xx, but the body is incomplete or not JSON
    │       └── TransportError           75   no response: connection, time-out
    ├── UnreliableResponseError          1    well-formed, but not what was asked for: stop reading
    │   └── IncompleteReadError          1    fewer rows came than the server counts
    └── RecordError                      1    the target cannot write this record; others can be written
        ├── MissingKeyError              1    it lacks what identifies it
        └── UncertainWriteError          1    it may have been written, and must not be sent twice

    Interrupted                          128 + the signal; a `BaseException`

The number is the exit code that a command ends with where this error ends it: what a retry can do
(75: it may help, 77: permission is missing, 78: configuration or input must be corrected first).
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, ClassVar

EXIT_RETRY = 75
"""Exit code: the same command may work later (EX_TEMPFAIL)."""

EXIT_PERMISSION = 77
"""Exit code: the token or its permissions must be corrected (EX_NOPERM)."""

EXIT_CONFIGURATION = 78
"""Exit code: settings, catalog, state or input must be corrected (EX_CONFIG)."""

_CURES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "Create a token under Integrations > Api and set api_token",
    HTTPStatus.FORBIDDEN: "Give the API user's role access to it, or deselect the stream",
    HTTPStatus.NOT_FOUND: "Check api_url, and that the account has this resource",
    HTTPStatus.REQUEST_URI_TOO_LONG: "Select fewer fields",
    HTTPStatus.TOO_MANY_REQUESTS: ("Something else uses this account's limit: give it a share by lowering rate_limit"),
}
_LONGEST_TEXT = 300


class JettiError(Exception):
    """Anything that is reported to the user.

    Attributes:
        exit_code: What a command ends with if this error ends it.
    """

    exit_code: ClassVar[int] = 1


class SettingsError(JettiError):
    """A setting, the catalog or the state is missing or wrong."""

    exit_code = EXIT_CONFIGURATION


class InputError(JettiError):
    """A line of the target's input is not a valid Singer message."""

    exit_code = EXIT_CONFIGURATION


class MissingSchemaError(InputError):
    """A record came before the SCHEMA of its stream."""


class OutputError(JettiError):
    """Standard output is closed, or its disk is full."""


class StoreError(JettiError):
    """The rate limit's store failed. The message says what failed, where, and what to do."""

    exit_code = EXIT_RETRY


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

    exit_code = EXIT_PERMISSION


class ForbiddenError(RequestError):
    """The token may not do this."""

    exit_code = EXIT_PERMISSION


class NotFoundError(RequestError):
    """There is no such resource or row."""


class ClientError(RequestError):
    """The request itself is wrong: sending it again changes nothing."""


class RedirectError(RequestError):
    """The server points to another place, where the token must not go."""

    exit_code = EXIT_CONFIGURATION


class RetriableError(RequestError):
    """The same request may succeed later.

    Attributes:
        may_have_arrived: Whether the server may have acted on the request.
        retry_after: The seconds that the server asked to wait, or None.
    """

    exit_code = EXIT_RETRY

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


class UnreliableResponseError(JettiError):
    """The server answered, but not what it was asked: reading on would lose rows."""


class IncompleteReadError(UnreliableResponseError):
    """The server counts more rows than it gave."""


class RecordError(JettiError):
    """A record cannot be written, whatever becomes of the others.

    Args:
        title: A dotted code or a word that a rejects file can be grouped by.
        detail: What is wrong with the record, without any of its values.
        status: The HTTP status, if Jetti refused it.
    """

    def __init__(self, title: str, detail: str, *, status: int | None = None) -> None:
        self.title = title
        self.detail = detail
        self.status = status
        super().__init__(f"{title}: {detail}" if title else detail)


class MissingKeyError(RecordError):
    """A record lacks what identifies it."""


class UncertainWriteError(RecordError):
    """A write that must not be repeated was cut off, and its effect cannot be seen."""


class Interrupted(BaseException):
    """The process was asked to end.

    Derived from `BaseException`, as `KeyboardInterrupt` is, so that no `except Exception` on the way up, such as
    that of a retry, takes it for a failure of the request. Raised in the main thread by a signal's handler, and in
    any thread by a clock that was stopped.

    Args:
        signum: The signal, where it is known.
    """

    def __init__(self, signum: int | None = None) -> None:
        super().__init__(signum)
        self.signum = signum


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
