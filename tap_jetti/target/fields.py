"""The fields of a resource: which can be written, which values they can have, and when two values are equal."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from functools import cache
from typing import Any

import msgspec

from tap_jetti.errors import RecordError
from tap_jetti.facts import resources
from tap_jetti.facts.kinds import Kind, kind_of
from tap_jetti.facts.secret_fields import known_secrets
from tap_jetti.facts.timestamps import normalise
from tap_jetti.target.shown_values import shown_value

OWN_FIELDS = frozenset({"id", "companyId", "createdAt", "updatedAt"})
"""Fields that Jetti sets itself and that cannot be written."""

LONGEST_VERBATIM = 40
"""Texts up to this number of characters are compared as they are; of longer ones a digest is compared."""

_EXACT = Context(prec=2_000, Emin=MIN_EMIN, Emax=MAX_EMAX)
_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\s*", re.ASCII)
_LONGEST_NUMBER = 100
"""The largest number of characters of a number that is a text, and of digits of any number."""
LARGEST_EXPONENT = 40
"""The largest decimal exponent of a number, positive or negative."""
_USUAL_SIZE = Decimal().__sizeof__()
"""The size of a decimal of not too many digits: to count them takes ten times as long."""
_LARGEST_ID = (1 << 63) - 1

LARGEST_INTEGER = (1 << 31) - 1
"""The largest value of an integer field. The inbound API accepts a larger one and drops it without a word."""

_NUMBERS = f"a number between 1E-{LARGEST_EXPONENT} and 1E+{LARGEST_EXPONENT}"

Value = Any
Check = Callable[[Value], Value]


class InvalidValueError(ValueError):
    """A value is invalid for its field. The message says what the field must be."""


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
        self.resource = resource
        self.kinds = {
            **dict.fromkeys(known_secrets(resource) - {"hash"}, "json"),
            **kinds(resource),
        }
        self._checks = {
            name: (UNCHECKED_TYPES.get(kind), CHECKS[kind])
            for name, kind in self.kinds.items()
            if name not in OWN_FIELDS | leave_out
        }

    def project(self, record: Mapping[str, Value]) -> dict[str, Value]:
        """Return the part of a record that can be written, with each value in the type of its field.

        Args:
            record: A record with the names of its fields, see `Columns.read`.

        Raises:
            RecordError: A value is invalid for its field.
        """
        payload: dict[str, Value] = {}
        checks = self._checks
        for name, value in record.items():
            known = checks.get(name)
            if known is None:
                continue
            unchecked_type, check = known
            if value is None or type(value) is unchecked_type:
                payload[name] = value
            else:
                try:
                    payload[name] = check(value)
                except InvalidValueError as error:
                    raise invalid(self.resource, name, str(error), value) from None
        return payload


def invalid(resource: str, name: str, allowed: str, value: Value, *, title: str = "invalid") -> RecordError:
    """Return the error of a value that is invalid for its field.

    Args:
        resource: The resource of the field, which tells whether the value may be shown.
        name: The field.
        allowed: What the value must be.
        value: What it is.
        title: What the title says of the field.
    """
    return RecordError(f"{name}.{title}", f"{name} must be {allowed}, not {shown_value(resource, name, value)}")


def number_of(value: Value) -> int | Decimal:
    """Return the number that a number or a text stands for.

    Raises:
        InvalidValueError: It is neither, or has too many digits, or its exponent is too large.
    """
    if isinstance(value, str):
        if len(value) > _LONGEST_NUMBER or not _NUMBER.fullmatch(value):
            raise InvalidValueError("a number")
        try:
            value = Decimal(value.strip())
        except ArithmeticError:  # an exponent beyond what a decimal holds
            raise InvalidValueError(_NUMBERS) from None
    elif isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > LARGEST_EXPONENT:
            raise InvalidValueError(_NUMBERS)
        if len(value.as_tuple().digits) > _LONGEST_NUMBER:
            raise InvalidValueError(f"a number of at most {_LONGEST_NUMBER} digits")
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidValueError("a number")
    if not -(10**LARGEST_EXPONENT) <= value <= 10**LARGEST_EXPONENT:
        raise InvalidValueError(_NUMBERS)
    return value


def integer_of(value: Value, *, largest: int = _LARGEST_ID) -> int:
    """Return the integer that a number or a text stands for.

    Args:
        value: Any JSON.
        largest: The largest integer, and the negative of the smallest.

    Raises:
        InvalidValueError: It is not an integer, or too large.
    """
    try:
        number = number_of(value)
    except InvalidValueError:
        raise InvalidValueError("an integer") from None
    if number != int(number):
        raise InvalidValueError("an integer")
    if not -largest <= number <= largest:
        raise InvalidValueError(f"an integer of at most {largest:,}")
    return int(number)


def id_of(value: Value) -> int | None:
    """Return the id that a value stands for; None if it is not a positive integer."""
    try:
        found = integer_of(value)
    except InvalidValueError:
        return None
    return found if found > 0 else None


def text_of(value: Value) -> str:
    """Return the text that a text, or the number of a warehouse, stands for: ``12345.0`` and ``1E+5`` are integers.

    Raises:
        InvalidValueError: It is neither, or the exponent of the number is too large.
    """
    if type(value) is str:
        return value
    if isinstance(value, date):
        return value.isoformat()
    try:
        number = number_of(None if isinstance(value, str) else value)
    except InvalidValueError:
        raise InvalidValueError("a text") from None
    return str(int(number) if number == int(number) else number)


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
    if type(value) is int and -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        return value
    return integer_of(value, largest=LARGEST_INTEGER)


def _quantity(value: Value) -> int:
    if type(value) is int and 0 <= value <= LARGEST_INTEGER:
        return value
    number = _integer(value)
    if number < 0:
        raise InvalidValueError("a quantity of 0 or more")
    return number


def _number(value: Value) -> int | Decimal:
    if (
        type(value) is Decimal
        and value.__sizeof__() == _USUAL_SIZE
        and value.is_finite()
        and -LARGEST_EXPONENT <= value.adjusted() <= LARGEST_EXPONENT
    ):
        return value
    return number_of(value)


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
    "text": text_of,
    "array": _array,
    "json": _json,
}
"""Per kind the function that converts a value to it, or raises `InvalidValueError`."""
