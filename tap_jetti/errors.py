"""Every error that is reported to the user, in one tree, grouped by what the caller can do about it.

::

    JettiError                           1    any error that is reported to the user
    ├── SettingsError                    78   a setting, the catalog or the state is invalid: correct it
    ├── InputError                       78   the input of the target is not valid Singer: correct the tap
    │   └── MissingSchemaError           78   a record came before the SCHEMA of its stream
    ├── OutputError                      1    standard output is closed or full
    ├── StoreError                       75   the store of the rate limit or of a feed file failed
    │   └── DamagedStoreError            78   it is no such store, or it is damaged
    ├── FeedFileError                    1    the feed file cannot be read or written
    │   ├── FeedUnavailableError         75   its host, disk or network failed
    │   ├── FeedPermissionError          77   the login or the access was refused
    │   └── FeedConflictError            78   its path, its content or the input does not fit the settings
    ├── RequestError                     1    an HTTP request failed
    │   ├── AuthenticationError          77   401: no request will succeed
    │   ├── ForbiddenError               77   403: skip this resource
    │   ├── NotFoundError                1    404: skip this resource, or use its other path
    │   ├── ClientError                  1    any other 4xx: this request will never succeed
    │   ├── RedirectError                78   the server redirects elsewhere: the token is not sent there
    │   ├── ResponseTooLargeError        78   the response exceeds the size limit: ask for fewer rows
    │   └── RetriableError               75   the same request may succeed later
    │       ├── RateLimitedError         75   429
    │       ├── ServerError              75   5xx, 408
    │       ├── DecodeError              75   2xx, but the body is incomplete or not JSON
    │       └── TransportError           75   no complete response: connection, time-out
    ├── RefusalsError                    1    Jetti refuses every record with the same error
    ├── AccountLimitError                75   the plan of the account allows no more updates for now
    ├── UnreliableResponseError          1    well-formed, but not what was requested: stop reading
    │   └── IncompleteReadError          1    fewer rows were read than the server counts
    └── RecordError                      1    the target cannot write this record; others can be written
        ├── MissingKeyError              1    the record has no key
        └── UncertainWriteError          1    the record may have been written, and must not be sent twice

    Interrupted                          128 + the signal; a `BaseException`

The number is the exit code of a command that the error ends. It says what a retry can do (75: it may help, 77: the
token or a permission must be corrected first, 78: so must the configuration or the input).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

EXIT_RETRY = 75
"""Exit code: the same command may succeed later (EX_TEMPFAIL)."""

EXIT_PERMISSION = 77
"""Exit code: the token or its permissions must be corrected (EX_NOPERM)."""

EXIT_CONFIGURATION = 78
"""Exit code: settings, catalog, state or input must be corrected (EX_CONFIG)."""


def worst_exit_code(codes: Collection[int]) -> int:
    """The exit code of several failures: a retry is worth its while if it may help any of them.

    Args:
        codes: The exit code that each would end a command with; none of them means success.
    """
    if EXIT_RETRY in codes:
        return EXIT_RETRY
    distinct = set(codes)
    return distinct.pop() if len(distinct) == 1 else int(bool(distinct))


class JettiError(Exception):
    """Any error that is reported to the user.

    Attributes:
        exit_code: The exit code that the error stands for.
    """

    exit_code: ClassVar[int] = 1

    @classmethod
    def anchor(cls) -> str:
        """The name of the error in documents and links: ``rate-limited`` for `RateLimitedError`. It never changes."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__.removesuffix("Error")).lower()


class SettingsError(JettiError):
    """A setting, the catalog or the state is missing or invalid."""

    exit_code = EXIT_CONFIGURATION


class InputError(JettiError):
    """A line of the target's input is not a valid Singer message."""

    exit_code = EXIT_CONFIGURATION


class MissingSchemaError(InputError):
    """A record came before the SCHEMA of its stream."""


class OutputError(JettiError):
    """Standard output is closed, or its disk is full."""


class StoreError(JettiError):
    """The store of the rate limit or of a feed file failed."""

    exit_code = EXIT_RETRY


class DamagedStoreError(StoreError):
    """A file is no store of this version, or it is damaged."""

    exit_code = EXIT_CONFIGURATION


class FeedFileError(JettiError):
    """The feed file cannot be read or written."""


class FeedUnavailableError(FeedFileError):
    """The host, disk or network of the feed file failed: it may succeed later."""

    exit_code = EXIT_RETRY


class FeedPermissionError(FeedFileError):
    """The login to the server of the feed file, or the access to it, was refused."""

    exit_code = EXIT_PERMISSION


class FeedConflictError(FeedFileError):
    """The path or the content of the feed file, or the input, does not fit the settings."""

    exit_code = EXIT_CONFIGURATION


class RequestError(JettiError):
    """An HTTP request failed.

    Args:
        what: What failed, as the beginning of a sentence.
        method: The HTTP method.
        path: The path of the request, without its query.
        status: The status of the response, or None if there was none.
        title: The dotted code of the problem, if the body had one.
        detail: The explanation of the problem, if the body had one.
        advice: What the user can do, as a sentence without its full stop.
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
        advice: str | None = None,
    ) -> None:
        self.what = what
        self.method = method
        self.path = path
        self.status = status
        self.title = title
        self.detail = detail
        self.advice = advice
        super().__init__(what)

    def clean(self, clean: Callable[[str], str]) -> None:
        """Clean all that the server may have had a hand in: its words, and where it redirected to."""
        self.what, self.path = clean(self.what), clean(self.path)
        self.title, self.detail = (text and clean(text) for text in (self.title, self.detail))

    def __str__(self) -> str:
        """The whole message: what failed, where, why, and what to do."""
        place = f"{self.status} on {self.method} {self.path}" if self.status else f"{self.method} {self.path}"
        reason = ": ".join(text for text in (self.title, self.detail) if text).rstrip(".")
        text = f"{self.what} ({place}{': ' + reason if reason else ''})."
        return f"{text} {self.advice}." if self.advice else text


class AuthenticationError(RequestError):
    """Jetti refused the token."""

    exit_code = EXIT_PERMISSION


class ForbiddenError(RequestError):
    """The token does not have permission for the request."""

    exit_code = EXIT_PERMISSION


class NotFoundError(RequestError):
    """The resource or the row does not exist."""


class ClientError(RequestError):
    """The request is invalid: to send it again does not help."""


class RedirectError(RequestError):
    """The server redirects to another host, to which the token is not sent."""

    exit_code = EXIT_CONFIGURATION


class ResponseTooLargeError(RequestError):
    """The response exceeds the size limit. To send the same request again does not help."""

    exit_code = EXIT_CONFIGURATION


class RetriableError(RequestError):
    """The same request may succeed later.

    Attributes:
        may_have_arrived: Whether the server may have acted on the request.
        retry_after: Seconds that the server asked to wait, or None.
        ends_run: Whether the server asked to wait longer than a run retries, so that no other request may be sent.
    """

    exit_code = EXIT_RETRY

    may_have_arrived: bool = True
    retry_after: float | None = None
    ends_run: bool = False


class RateLimitedError(RetriableError):
    """The rate limit was exceeded, and the server did not act on the request."""

    may_have_arrived = False


class ServerError(RetriableError):
    """The server failed, or answered a permanent business error with a 5xx."""

    @property
    def maybe_permanent(self) -> bool:
        """Whether a dotted title suggests a business error: 500 is the default status of the API's own errors."""
        return "." in (self.title or "")


class DecodeError(RetriableError):
    """The body of the response is incomplete or not JSON."""


class TransportError(RetriableError):
    """There was no complete response.

    Args:
        may_have_arrived: False only if the request cannot have reached the server.
        **place: As for `RequestError`.
    """

    def __init__(self, what: str, *, may_have_arrived: bool, **place: Any) -> None:  # noqa: ANN401 - see `RequestError`
        super().__init__(what, **place)
        self.may_have_arrived = may_have_arrived


class RefusalsError(JettiError):
    """Jetti refused many records in a row with the same error, which is then hardly about each of them."""


class AccountLimitError(JettiError):
    """The plan of the account allows no more updates for now."""

    exit_code = EXIT_RETRY


class UnreliableResponseError(JettiError):
    """The response is well-formed, but not what was requested: to read on would lose rows."""


class IncompleteReadError(UnreliableResponseError):
    """Fewer rows were read than the server counts.

    Attributes:
        refutes_bookmark: Whether rows before the last one given are missing, so that no bookmark may stay there.
    """

    refutes_bookmark = False


class RecordError(JettiError):
    """A record cannot be written, but others may.

    Args:
        title: A dotted code or one word, by which rejected records can be grouped.
        detail: What is wrong with the record, without any of its values.
        status: The HTTP status, if Jetti refused the request.
    """

    def __init__(self, title: str, detail: str, *, status: int | None = None) -> None:
        self.title = title
        self.detail = detail
        self.status = status
        super().__init__(f"{title}: {detail}" if title else detail)


class MissingKeyError(RecordError):
    """A record has no value for its key."""


class UncertainWriteError(RecordError):
    """A write that must not be repeated failed without a response, and no effect is visible."""


class Interrupted(BaseException):
    """The process was asked to stop.

    It derives from `BaseException`, as `KeyboardInterrupt` does, so that no `except Exception` treats it as a failure
    that can be retried. The handler of a signal raises it in the main thread, and a stopped clock in any thread.

    Args:
        signum: The number of the signal, if it is known.
    """

    def __init__(self, signum: int | None = None) -> None:
        super().__init__(signum)
        self.signum = signum


def message_of(error: BaseException | None) -> str:
    """What to tell the user about whatever ended a command. A traceback is no message."""
    if isinstance(error, JettiError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error}."
    return (
        f"Unexpected error: {type(error).__name__}: {error}. This is a bug, please report it."
        " LOGLEVEL=DEBUG shows where it happened."
    )
