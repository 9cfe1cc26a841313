"""JSON with exact decimals. It also decodes two things that other decoders refuse, see `decode_json`."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_INTEGER = 1_000
"""Characters of an integer that is decoded as one: longer ones take long, and Python refuses the longest."""

DEEPEST = 200
"""The number of levels that the functions for JSON can follow with the stack of Python."""

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def decode_json(content: bytes, *, huge_as_text: bool = False) -> Any:  # noqa: ANN401 - any JSON
    """Decode JSON. Numbers with a fraction or an exponent become decimals, half a surrogate pair becomes U+FFFD.

    Args:
        content: The JSON.
        huge_as_text: Whether a number with an exponent beyond that of a decimal becomes its text. Otherwise it is an
            error.

    Raises:
        msgspec.DecodeError: The content is not complete JSON, or holds a number that a decimal cannot.
        RecursionError: It is nested too deep.
    """
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, ArithmeticError) as error:
        found = decode_with(content, huge=str if huge_as_text else _refuse, constant=_refuse)
        if found is None:
            raise msgspec.DecodeError(str(error)) from error
        return found


def is_too_deep(value: object) -> bool:
    """Whether a value is nested deeper than `DEEPEST`."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return any(isinstance(one, (dict, list)) for one in level)


def encode_json(value: object) -> bytes:
    """Encode JSON; decimals become the numbers that they were decoded from."""
    return _ENCODER.encode(value)


def decode_with(content: bytes, *, huge: Callable[[str], Any], constant: Callable[[str], Any]) -> Any:  # noqa: ANN401
    r"""Decode JSON that may have half a surrogate pair, such as ``"\ud83d"``. Return None if it is not JSON.

    JavaScript cuts texts in the middle of such a pair and writes what is left.

    Args:
        content: The JSON.
        huge: What becomes of a number that a decimal cannot hold, or an integer of very many digits.
        constant: What becomes of NaN, Infinity and -Infinity, which JSON does not have.
    """
    try:
        found = json.loads(
            content,
            parse_float=partial(_exact, huge=huge),
            parse_int=lambda number: int(number) if len(number) <= _LONGEST_INTEGER else huge(number),
            parse_constant=constant,
        )
        return _repaired(found)
    except (ValueError, RecursionError):
        return None


def _exact(number: str, *, huge: Callable[[str], Any]) -> Any:  # noqa: ANN401 - what `huge` returns
    """Return a number as a decimal, or what `huge` makes of it if a decimal cannot hold its exponent."""
    try:
        return Decimal(number)
    except ArithmeticError:
        return huge(number)


def _refuse(number: str) -> None:
    """Refuse a number, such as NaN and the infinities, which JSON does not have."""
    raise ValueError(number)


def _repaired(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_repaired(item) for item in value]
    if isinstance(value, dict):
        return {_repaired(key): _repaired(item) for key, item in value.items()}
    return value
