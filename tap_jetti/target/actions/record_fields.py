"""Reads the fields of a record that identify what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.errors import RecordError
from tap_jetti.target.delivery.record_errors import MissingKeyError
from tap_jetti.target.fields import InvalidValueError, integer_of

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
    try:
        found = integer_of(record[name])
    except InvalidValueError:
        found = 0
    if found <= 0:
        raise RecordError(f"{name}.invalid", f"{name} must be a positive integer")
    return found


def text_in(record: Mapping[str, Any], name: str) -> str:
    """Return the text that a field holds, also if the warehouse stores it as a number.

    Raises:
        RecordError: It is absent, or neither a text nor a number.
    """
    require(record, name)
    value = record[name]
    if isinstance(value, (bool, list, dict)):
        raise RecordError(f"{name}.invalid", f"{name} must be a text")
    return str(value)


def body_of(record: Mapping[str, Any], *left_out: str) -> Record:
    """Return a record as a body: without the fields of the loader (``_sdc_…``) and the given ones."""
    return {name: value for name, value in record.items() if name not in left_out and not name.startswith("_")}
