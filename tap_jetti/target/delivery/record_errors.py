"""What a failed request means for one record, and two errors that are errors of the SDK, too."""

from __future__ import annotations

import re
from http import HTTPStatus

from singer_sdk.exceptions import MissingKeyPropertiesError, RecordsWithoutSchemaException

from tap_jetti import errors
from tap_jetti.errors import ClientError, JettiError, NotFoundError, RecordError, RequestError, ServerError

OWNER_TITLES = ("inventory_feeds.", "channels.")
"""How the titles of errors begin that are about the feed or channel that a record names."""

_LIMIT_REACHED = re.compile(r"(?i)(?:limit|quota)[._ ]?(?:reached|exceeded)|(?:daily|plan|sku)[._ ]?(?:limit|quota)")
"""In a title: Jetti takes no more updates today. The code itself is not documented."""


class MissingSchemaError(errors.MissingSchemaError, RecordsWithoutSchemaException):
    """A record was received before the SCHEMA of its stream."""


class AlreadyDoneError(Exception):
    """Another process has made a write that must happen only once: there is nothing to do."""


class MissingKeyError(errors.MissingKeyError, MissingKeyPropertiesError):
    """A record lacks a field that identifies it."""


class NothingToWriteError(RecordError):
    """A record has nothing that can be written besides its key."""


def record_error_of(error: JettiError) -> RecordError | None:
    """Return the error as one about the record that was sent, or None if it is not about the record.

    A 4xx other than 401, 402, 403 and 429 is about the record. So is a 5xx that still has a dotted title after three
    attempts: the library behind the API answers business errors with 500. A limit of the plan is not.
    """
    if isinstance(error, RecordError):
        return error
    is_about_record = isinstance(error, (ClientError, NotFoundError)) or (
        isinstance(error, ServerError) and error.maybe_permanent
    )
    if not is_about_record or not isinstance(error, RequestError) or is_limit_reached(error):
        return None
    place = f"{error.method} {error.path}"
    return RecordError(error.title or "rejected", f"{error.detail or error.what} ({place})", status=error.status)


def is_limit_reached(error: JettiError) -> bool:
    """Whether a request failed because the plan of the account allows no more of them now."""
    return isinstance(error, RequestError) and (
        error.status == HTTPStatus.PAYMENT_REQUIRED or _LIMIT_REACHED.search(error.title or "") is not None
    )


def is_refusal(error: RecordError) -> bool:
    """Whether Jetti refused the record, so that the reason may be the account's: validation here is not a refusal."""
    return error.status is not None or error.title.startswith(OWNER_TITLES)
