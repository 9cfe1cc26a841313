"""The fields of a resource: which can be written, which values they can have, and when two values are equal."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation
from functools import cache
from typing import Any

import msgspec

from tap_jetti.errors import RecordError
from tap_jetti.facts import resources
from tap_jetti.facts.kinds import Kind, kind_of
from tap_jetti.facts.secret_fields import known_secrets
from tap_jetti.facts.timestamps import normalise

OWN_FIELDS = frozenset({"id", "companyId", "createdAt", "updatedAt"})
"""Fields that Jetti sets itself and that cannot be written."""

LONGEST_VERBATIM = 40
"""Texts up to this number of characters are compared as they are; of longer ones a digest is compared."""

_EXACT = Context(prec=2_000, Emin=MIN_EMIN, Emax=MAX_EMAX)
_INTEGER = re.compile(r"[+-]?\d{1,19}")
_LARGEST_INTEGER = 1 << 63
_LONGEST_INTEGER = 19

Value = Any
Check = Callable[[Value], Value]


class InvalidValueError(ValueError):
    """A value is invalid for its field. The message says what the field must be; it never contains the value."""


@cache
def kinds(resource: str) -> dict[str, str]:
    """Return the kind of each field of a resource: integer, quantity, number, boolean, date, text, array or json."""
    found = {name: kind_of(facts) for name, facts in resources.schema(resource)["properties"].items()}
    return {
        name: "quantity" if kind is Kind.INTEGER and name.endswith("Quantity") else kind.value
        for name, kind in found.items()
    }


class Fields:
    """Checks records against one resource's schema.

    Args:
        resource: The resource in snake_case.
        leave_out: Fields that are not sent.
    """

    def __init__(self, resource: str, *, leave_out: frozenset[str] = frozenset()) -> None:
        self.kinds = {
            **dict.fromkeys(known_secrets(resource) - {"hash"}, "json"),
            **kinds(resource),
        }
        self._checks = {
            name: (UNCHECKED_TYPES.get(kind), CHECKS[kind])
            for name, kind in self.kinds.items()
            if name not in OWN_FIELDS | leave_out
        }
        self._ignored = OWN_FIELDS | leave_out

    def project(self, record: Mapping[str, Value]) -> tuple[dict[str, Value], list[str]]:
        """Return the part of a record that can be written, with each value in the type of its field.

        Args:
            record: A record as it was received.

        Returns:
            The payload, and the names of the record's fields that the resource does not have.

        Raises:
            RecordError: A value is invalid for its field.
        """
        payload: dict[str, Value] = {}
        unknown = []
        checks = self._checks
        for name, value in record.items():
            known = checks.get(name)
            if known is None:
                if name not in self._ignored and not name.startswith("_"):
                    unknown.append(name)
                continue
            unchecked_type, check = known
            if value is None or type(value) is unchecked_type:
                payload[name] = value
            else:
                try:
                    payload[name] = check(value)
                except InvalidValueError as error:
                    raise RecordError(f"{name}.invalid", f"{name} must be {error}") from None
        return payload, unknown


def integer_of(value: Value) -> int:
    """Return the integer that a number or a text stands for.

    Raises:
        InvalidValueError: It is not an integer of at most 63 bits.
    """
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, (Decimal, float)) and _is_whole(Decimal(value)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _LARGEST_INTEGER:
        raise InvalidValueError("an integer")
    return value


def comparable(kind: str, value: Value) -> str | bool | None:
    """Return a short form of a value that is equal for values that mean the same.

    Numbers are compared by value (``10``, ``"10.00"``), dates by instant, JSON without regard to the order of keys.
    A value that is invalid for its field is compared as JSON.
    """
    if value is None or value is True or value is False:
        return value
    try:
        value = CHECKS[kind](value)
    except InvalidValueError:
        kind = "json"
    if kind in {"integer", "quantity", "number"}:
        return str(_EXACT.normalize(Decimal(value)) if value else 0)
    if kind in {"array", "json"}:
        try:
            value = json.dumps(_plain(value), sort_keys=True, ensure_ascii=False)
        except RecursionError:  # nested too deep to be sorted: it is compared as it was written
            value = msgspec.json.encode(value).decode()
    if isinstance(value, str) and len(value) > LONGEST_VERBATIM:
        return "#" + hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return str(value) if not isinstance(value, bool) else bool(value)


def _is_whole(value: Decimal) -> bool:
    return value.is_finite() and value.adjusted() < _LONGEST_INTEGER and value == value.to_integral_value()


def _plain(value: Value) -> Value:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float, Decimal)):
        return "n" + str(_EXACT.normalize(Decimal(str(value))) if value else 0)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return str(value)


def _integer(value: Value) -> int:
    return value if type(value) is int and -_LARGEST_INTEGER < value < _LARGEST_INTEGER else integer_of(value)


def _quantity(value: Value) -> int:
    number = value if type(value) is int and value < _LARGEST_INTEGER else integer_of(value)
    if number < 0:
        raise InvalidValueError("a quantity of 0 or more")
    return number


def _number(value: Value) -> int | Decimal:
    if isinstance(value, str):
        try:
            value = Decimal(value.strip())
        except InvalidOperation:
            raise InvalidValueError("a number") from None
    elif isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > LONGEST_VERBATIM:
            raise InvalidValueError("a number between 1E-40 and 1E+40")
        return value
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _LARGEST_INTEGER:
        raise InvalidValueError("a number")
    return value


def _boolean(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "false": False, "1": True, "0": False}
    found = words.get(str(value).strip().lower()) if isinstance(value, (str, int)) else None
    if found is None:
        raise InvalidValueError("true or false")
    return found


def _date(value: Value) -> str:
    if isinstance(value, date):
        value = value.isoformat()
    try:
        return normalise(value if isinstance(value, str) else "")
    except ValueError:
        raise InvalidValueError("an ISO 8601 date") from None


def _text(value: Value) -> str:
    if type(value) is str:
        return value
    if isinstance(value, (int, Decimal, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    raise InvalidValueError("a text")


def _array(value: Value) -> list[Value]:
    if not isinstance(value, (list, tuple)):
        raise InvalidValueError("an array")
    return list(value)


def _json(value: Value) -> Value:
    return value


UNCHECKED_TYPES: dict[str, type] = {"text": str, "boolean": bool}
"""Per kind the type whose values need no check."""

CHECKS: dict[str, Check] = {
    "integer": _integer,
    "quantity": _quantity,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "text": _text,
    "array": _array,
    "json": _json,
}
"""Per kind the function that converts a value to it, or raises `InvalidValueError`."""
