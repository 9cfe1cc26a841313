"""Converts the values of a row to the kinds that its schema promises, exactly and without loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from tap_jetti.facts.json_codec import encode_json
from tap_jetti.facts.kinds import Kind, items_of, kind_of
from tap_jetti.facts.secret_fields import mask_credentials, mask_deep
from tap_jetti.facts.timestamps import normalise

Converter = Callable[[Any], Any]

_NULL_TEXTS = frozenset({"", "null"})
"""Texts that mean null in a field that is not text."""


def converters(schema: Mapping[str, Any]) -> dict[str, Converter]:
    """Return the converter of each field of a schema. It is called for values that are not null.

    A value that does not fit its kind is returned unchanged, so that no row is lost or altered:
    the loader of the warehouse decides what to do with it.
    """
    return {name: _converter(facts) for name, facts in schema["properties"].items()}


def _converter(property_schema: Mapping[str, Any]) -> Converter:
    kind = kind_of(property_schema)
    if kind is Kind.ARRAY:
        return partial(_to_array, item=_converter(items_of(property_schema)))
    return {
        Kind.TEXT: _to_text,
        Kind.INTEGER: _to_integer,
        Kind.NUMBER: _to_number,
        Kind.BOOLEAN: _to_boolean,
        Kind.DATE: _to_date,
        Kind.JSON: mask_deep,
    }[kind]


def _to_text(value: object) -> object:
    if type(value) is str:
        return mask_credentials(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return str(value)
    return encode_json(mask_deep(value)).decode()


def _to_integer(value: object) -> object:
    if type(value) is int:
        return value
    number = _to_number(value)
    if isinstance(number, Decimal) and number == number.to_integral_value():
        return int(number)
    return number


def _to_number(value: object) -> object:
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in _NULL_TEXTS:
            return None
        try:
            number = Decimal(text)
        except InvalidOperation:
            return value
        return number if number.is_finite() else value
    return value


def _to_boolean(value: object) -> object:
    if isinstance(value, str):
        return {"true": True, "false": False, "1": True, "0": False, "": None, "null": None}.get(
            value.strip().lower(), value
        )
    if type(value) is int and value in {0, 1}:
        return bool(value)
    return value


def _to_date(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return normalise(value)
    except ValueError:
        return value or None


def _to_array(value: object, *, item: Converter) -> object:
    if isinstance(value, list):
        return [None if element is None else item(element) for element in value]
    if isinstance(value, str) and value.lower() in _NULL_TEXTS:
        return None
    return [item(value)] if isinstance(value, str) else value
