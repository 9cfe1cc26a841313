r"""Converts the values of a row to the kinds that its SCHEMA promises: exactly, or not at all.

======== ============================== ====================================== ====================================
Kind     Unchanged                      Converted                              Invalid
======== ============================== ====================================== ====================================
text     text                           number, boolean: as JSON spells it;    text with NUL (U+0000)
                                        object, array: its JSON
integer  integer of 64 bits             integral number; such a number as text fraction, more than 64 bits, boolean,
                                                                               any other value
number   number of a decimal exponent   number as text                         larger or smaller number, NaN, infinity,
         from -307 to 307                                                      boolean, any other value
boolean  boolean                        0, 1; "true", "false", "0", "1" in     any other value
                                        upper or lower case
date     date in the normal form        other ISO 8601 date, to UTC            any other value
array    -                              array: each item by the kind of items; object, array with an invalid item
                                        text, number, boolean: array of it
JSON     any JSON of a type that the    -                                      another type; NUL, or a decimal out of
         schema lists                                                          range, at any depth
======== ============================== ====================================== ====================================

A blank text, or the text "null", is null in every kind but text and JSON. Credentials in URLs are masked in all texts.
Fields within an object that sound secret are removed.

A number as text is ``\s*[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\s*`` in ASCII digits: ``1_2``, ``.5`` and ``1,234.50`` are
invalid. Loaders hold integers in 64 bits, many hold numbers in a double, and PostgreSQL refuses NUL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from tap_jetti.facts.json_codec import encode_json
from tap_jetti.facts.kinds import Kind, items_of, kind_of, types_of
from tap_jetti.facts.secret_fields import mask_credentials, mask_deep, without_secrets
from tap_jetti.facts.timestamps import normalise

Converter = Callable[[Any], Any]
"""Converts a value that is not null. It raises `InvalidValueError`."""

LARGEST_INTEGER = 2**63 - 1

_LARGEST_EXPONENT = 307
"""A number of this decimal exponent, positive or negative, fits a double."""

_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\s*", re.ASCII)
_LONGEST_NUMBER = 1_000
"""Maximum number of characters of a number."""

_LONGEST_DATE = 64

_NULL_TEXTS = frozenset({"", "null"})
"""Texts that mean null in a field that is not text."""

_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


class InvalidValueError(ValueError):
    """A value does not fit its field. Its text says why, such as ``not a date``."""


def converters(schema: Mapping[str, Any], *, on_number_in_array: Callable[[str], None]) -> dict[str, Converter]:
    """Return the converter of each field of a schema.

    Args:
        schema: The schema of the rows.
        on_number_in_array: Called with the name of a field whose array holds numbers where its schema wants texts.
    """
    return {
        name: converter(facts, on_number_in_array=partial(on_number_in_array, name))
        for name, facts in schema["properties"].items()
    }


def converter(property_schema: Mapping[str, Any], *, on_number_in_array: Callable[[], None]) -> Converter:
    """Return the converter of one property."""
    kind = kind_of(property_schema)
    if kind is Kind.ARRAY:
        items = items_of(property_schema)
        item = converter(items, on_number_in_array=on_number_in_array)
        return partial(
            _to_array, item=item, on_number=on_number_in_array if kind_of(items) is Kind.TEXT else lambda: None
        )
    if kind is Kind.JSON:
        return partial(_to_json, types=types_of(property_schema))
    return {
        Kind.TEXT: _to_text,
        Kind.INTEGER: _to_integer,
        Kind.NUMBER: to_number,
        Kind.BOOLEAN: _to_boolean,
        Kind.DATE: _to_date,
    }[kind]


def _is_null(text: str) -> bool:
    return text.strip().lower() in _NULL_TEXTS


def _to_text(value: object) -> str:
    if type(value) is str:
        if "\0" in value:
            raise InvalidValueError("text with NUL")
        return mask_credentials(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return str(value)
    return encode_json(mask_deep(without_secrets(value))).decode()


def to_number(value: object) -> int | Decimal | None:
    """Convert a value to a number.

    Raises:
        InvalidValueError: It is not a number, or outside what loaders take.
    """
    if isinstance(value, str):
        if _is_null(value):
            return None
        if len(value) > _LONGEST_NUMBER or not _NUMBER.fullmatch(value):
            raise InvalidValueError("not a number")
        try:
            value = Decimal(value)
        except ArithmeticError:  # an exponent beyond what a decimal holds
            raise InvalidValueError("number out of range") from None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise InvalidValueError("not a number")
    # By the exponent, so that 1e999999999 is not expanded.
    number = Decimal(value)
    if (
        not number.is_finite()
        or abs(number.adjusted()) > _LARGEST_EXPONENT
        or len(number.as_tuple().digits) > _LONGEST_NUMBER
    ):
        raise InvalidValueError("number out of range")
    return value


def _to_integer(value: object) -> int | None:
    number = value if type(value) is int else to_number(value)
    if number is None:
        return None
    if isinstance(number, Decimal):
        if number.adjusted() >= len(str(LARGEST_INTEGER)):
            raise InvalidValueError("integer of more than 64 bits")
        if number != number.to_integral_value():
            raise InvalidValueError("not an integer")
        number = int(number)
    if not -LARGEST_INTEGER - 1 <= number <= LARGEST_INTEGER:
        raise InvalidValueError("integer of more than 64 bits")
    return number


def _to_boolean(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if _is_null(value):
            return None
        found = _BOOLEANS.get(value.strip().lower())
        if found is not None:
            return found
    if type(value) is int and value in {0, 1}:
        return bool(value)
    raise InvalidValueError("not a boolean")


def _to_date(value: object) -> str | None:
    if isinstance(value, str):
        if _is_null(value):
            return None
        if len(value) <= _LONGEST_DATE:
            try:
                return normalise(value)
            except ValueError:
                pass
    raise InvalidValueError("not a date")


def _to_array(value: object, *, item: Converter, on_number: Callable[[], None]) -> list[Any] | None:
    if isinstance(value, str) and _is_null(value):
        return None
    if isinstance(value, dict):
        raise InvalidValueError("not an array")
    elements = value if isinstance(value, list) else [value]
    if any(isinstance(element, (int, Decimal)) and not isinstance(element, bool) for element in elements):
        on_number()
    return [None if element is None else item(element) for element in elements]


_JSON_TYPES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),
    (str, "string"),
    (dict, "object"),
    (list, "array"),
    ((int, Decimal), "number"),
)


def _to_json(value: object, *, types: frozenset[str]) -> object:
    found = next(name for types_of_python, name in _JSON_TYPES if isinstance(value, types_of_python))
    if found == "number" and "number" not in types and "integer" in types:
        return _to_integer(value)
    if found not in types:
        raise InvalidValueError(f"{found} where the schema has {', '.join(sorted(types)) or 'null'}")
    _check_within(value)
    return mask_deep(without_secrets(value))


def _check_within(value: object) -> None:
    """Check the texts and numbers at any depth of a JSON value."""
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidValueError("text with NUL")
    elif isinstance(value, Decimal):
        to_number(value)
    elif isinstance(value, list):
        for item in value:
            _check_within(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_within(key)
            _check_within(item)
