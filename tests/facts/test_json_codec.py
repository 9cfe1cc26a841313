"""JSON is decoded exactly, and no number takes more time or memory than its text."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tap_jetti.facts.json_codec import decode_json, encode_json
from tap_jetti.facts.timestamps import normalise


@pytest.mark.parametrize("text", ["1e999999999", "-1E+999999999", "1e-999999999", "1." + "1" * 10_000])
@pytest.mark.parametrize("before", ["", '"\\ud83d", '], ids=["", "after half a surrogate pair"])
def test_a_huge_number_stays_as_short_as_it_came(text: str, before: str) -> None:
    """A huge exponent is kept as it is, in both directions."""
    number = decode_json(f"[{before}{text}]".encode())[-1]
    assert number == Decimal(text)
    assert len(encode_json(number)) <= len(text) + 2


@pytest.mark.parametrize("text", ["1e9999999999999999999", "-1e-9999999999999999999", "9" * 5000])
@pytest.mark.parametrize("before", ["", '"\\ud83d", '], ids=["", "after half a surrogate pair"])
def test_a_number_that_no_computer_needs_is_not_json(text: str, before: str) -> None:
    """An exponent of 19 digits, or an integer of thousands, is refused as JSON that is not complete is."""
    with pytest.raises(msgspec.DecodeError):
        decode_json(f"[{before}{text}]".encode())


@pytest.mark.parametrize(
    "text",
    ["2020-01/P99999999999999999999Y", "2020-01-01T00:00:00." + "9" * 100_000, "2020-01" + "-01" * 50_000],
)
def test_a_long_or_strange_date_is_refused_briefly(text: str) -> None:
    """No date takes long to refuse, and the error shows its beginning only."""
    with pytest.raises(ValueError, match="is no ISO 8601 date") as raised:
        normalise(text)
    assert len(str(raised.value)) < 100
