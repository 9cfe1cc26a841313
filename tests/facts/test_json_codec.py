"""JSON is decoded exactly, and what other decoders refuse is decoded, too."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tap_jetti.facts.json_codec import decode_json, encode_json


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"[1.50]", [Decimal("1.50")]),
        (b"[1e999999999]", [Decimal("1e999999999")]),
        (b"[1e99999999999999999999, 1.5]", ["1e99999999999999999999", Decimal("1.5")]),
        (rb'["\ud83d"]', ["\ufffd"]),
    ],
)
def test_decoding_is_exact_and_bounded(content: bytes, value: object) -> None:
    """Decimals keep their digits; an exponent that no decimal can hold makes a text; nothing is expanded."""
    assert decode_json(content, huge_as_text=True) == value
    assert len(encode_json(value)) < 100


@pytest.mark.parametrize(
    "content", [b"", b"[", b"[NaN]", b"[1e99999999999999999999]", rb'["\ud83d", 1e99999999999999999999]', b"9" * 5_000]
)
def test_what_is_not_json_is_one_error(content: bytes) -> None:
    """Every failure is a `msgspec.DecodeError`."""
    with pytest.raises(msgspec.DecodeError):
        decode_json(content)
