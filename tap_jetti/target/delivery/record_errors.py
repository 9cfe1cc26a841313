"""What a failed request means for one record, and two errors that are errors of the SDK, too."""

from __future__ import annotations

from singer_sdk.exceptions import MissingKeyPropertiesError, RecordsWithoutSchemaException

from tap_jetti import errors
from tap_jetti.errors import ClientError, JettiError, NotFoundError, RecordError, RequestError, ServerError


class MissingSchemaError(errors.MissingSchemaError, RecordsWithoutSchemaException):
    """A record was received before the SCHEMA of its stream."""


class MissingKeyError(errors.MissingKeyError, MissingKeyPropertiesError):
    """A record lacks a field that identifies it."""


class NothingToWriteError(RecordError):
    """A record has nothing that can be written besides its key."""


def record_error_of(error: JettiError) -> RecordError | None:
    """Return the error as one about the record that was sent, or None if it is not about the record.

    A 4xx other than 401, 403 and 429 is about the record. So is a 5xx that still has a dotted title after three
    attempts: the library behind the API answers business errors with 500.
    """
    if isinstance(error, RecordError):
        return error
    is_about_record = isinstance(error, (ClientError, NotFoundError)) or (
        isinstance(error, ServerError) and error.maybe_permanent
    )
    if not is_about_record or not isinstance(error, RequestError):
        return None
    place = f"{error.method} {error.path}"
    return RecordError(error.title or "rejected", f"{error.detail or error.what} ({place})", status=error.status)
