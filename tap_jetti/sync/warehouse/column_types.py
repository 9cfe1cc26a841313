"""The types of columns: which type a property gets, which values it holds exactly, and what a type can be widened to.

No value is ever rounded, cut or turned into null. A value that its column cannot hold exactly makes the column wider::

    BIGINT -> DECIMAL(38, s) -> DOUBLE, if it shows every value as it is -> VARCHAR
    BOOLEAN, TIMESTAMP -> VARCHAR
    BIGINT[], VARCHAR[], ... -> JSON
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tap_jetti.facts.json_codec import encode_json
from tap_jetti.facts.kinds import Kind, items_of, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DIGITS = 38
"""Digits of the widest DECIMAL."""

SCALE = 10
"""Digits behind the decimal point in a new column of numbers."""

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:Z|\+00:?00)", re.ASCII)
_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")
_ARRAY_ITEMS = {Kind.TEXT: "VARCHAR", Kind.INTEGER: "BIGINT", Kind.BOOLEAN: "BOOLEAN"}
_SCALARS = {Kind.TEXT: "VARCHAR", Kind.INTEGER: "BIGINT", Kind.BOOLEAN: "BOOLEAN", Kind.DATE: "TIMESTAMP"}
_NUMBERS = ("BIGINT", "DECIMAL", "DOUBLE")


@dataclass(frozen=True)
class ColumnType:
    """A type of DuckDB.

    Attributes:
        name: As DuckDB spells it: ``DECIMAL(38,10)``.
    """

    name: str

    @property
    def family(self) -> str:
        """The name without the figures of a DECIMAL."""
        return self.name.partition("(")[0]

    @property
    def is_array(self) -> bool:
        """Whether it holds arrays of one type."""
        return self.name.endswith("[]")

    @property
    def scale(self) -> int:
        """Digits behind the point."""
        found = _DECIMAL.fullmatch(self.name)
        return int(found[2]) if found else 0

    @property
    def whole_digits(self) -> int:
        """Digits before the point."""
        found = _DECIMAL.fullmatch(self.name)
        return int(found[1]) - int(found[2]) if found else 0

    def text(self, value: Any) -> str | None:  # noqa: ANN401, PLR0911 - any JSON; a table of types
        """The text that DuckDB casts to exactly this value, or None if the type cannot hold it.

        Args:
            value: A value that is not null.
        """
        family = self.family
        if family == "VARCHAR" and not self.is_array:
            return value if isinstance(value, str) else encode_json(value).decode()
        if family == "BIGINT" and not self.is_array:
            return _integer(value)
        if family == "DECIMAL":
            return self._decimal(value)
        if family == "BOOLEAN" and not self.is_array:
            return str(value).lower() if isinstance(value, bool) else None
        if family == "TIMESTAMP":
            return _date(value)
        if family == "DOUBLE":
            return _double(value)
        if self.is_array:
            return self._array(value)
        # JSON, or a type that somebody else gave the column: DuckDB decides.
        return encode_json(value).decode() if family == "JSON" or not isinstance(value, str) else value

    def cast(self, column: str) -> str:
        """SQL that makes a value of this type from such a text.

        Args:
            column: The quoted name of the column with the text.
        """
        return f"CAST(CAST({column} AS JSON) AS {self.name})" if self.is_array else f"CAST({column} AS {self.name})"

    def convert(self, column: str, old: ColumnType) -> str:
        """SQL that makes a value of this type from one of another type.

        Args:
            column: The quoted name of the column.
            old: The type that the column has.
        """
        if self.name == "JSON":
            return f"to_json({column})"
        if self.name == "VARCHAR" and old.family == "TIMESTAMP":
            return f"regexp_replace(strftime({column}, '%Y-%m-%dT%H:%M:%S.%f'), '000$', '') || 'Z'"
        if self.name == "VARCHAR" and old.family == "DECIMAL" and old.scale:
            return f"rtrim(rtrim(CAST({column} AS VARCHAR), '0'), '.')"
        return f"CAST({column} AS {self.name})"

    def wider(self, values: Iterable[Any]) -> Iterator[ColumnType]:
        """The types to try, the narrowest first, if this one cannot hold these values. The last holds anything."""
        values = list(values)
        if self.is_array or self.name == "JSON":
            yield JSON
            return
        if self.family in _NUMBERS and all(_number(value) is not None for value in values):
            figures = [_figures(value) for value in values]
            whole, scale = max(one for one, _ in figures), max(one for _, one in figures)
            # Whether what is stored fits one of these only a query can tell.
            scales = dict.fromkeys((max(self.scale, scale), scale, DIGITS - whole))
            yield from (decimal_type(one) for one in scales if 0 <= one <= DIGITS)
            yield DOUBLE
        yield VARCHAR

    def _decimal(self, value: Any) -> str | None:  # noqa: ANN401 - any JSON
        number = _number(value)
        if number is None:
            return None
        whole, behind = _figures(number)
        return f"{number:f}" if whole <= self.whole_digits and behind <= self.scale else None

    def _array(self, value: Any) -> str | None:  # noqa: ANN401 - any JSON
        items = ColumnType(self.name.removesuffix("[]"))
        is_plain = isinstance(value, list) and all(
            one is None or (items.text(one) is not None and (items.name != "VARCHAR" or isinstance(one, str)))
            for one in value
        )
        return encode_json(value).decode() if is_plain else None


VARCHAR, JSON, DOUBLE = ColumnType("VARCHAR"), ColumnType("JSON"), ColumnType("DOUBLE")


def decimal_type(scale: int) -> ColumnType:
    """The widest DECIMAL with this scale."""
    return ColumnType(f"DECIMAL({DIGITS},{scale})")


def column_type(facts: Mapping[str, Any]) -> ColumnType:
    """The type of a new column for a property.

    Args:
        facts: The JSON Schema of the property.
    """
    kind = kind_of(facts)
    if kind is Kind.NUMBER:
        return decimal_type(SCALE)
    if kind is Kind.ARRAY:
        items = _ARRAY_ITEMS.get(kind_of(items_of(facts)))
        return ColumnType(f"{items}[]") if items else JSON
    return ColumnType(_SCALARS[kind]) if kind in _SCALARS else JSON


def common_type(old: ColumnType, wanted: ColumnType) -> ColumnType:
    """The type of a column whose property has changed: it holds what is stored, and what will come.

    Args:
        old: The type that the column has.
        wanted: The type that a new column would have.
    """
    if old in {wanted, JSON} or (old == VARCHAR and not wanted.is_array and wanted != JSON):
        return old
    if wanted == JSON or old.is_array or wanted.is_array:
        return JSON
    if old.family in _NUMBERS and wanted.family in _NUMBERS:
        return old if _NUMBERS.index(old.family) >= _NUMBERS.index(wanted.family) else wanted
    return VARCHAR if old.family in {*_NUMBERS, *_SCALARS.values()} else old


def _number(value: Any) -> Decimal | None:  # noqa: ANN401 - any JSON
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    return value if isinstance(value, Decimal) else Decimal(repr(value))


def _figures(value: Any) -> tuple[int, int]:  # noqa: ANN401 - a number
    """The digits before and behind the point that a number needs."""
    number = _number(value) or Decimal(0)
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or not number:
        return 0, 0
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    return max(0, len(digits) + exponent), max(0, -(exponent + zeros))


def _integer(value: Any) -> str | None:  # noqa: ANN401 - any JSON
    if type(value) is not int:
        number = _number(value)
        if number is None or not number.is_finite() or _figures(number)[1] or _figures(number)[0] > DIGITS:
            return None
        value = int(number)
    return str(value) if _SMALLEST <= value <= _LARGEST else None


def _double(value: Any) -> str | None:  # noqa: ANN401 - any JSON
    number = _number(value)
    if number is None:
        return None
    nearest = float(number)
    return repr(nearest) if math.isfinite(nearest) and Decimal(repr(nearest)) == number else None


def _date(value: Any) -> str | None:  # noqa: ANN401 - any JSON
    found = _DATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        datetime.fromisoformat(found[1])
    except ValueError:
        return None
    return f"{found[1]}.{found[2]}" if found[2] else found[1]
