"""JSON is decoded exactly, and what other decoders refuse is decoded, too."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tap_jetti.facts.json_codec import decode_json, encode_json
from tap_jetti.facts.timestamps import normalise


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


@pytest.mark.parametrize("text", ["1e999999999", "-1E+999999999", "1e-999999999", "1." + "1" * 10_000])
@pytest.mark.parametrize("before", ["", '"\\ud83d", '], ids=["", "after half a surrogate pair"])
def test_a_huge_number_stays_as_short_as_it_came(text: str, before: str) -> None:
    """A huge exponent is kept as it is, in both directions."""
    number = decode_json(f"[{before}{text}]".encode())[-1]
    assert number == Decimal(text)
    assert len(encode_json(number)) <= len(text) + 2


@pytest.mark.parametrize(
    "text",
    ["2020-01/P99999999999999999999Y", "2020-01-01T00:00:00." + "9" * 100_000, "2020-01" + "-01" * 50_000],
)
def test_a_long_or_strange_date_is_refused_briefly(text: str) -> None:
    """No date takes long to refuse, and the error shows its beginning only."""
    with pytest.raises(ValueError, match="is no ISO 8601 date") as raised:
        normalise(text)
    assert len(str(raised.value)) < 100
