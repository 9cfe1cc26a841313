"""Stock of one's own warehouse, by variant and by channel: compared first, sent if it differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from target_runs import CHANNEL, Outcome, deliver, jetti, record, rejects, schema, state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tap_jetti.sandbox import Sandbox

OWN, CHANNELS = "inventory_levels", "channel_inventory_levels"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A company whose two variants are in a channel, and a third that shares a sku."""
    with jetti() as sandbox:
        sandbox.upsert("variants", {"id": 11, "inventoryQuantity": 5})
        sandbox.upsert("variants", {"id": 12, "inventoryQuantity": 0})
        sandbox.upsert("adjustment_reasons", {"id": 2, "name": "Count"})
        for number in (11, 12):
            sandbox.upsert(
                "channel_variants",
                {"id": number, "channelId": CHANNEL, "variantId": number, "externalId": f"shop-{number}"},
            )
        # Another channel uses the same external id for the other variant.
        sandbox.upsert("channel_variants", {"id": 90, "channelId": 6, "variantId": 12, "externalId": "shop-11"})
        yield sandbox


def send(sandbox: Sandbox, stream: str, *records: dict[str, Any], **settings: Any) -> Outcome:
    """Deliver records of one stream."""
    return deliver(
        sandbox, schema(stream), *(record(stream, **fields) for fields in records), state(len(records)), **settings
    )


def written(sandbox: Sandbox) -> list[tuple[str, Any]]:
    """The path and the body of each write."""
    return [(one.path.removeprefix("/api/"), one.body) for one in sandbox.requests.writes]


def quantities(sandbox: Sandbox) -> list[int]:
    """The stock of the variants."""
    return [row["inventoryQuantity"] for row in sandbox.rows("variants")]


@pytest.mark.parametrize("key", [{"variantId": 11}, {"sku": "s1"}], ids=["by-id", "by-sku"])
def test_stock_of_a_variant_is_set(sandbox: Sandbox, key: dict[str, Any]) -> None:
    """The call carries the quantity, the reason and the notes; the same record again sends nothing."""
    fields = {**key, "quantity": "8", "adjustmentReasonId": 2, "notes": "counted"}
    outcome = send(sandbox, OWN, fields)
    body = {"quantity": 8, "adjustmentReasonId": 2, "notes": "counted"}
    assert written(sandbox) == [("variants/11/set-level.json", body)]
    assert (outcome.states, quantities(sandbox)) == ([1], [8, 0])
    assert send(sandbox, OWN, fields).of(OWN).unchanged == 1
    assert len(sandbox.requests.writes) == 1


def test_stock_of_a_channel_is_set(sandbox: Sandbox) -> None:
    """The external id is that of the record's channel; the same record again sends nothing."""
    records = ({"externalId": "shop-11", "quantity": 7, "notes": "n"}, {"externalId": "shop-12", "quantity": 0})
    outcome = send(sandbox, CHANNELS, *records)
    body = {"externalId": "shop-11", "quantity": 7, "notes": "n"}
    assert written(sandbox) == [(f"channels/{CHANNEL}/set-variant-level.json", body)]
    assert (outcome.of(CHANNELS).sent, outcome.of(CHANNELS).unchanged) == (1, 1)
    assert quantities(sandbox) == [7, 0]
    assert send(sandbox, CHANNELS, *records).of(CHANNELS).unchanged == 2


def test_the_other_name_of_the_path_is_found(sandbox: Sandbox) -> None:
    """The vendor's guide and its reference write it differently."""
    sandbox.options.channel_level_path = "reference"
    records = ({"externalId": "shop-11", "quantity": 7}, {"externalId": "shop-12", "quantity": 3})
    assert send(sandbox, CHANNELS, *records, concurrency=1).error is None
    assert quantities(sandbox) == [7, 3]
    assert [entry.status for entry in sandbox.requests.writes] == [404, 200, 200]


@pytest.mark.parametrize(
    ("stream", "fields", "reason"),
    [
        pytest.param(OWN, {"quantity": 1}, "neither variantId nor sku is given", id="no-key"),
        pytest.param(OWN, {"variantId": 11}, "quantity is missing", id="no-quantity"),
        pytest.param(OWN, {"variantId": 11, "quantity": -1}, "quantity must be", id="negative"),
        pytest.param(OWN, {"variantId": 11, "quantity": "1_0"}, "quantity must be", id="not-a-number"),
        pytest.param(OWN, {"sku": "none", "quantity": 1}, "no variant has this sku", id="unknown-sku"),
        pytest.param(OWN, {"sku": "twice", "quantity": 1}, "2 variants have this sku", id="ambiguous-sku"),
        pytest.param(OWN, {"variantId": 99, "quantity": 1}, "not found", id="unknown-variant"),
        pytest.param(OWN, {"variantId": 11, "quantity": 1, "adjustmentReasonId": 9}, "reason", id="unknown-reason"),
        pytest.param(OWN, {"variantId": 11, "quantity": 1, "warehouseId": 4}, "leave warehouseId out", id="warehouse"),
        pytest.param(CHANNELS, {"quantity": 1}, "externalId is missing", id="channel-no-key"),
        pytest.param(CHANNELS, {"externalId": "none", "quantity": 1}, "no variant with this", id="channel-unknown"),
    ],
)
def test_a_record_that_cannot_be_written_is_rejected(
    sandbox: Sandbox, stream: str, fields: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    """Its neighbours are written."""
    path = tmp_path / "rejects.jsonl"
    for number in (13, 14):
        sandbox.upsert("variants", {"id": number, "sku": "twice", "inventoryQuantity": 0})
    good = {"sku": "s2", "quantity": 4} if stream == OWN else {"externalId": "shop-12", "quantity": 4}
    outcome = send(sandbox, stream, fields, good, on_reject="set_aside", rejects_path=str(path))
    assert (outcome.code, outcome.states) == (1, [2])
    [aside] = [one for one in rejects(path) if one["type"] == "RECORD"]
    assert aside["record"] == fields
    assert reason in aside["rejection"]["detail"]
    assert quantities(sandbox)[1] == 4


@pytest.mark.parametrize("kind", ["503", "reset-after"])
@pytest.mark.parametrize("stream", [OWN, CHANNELS])
def test_a_failed_call_is_repeated(sandbox: Sandbox, stream: str, kind: str) -> None:
    """A level is the same level when it is set twice."""
    left = iter([1.0, 1.0])
    sandbox.options.fault_kinds = (kind,)
    sandbox.on_request = lambda *_: setattr(sandbox.options, "faults", next(left, 0.0))
    fields = {"variantId": 11} if stream == OWN else {"externalId": "shop-11"}
    outcome = send(sandbox, stream, {**fields, "quantity": 6})
    assert (outcome.error, outcome.states, quantities(sandbox)) == (None, [1], [6, 0])


@pytest.mark.parametrize("stream", [OWN, CHANNELS])
def test_the_last_quantity_of_a_variant_wins(sandbox: Sandbox, stream: str) -> None:
    """Records of one variant are merged while they wait, and otherwise sent in order."""
    key = (lambda number: {"sku": f"s{number}"}) if stream == OWN else (lambda n: {"externalId": f"shop-1{n}"})
    records = [{**key(1 + number % 2), "quantity": 100 + number} for number in range(120)]
    outcome = send(sandbox, stream, *records, concurrency=4)
    assert outcome.error is None
    assert quantities(sandbox) == [218, 219]
    assert outcome.of(stream).merged > 100


def test_two_names_of_a_variant_are_said(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """The order between a variantId and a sku is not guaranteed."""
    send(sandbox, OWN, {"variantId": 11, "quantity": 1}, {"sku": "s2", "quantity": 2})
    assert "some records have a variantId and some only a sku" in caplog.text


def test_a_dry_run_and_a_run_without_comparison(sandbox: Sandbox) -> None:
    """The one writes nothing, the other everything."""
    send(sandbox, OWN, {"sku": "s1", "quantity": 9}, dry_run=True)
    assert written(sandbox) == []
    send(sandbox, OWN, {"sku": "s1", "quantity": 5}, skip_unchanged=False)
    assert written(sandbox) == [("variants/11/set-level.json", {"quantity": 5})]
