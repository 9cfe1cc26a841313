"""The keys of a run: none is forgotten, and hardly one is mistaken for another."""

from __future__ import annotations

import pytest

from tap_jetti.target.delivery.operations import OperationKey
from tap_jetti.target.delivery.sent_keys import SentKeys


def key_of(number: int) -> OperationKey:
    """The key with a number."""
    return OperationKey("rows", 7, "externalId", f"e{number}")


@pytest.mark.parametrize("exact", [0, 1_000, 1_000_000], ids=["filter", "both", "exact"])
def test_no_key_is_forgotten_or_mistaken(exact: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten thousand keys each is new once and known from then on, and ten thousand others are not known."""
    monkeypatch.setattr("tap_jetti.target.delivery.sent_keys.MAX_EXACT", exact)
    sent, count = SentKeys(), 10_000
    assert all(sent.add(key_of(number)) for number in range(count))
    assert not any(sent.add(key_of(number)) for number in range(count))
    assert all(key_of(number) in sent for number in range(count))
    assert not any(key_of(number) in sent for number in range(count, 2 * count))
