"""Instants in one form, ``2019-11-22T20:56:57.564Z``, so that text order is time order."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_BEGINS_WITH_A_DATE = re.compile(r"\d{4}-?\d\d")
_LENGTH = len("2019-11-22T20:56:57.564Z")
_MAX_LENGTH = 64


def normalise(text: str) -> str:
    """Bring an ISO 8601 date to UTC with milliseconds, cut, not rounded.

    Cutting is what the API itself does with the microseconds it stores: a shown instant
    is never later than the stored one, so reading on from it misses nothing.

    Args:
        text: An ISO 8601 date or date-time; without an offset it is taken as UTC.

    Raises:
        ValueError: The text is no date.
    """
    if len(text) == _LENGTH and text[23] == "Z" and text[19] == "." and text[10] == "T" and text[7] == text[4] == "-":
        try:
            datetime.fromisoformat(text[:23])
        except ValueError:
            pass
        else:
            return text
    return _to_text(_parse(text))


def later(instant: str, *, milliseconds: int) -> str:
    """The instant so many milliseconds later, or earlier if they are negative."""
    parsed = datetime.fromisoformat(instant[:-1]).replace(tzinfo=timezone.utc)
    return _to_text(parsed + timedelta(milliseconds=milliseconds))


def from_epoch(seconds: float) -> str:
    """The instant of a POSIX time stamp in seconds, cut to the millisecond."""
    return _to_text(datetime.fromtimestamp(seconds, tz=timezone.utc))


def to_epoch(instant: str) -> float:
    """The POSIX time stamp, in seconds, of an instant in the normal form."""
    return datetime.fromisoformat(instant[:-1]).replace(tzinfo=timezone.utc).timestamp()


def _to_text(moment: datetime) -> str:
    try:
        moment = moment.astimezone(timezone.utc)
    except OverflowError as error:
        msg = f"{moment.isoformat()!r} is no ISO 8601 date in UTC"
        raise ValueError(msg) from error
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _parse(text: str) -> datetime:
    import pendulum  # noqa: PLC0415 - 75 ms at start-up, needed only for unusual dates

    msg = f"{text[:_MAX_LENGTH]!r} is no ISO 8601 date"
    if len(text) > _MAX_LENGTH or not _BEGINS_WITH_A_DATE.match(text):
        raise ValueError(msg)
    try:
        parsed: object = pendulum.parse(text, tz="UTC")
    except (ValueError, OverflowError, TypeError) as error:  # TypeError: an interval that pendulum cannot add
        raise ValueError(msg) from error
    if not isinstance(parsed, datetime):
        raise ValueError(msg)  # noqa: TRY004 - the text is wrong, not its type
    return parsed
