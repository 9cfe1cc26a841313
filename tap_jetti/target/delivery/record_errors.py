"""What can go wrong with a record, as opposed to with a request.

::

    JettiError
    ├── InputError                the input is no Singer: stop
    │   └── NoSchemaError         a record came before its SCHEMA
    └── RefusedError              this record cannot be written; its neighbours can
        ├── MissingKeyError       it lacks what identifies it
        └── UncertainError        it may have arrived, and must not be sent twice
"""

from __future__ import annotations

from singer_sdk.exceptions import MissingKeyPropertiesError, RecordsWithoutSchemaException

from tap_jetti.errors import ClientError, JettiError, NotFoundError, RequestError, ServerError


class InputError(JettiError):
    """A line of the input is no Singer message."""


class NoSchemaError(InputError, RecordsWithoutSchemaException):
    """A record came before the SCHEMA of its stream."""


class RefusedError(JettiError):
    """A record cannot be written, whatever becomes of the others.

    Args:
        title: A dotted code or a word, for the reader of a rejects file to group by.
        detail: What is wrong with the record, without any of its values.
        status: The status that Jetti answered, if it was Jetti that refused.
    """

    def __init__(self, title: str, detail: str, *, status: int | None = None) -> None:
        self.title = title
        self.detail = detail
        self.status = status
        super().__init__(f"{title}: {detail}" if title else detail)


class MissingKeyError(RefusedError, MissingKeyPropertiesError):
    """A record lacks what identifies it."""


class UncertainError(RefusedError):
    """A write that must not be repeated was cut off, and its effect cannot be seen."""


def refusal_of(error: JettiError) -> RefusedError | None:
    """What Jetti's answer means for one record, or None if it is not about the record.

    A 4xx other than 401, 403 and 429 is about what was sent. So is a 5xx that still has a dotted
    title after three attempts: the library behind the API answers business errors with 500.
    """
    if isinstance(error, RefusedError):
        return error
    is_about_record = isinstance(error, (ClientError, NotFoundError)) or (
        isinstance(error, ServerError) and error.maybe_permanent
    )
    if not is_about_record or not isinstance(error, RequestError):
        return None
    place = f"{error.method} {error.path}"
    return RefusedError(error.title or "rejected", f"{error.detail or error.what} ({place})", status=error.status)
