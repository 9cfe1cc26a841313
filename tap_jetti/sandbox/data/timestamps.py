"""Timestamps: ISO 8601 text in requests and responses, integer microseconds since the epoch in the database."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
    r"\s*(Z|[+-]\d\d:?\d\d)?)?"
)


def parse(text: str) -> int:
    """The microseconds since the epoch of an ISO 8601 text; without an offset it is taken as UTC.

    Raises:
        ValueError: The text is not an ISO 8601 date.
    """
    match = _ISO.fullmatch(text)
    try:
        year, month, day, hour, minute, second, fraction, zone = match.groups() if match else ()
        moment = datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "0").ljust(6, "0")[:6]),
            tzinfo=timezone.utc,
        )
    except ValueError:
        msg = f"{text!r} is not an ISO 8601 date."
        raise ValueError(msg) from None
    micros = (moment - _EPOCH) // _MICROSECOND
    if zone and zone != "Z":
        offset = int(zone[1:3]) * 60 + int(zone[-2:])
        micros -= (1 if zone[0] == "+" else -1) * offset * 60_000_000
    return micros


def format_millis(micros: int) -> str:
    """The text that the API returns: truncated to milliseconds."""
    return f"{_to_second(micros)}.{micros // 1000 % 1000:03d}Z"


def format_micros(micros: int) -> str:
    """The text with microseconds, as the database holds them."""
    return f"{_to_second(micros)}.{micros % 1_000_000:06d}Z"


def _to_second(micros: int) -> str:
    days, seconds = divmod(micros // 1_000_000, 86_400)
    return f"{_day(days)}T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


@lru_cache(maxsize=4096)
def _day(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).date().isoformat()
