"""Translates the ``where`` of a query into SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tap_jetti.sandbox.data import models, timestamps
from tap_jetti.sandbox.data.database import COLUMNS, Database, expression
from tap_jetti.sandbox.http import brackets
from tap_jetti.sandbox.http.problems import Problem

Sql = tuple[str, list[Any]]
"""An SQL condition and its parameters."""

_BOOLEANS = {"true": 1, "false": 0}
_INDEXED_NAMES = frozenset({"externalSku", "sku", "vendorSku", "email", "status"})


def build(database: Database, resource: str, where: object) -> Sql:
    """The SQL condition of a ``where``; all parts are ANDed.

    Raises:
        Problem: An attribute or operator is unknown, or a value is invalid.
    """
    if where in (None, ""):
        return "1", []
    if not isinstance(where, Mapping):
        raise Problem(400, "api.query.where.invalid", "where must be an object.")
    parts = [part for attribute, wanted in where.items() for part in _attribute(database, resource, attribute, wanted)]
    return " AND ".join(f"({text})" for text, _ in parts), [value for _, values in parts for value in values]


def column(resource: str, attribute: str) -> str:
    """The SQL expression of a field.

    Raises:
        Problem: The resource has no such field.
    """
    if attribute not in models.fields(resource):
        raise Problem(
            500,
            "api.query.unknown_attribute",
            f'column "{attribute}" of {resource} does not exist',
            attribute=attribute,
        )
    return expression(attribute)


def _attribute(database: Database, resource: str, attribute: str, wanted: object) -> Iterator[Sql]:
    found = column(resource, attribute)
    if attribute.endswith("Id") or attribute in _INDEXED_NAMES:
        database.index(resource, attribute)
    operators = wanted if isinstance(wanted, Mapping) else {"$eq": wanted}
    if "" in operators or all(key.isdecimal() for key in operators):
        operators = {"$in": operators}
    field = _Field(resource, attribute, found)
    for operator, value in operators.items():
        if operator not in _OPERATORS:
            raise Problem(
                400,
                "api.query.unknown_operator",
                f"{operator} is not an operator on {attribute}.",
                operator=operator,
            )
        yield _OPERATORS[operator](field, value)


class _Field:
    """A field in a condition, and how a text of the query compares with its values."""

    def __init__(self, resource: str, attribute: str, expression: str) -> None:
        self.attribute = attribute
        self.expression = expression
        self.kind = models.kinds(resource).get(attribute, "text")
        if self.kind == "date" and attribute not in COLUMNS:
            self.comparable = f"micros({expression})"
        else:
            self.comparable = expression

    def candidates(self, text: str) -> list[Any]:
        """The stored values that a text of the query equals."""
        if self.kind == "date":
            return [self.micros(text)]
        found: list[Any] = []
        number = _number(text)
        if number is not None:
            found.append(number)
        if self.kind == "integer":
            if number is None:
                raise self.refusal(text)
            return found
        if text in _BOOLEANS:
            found.append(_BOOLEANS[text])
        return [*found, text]

    def bound(self, text: str) -> float | int:
        """The lower or upper bound that a text of the query means."""
        if self.kind == "date":
            return self.micros(text)
        number = _number(text)
        if number is None:
            raise self.refusal(text)
        return number

    def micros(self, text: str) -> int:
        """The microseconds since the epoch of a text."""
        try:
            return timestamps.parse(text)
        except ValueError:
            raise self.refusal(text) from None

    def refusal(self, text: str) -> Problem:
        """The response to a value that is invalid for this field."""
        return Problem(
            400,
            "api.query.invalid_value",
            f"invalid input for {self.attribute}",
            attribute=self.attribute,
            value=text,
        )


def _texts(value: object) -> list[str]:
    try:
        items = brackets.as_list(value)
    except ValueError as error:
        raise Problem(400, "api.query.list.invalid", str(error)) from None
    return [_text(item) for item in items]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Problem(400, "api.query.value.invalid", "Expected a value, got an object.")
    return value


def _number(text: str) -> float | int | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _is_in(field: _Field, value: object) -> Sql:
    texts = _texts(value)
    known = [one for text in texts if text for one in field.candidates(text)]
    parts = []
    if known:
        marks = ", ".join("?" * len(known))
        parts.append(f"{field.comparable} IN ({marks})")
    if "" in texts:
        parts.append(f"{field.expression} IS NULL")
    return " OR ".join(parts) or "0", known


def _not_in(field: _Field, value: object) -> Sql:
    text, values = _is_in(field, value)
    if "" in _texts(value):
        return f"NOT ({text})", values
    return f"NOT ({text}) AND {field.expression} IS NOT NULL", values


def _equal(field: _Field, value: object) -> Sql:
    return _is_in(field, _text(value))


def _not_equal(field: _Field, value: object) -> Sql:
    return _not_in(field, _text(value))


def _at_least(field: _Field, value: object) -> Sql:
    return f"{field.comparable} >= ?", [field.bound(_text(value))]


def _at_most(field: _Field, value: object) -> Sql:
    return f"{field.comparable} <= ?", [field.bound(_text(value))]


_OPERATORS: dict[str, Callable[[_Field, object], Sql]] = {
    "$eq": _equal,
    "$gte": _at_least,
    "$lte": _at_most,
    "$in": _is_in,
    "$ne": _not_equal,
    "$notIn": _not_in,
}
