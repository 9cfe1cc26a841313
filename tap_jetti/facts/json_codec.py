"""JSON with exact decimals. It also decodes two things that other decoders refuse, see `decode_json`."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def decode_json(content: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Decode JSON. Numbers with a fraction or an exponent become decimals.

    Half a surrogate pair becomes U+FFFD. A number with an exponent of more digits than a decimal can hold
    becomes its text.

    Raises:
        msgspec.DecodeError: The content is not complete JSON.
        RecursionError: It is nested too deep.
    """
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, ArithmeticError) as error:
        found = _decode_odd(content)
        if found is None:
            raise msgspec.DecodeError(str(error)) from error
        return found


def encode_json(value: object) -> bytes:
    """Encode JSON; decimals become the numbers that they were decoded from."""
    return _ENCODER.encode(value)


def _decode_odd(content: bytes) -> Any:  # noqa: ANN401 - any JSON
    r"""Decode JSON that may have half a surrogate pair, such as ``"\ud83d"``. Return None if it is not JSON.

    JavaScript cuts texts in the middle of such a pair and writes what is left.
    """
    try:
        return _repaired(json.loads(content, parse_float=_exact, parse_constant=_refuse))
    except (ValueError, RecursionError):
        return None


def _exact(number: str) -> Decimal | str:
    """Return a number as a decimal, or as the text that it is if a decimal cannot hold its exponent."""
    try:
        return Decimal(number)
    except ArithmeticError:
        return number


def _refuse(constant: str) -> None:
    """Refuse NaN and the infinities, which JSON does not have."""
    raise ValueError(constant)


def _repaired(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_repaired(item) for item in value]
    if isinstance(value, dict):
        return {_repaired(key): _repaired(item) for key, item in value.items()}
    return value
