"""JSON with exact decimals. Half a surrogate pair, as JavaScript writes it, does not make it unreadable."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec


def _decimal(text: str) -> Decimal:
    """The exact number. Its exponent is kept as it is, so a large one takes neither time nor memory."""
    try:
        return Decimal(text)
    except InvalidOperation as error:  # an exponent of 19 digits or more
        raise msgspec.DecodeError(f"the number {text[:40]} is out of range") from error


_DECODER = msgspec.json.Decoder(float_hook=_decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def decode_json(content: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Decode JSON; fractions become decimals.

    Raises:
        msgspec.DecodeError: It is not complete JSON, or a number in it is out of range.
        RecursionError: It is nested too deeply.
    """
    try:
        return _DECODER.decode(content)
    except msgspec.DecodeError:
        repaired = _without_surrogates(content)
        if repaired is None:
            raise
        return repaired


def encode_json(value: object) -> bytes:
    """Encode JSON; decimals become the numbers that they were decoded from."""
    return _ENCODER.encode(value)


def _without_surrogates(content: bytes) -> Any:  # noqa: ANN401 - any JSON
    r"""Decode JSON with half a surrogate pair, such as ``"\ud83d"``, as U+FFFD. Returns None if it is not JSON.

    JavaScript cuts texts in the middle of such a pair and writes what is left.
    """
    try:
        return _repaired(json.loads(content, parse_float=_decimal, parse_constant=_refuse))
    except (ValueError, RecursionError, msgspec.DecodeError):
        return None


def _refuse(constant: str) -> None:
    """Refuse NaN and the infinities: they are not JSON."""
    raise ValueError(constant)


def _repaired(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_repaired(item) for item in value]
    if isinstance(value, dict):
        return {_repaired(key): _repaired(item) for key, item in value.items()}
    return value
