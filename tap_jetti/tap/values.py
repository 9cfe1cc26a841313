"""Brings the values of a row to the types that its schema promises, exactly and without loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from tap_jetti.facts.json_codec import encode_json
from tap_jetti.facts.secret_fields import mask_credentials, mask_deep
from tap_jetti.facts.timestamps import normalise

Row = dict[str, Any]
Convert = Callable[[Any], Any]

_NULL_TEXTS = frozenset({"", "null"})
"""Texts that stand for null where no text belongs."""


def converters(schema: Mapping[str, Any]) -> dict[str, Convert]:
    """What to do with the value of each field of a schema, unless it is null.

    A value that cannot be brought to its type is returned as it is: the warehouse's
    loader decides, rather than a row being lost or altered.
    """
    return {name: _converter(facts) for name, facts in schema["properties"].items()}


def _converter(facts: Mapping[str, Any]) -> Convert:
    types = [kind for kind in facts["type"] if kind != "null"]
    if len(types) > 1 or types == ["object"]:
        return mask_deep
    if types == ["array"]:
        return partial(_to_array, item=_converter(facts["items"]))
    if facts.get("format") == "date-time":
        return _to_instant
    return {"string": _to_text, "integer": _to_integer, "number": _to_number, "boolean": _to_boolean}[types[0]]


def _to_text(value: Any) -> Any:  # noqa: ANN401
    if type(value) is str:
        return mask_credentials(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return str(value)
    return encode_json(mask_deep(value)).decode()


def _to_integer(value: Any) -> Any:  # noqa: ANN401
    if type(value) is int:
        return value
    number = _to_number(value)
    if isinstance(number, Decimal) and number == number.to_integral_value():
        return int(number)
    return number


def _to_number(value: Any) -> Any:  # noqa: ANN401
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


def _to_boolean(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        return {"true": True, "false": False, "1": True, "0": False, "": None, "null": None}.get(
            value.strip().lower(), value
        )
    if type(value) is int and value in {0, 1}:
        return bool(value)
    return value


def _to_instant(value: Any) -> Any:  # noqa: ANN401
    if not isinstance(value, str):
        return value
    try:
        return normalise(value)
    except ValueError:
        return value or None


def _to_array(value: Any, *, item: Convert) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [None if element is None else item(element) for element in value]
    if isinstance(value, str) and value.lower() in _NULL_TEXTS:
        return None
    return [item(value)] if isinstance(value, str) else value
