"""Reads the fields of a record that identify what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.target.columns import IGNORED_FIELDS
from tap_jetti.target.delivery.record_errors import MissingKeyError, NothingToWriteError
from tap_jetti.target.fields import InvalidValueError, id_of, invalid, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_jetti.target.delivery.operations import Record


def has_value(record: Mapping[str, Any], name: str) -> bool:
    """Whether a field is set. Sources without nulls, such as CSV, write an empty text instead."""
    value = record.get(name)
    return value is not None and not (isinstance(value, str) and not value.strip())


def require(record: Mapping[str, Any], name: str) -> None:
    """Check that a field is set.

    Raises:
        MissingKeyError: It is absent, null or empty.
    """
    if not has_value(record, name):
        raise MissingKeyError(f"{name}.missing", f"{name} is missing")


def id_in(record: Mapping[str, Any], name: str) -> int:
    """Return the id that a field holds.

    Raises:
        RecordError: It is absent, or not a positive integer.
    """
    require(record, name)
    found = id_of(record[name])
    if found is None:
        raise invalid("", name, "a positive integer", record[name])
    return found


def ids_in(record: Mapping[str, Any], name: str) -> list[int]:
    """Return the ids in the array that a field holds; none if it is absent, null or empty.

    Raises:
        RecordError: It is not an array of positive integers.
    """
    if not has_value(record, name):
        return []
    value = record[name]
    ids = [id_of(one) for one in value] if isinstance(value, list) else [None]
    if None in ids:
        wrong = value[ids.index(None)] if isinstance(value, list) else value
        raise invalid("", name, "an array of integers", wrong)
    return [one for one in ids if one is not None]


def text_in(record: Mapping[str, Any], name: str) -> str:
    """Return the text that a field holds, also if the warehouse stores it as a number.

    Raises:
        RecordError: It is absent, or neither a text nor a number.
    """
    require(record, name)
    try:
        return text_of(record[name])
    except InvalidValueError as error:
        raise invalid("", name, str(error), record[name]) from None


def require_content(payload: Mapping[str, Any], *key: str) -> None:
    """Check that there is something to write besides what identifies the row.

    Args:
        payload: What would be sent.
        *key: Its fields that identify the row.

    Raises:
        NothingToWriteError: There is nothing else.
    """
    if payload.keys() <= set(key):
        raise NothingToWriteError("nothing", f"there is nothing to write besides {' and '.join(key)}")


def body_of(record: Mapping[str, Any], *left_out: str) -> Record:
    """Return a record as a body: without the fields of loaders, those that Jetti sets, and the given ones."""
    return {
        name: value
        for name, value in record.items()
        if name not in left_out and not name.startswith("_") and name not in IGNORED_FIELDS
    }
