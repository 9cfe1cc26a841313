"""The rejects file: what a person can act on, and what can be sent again in any order, twice, and into itself."""

from __future__ import annotations

import json
import os
import random
from typing import IO, TYPE_CHECKING, Any

import pytest
from odd_server import odd_server
from target_runs import Outcome, as_lines, deliver, jetti, record, rejects, schema, settings_for, state, stock, variant

from tap_jetti.target.target import TargetJetti

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def setting_aside(path: Path) -> dict[str, Any]:
    """The settings of a run that goes on after a rejected record."""
    return {"on_reject": "set_aside", "rejects_path": str(path)}


def replay(sandbox: Any, source: Path, path: Path) -> Outcome:
    """Send a rejects file to the target, as its own rejects file or as another one."""
    return deliver(sandbox, source.read_text(encoding="utf-8").rstrip("\n"), **setting_aside(path))


def filled(path: Path) -> None:
    """Reject records of two streams, with and without fields of odd values."""
    levels = "inventory_levels"
    with jetti() as sandbox:
        bad = [variant(number, f"{number}+", costPrice=1.50, barcode="ä\u2028") for number in range(3)]
        nan = json.dumps(variant(9, "?")).replace('"?"', "NaN")
        wrong = record(levels, VARIANT_ID="x", QUANTITY=1)
        deliver(
            sandbox,
            *(schema(), schema(levels, VARIANT_ID={}, QUANTITY={}), *bad, nan, wrong, variant(4, 4)),
            **setting_aside(path),
        )
        assert stock(sandbox) == {"e4": 4}


def test_a_rejects_file_does_not_grow_when_it_is_sent_into_itself(tmp_path: Path) -> None:
    """As input and rejects file of one run, read while it is written, as often as one likes."""
    path = tmp_path / "rejects.jsonl"
    filled(path)
    before = path.read_bytes()
    with jetti() as sandbox:
        for _ in range(2):
            assert replay(sandbox, path, path).code == 1
            with path.open("rb") as source:
                target = TargetJetti(config=settings_for(sandbox, **setting_aside(path)))
                with pytest.raises(SystemExit):
                    target.run(source)  # type: ignore[arg-type]
            assert path.read_bytes() == before
    first = next(one for one in rejects(path) if one["type"] == "RECORD")
    assert first["rejection"].keys() >= {"status", "title", "detail", "time"}


def test_a_rejects_file_is_sent_in_any_order_and_twice(tmp_path: Path) -> None:
    """Another rejects file gets each record that comes, and no more of them when they come again."""
    path, other = tmp_path / "rejects.jsonl", tmp_path / "other.jsonl"
    filled(path)
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    heads = [line for line in lines if json.loads(line)["type"] == "SCHEMA"]
    records = [line for line in lines if line not in heads]
    random.Random(1).shuffle(records)
    shuffled = tmp_path / "shuffled.jsonl"
    shuffled.write_text("\n".join(heads + records + records) + "\n", encoding="utf-8")
    with jetti() as sandbox:
        for _ in range(3):
            assert replay(sandbox, shuffled, other).code == 1
    kept = [json.dumps(one["record"]) for one in rejects(other) if one["type"] == "RECORD"]
    assert sorted(kept) == sorted(json.dumps(json.loads(line)["record"]) for line in records + records)


class Piped:
    """A file as another program passes it on: as long as it grows, and without telling which file it is."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        """Its lines, those that are written meanwhile, too."""
        return iter(self._source.readline, b"")

    def fileno(self) -> int:
        """Nothing."""
        raise OSError


@pytest.mark.parametrize("is_piped", [True, False])
def test_parts_of_a_record_are_not_written_for_ever(is_piped: bool, tmp_path: Path) -> None:
    """A record of two vendor skus is set aside per vendor sku, also where the file is read while it is written."""
    path = tmp_path / "rejects.jsonl"
    vendor_skus = [{"vendorSku": sku, "dropshipProviderId": 3} for sku in ("v1", "v2")]
    whole = {**record("acknowledgements", sku="s1", vendorSkus=vendor_skus), "rejection": {}}
    path.write_text(as_lines([schema("acknowledgements", sku={}, vendorSkus={}), whole]))
    rows: dict[str, list[dict[str, Any]]] = {"custom-channels": [{"id": 2, "channelId": 5, "webhookHash": "c5"}]}
    with odd_server(rows=rows, answer=lambda call: (422, {"title": "no"}) if call.method == "PUT" else None) as odd:
        for _ in range(2):
            with path.open("rb") as source:
                lines: Any = Piped(source) if is_piped else source
                with pytest.raises(SystemExit):
                    TargetJetti(config=settings_for(odd, channel_id=5, **setting_aside(path))).run(lines)
    kept = [one["record"]["vendorSkus"] for one in rejects(path) if one["type"] == "RECORD"]
    assert sorted(map(str, kept[1:])) == [str([one]) for one in vendor_skus]


def test_a_record_that_is_rejected_anew_is_kept_again(tmp_path: Path) -> None:
    """It came from the source, not from the file: it may be newer than what was accepted meanwhile."""
    path = tmp_path / "rejects.jsonl"
    with jetti() as sandbox:
        for _ in range(2):
            deliver(sandbox, schema(), variant(1, -1), **setting_aside(path))
    assert len([one for one in rejects(path) if one["type"] == "RECORD"]) == 2


def test_a_mended_record_is_written(tmp_path: Path) -> None:
    """A person corrects the value in the file, and sends it."""
    path = tmp_path / "rejects.jsonl"
    filled(path)
    mended = tmp_path / "mended.jsonl"
    mended.write_text(path.read_text(encoding="utf-8").replace('"1+"', "11"), encoding="utf-8")
    with jetti() as sandbox:
        replay(sandbox, mended, path)
        assert stock(sandbox) == {"e1": 11}


@pytest.mark.parametrize("name", ["accessToken", "ACCESS_TOKEN", "hash", "HASH"])
def test_a_secret_is_neither_kept_nor_shown_nor_forgotten(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its column is named; the record is not sent without it, but with it."""
    path = tmp_path / "rejects.jsonl"
    fields = {"resource": "channels", "id": "five", name: "s3cr3t-value"}
    with odd_server(rows={"channels": [{"id": 5}]}) as odd:
        deliver(
            odd, schema("updates", **{name: {} for name in fields}), record("updates", **fields), **setting_aside(path)
        )
        [kept] = [one for one in rejects(path) if one["type"] == "RECORD"]
        assert kept["rejection"]["withheld"] == [name]
        assert "s3cr3t" not in path.read_text() + caplog.text
        path.write_text(path.read_text().replace('"five"', "5"))
        outcome = replay(odd, path, tmp_path / "other")
        assert (outcome.code, odd.writes) == (1, [])
        assert f"{name} may hold a secret" in caplog.text


@pytest.mark.parametrize(
    ("message", "said"),
    [
        pytest.param(
            variant(1, "10+"),
            'externalId "e1" (line 2) was rejected: inventoryQuantity.invalid:'
            ' inventoryQuantity must be an integer, not "10+"',
            id="value",
        ),
        pytest.param(variant(1, "\u200b5"), 'not "<ZERO WIDTH SPACE>5"', id="invisible"),
        pytest.param(variant(1, "x" * 10_000), f'not "{"x" * 60}…"', id="long"),
        pytest.param(variant(1, "ftp://bob:pw@h/x"), "ftp://***@h/x", id="credentials"),
        pytest.param(variant(1, {"a": 1}), "must be an integer, not an object", id="object"),
        pytest.param(record(EXTERNAL_ID=7, inventory_quantity=-1), "externalId 7 (line 2)", id="other-name"),
        pytest.param(record(externalId="a", kg=1), "nearest known name is", id="nearest"),
        pytest.param(record(externalId="a" * 1_000, name=[]), f'externalId "{"a" * 60}…" (line 2)', id="long-key"),
    ],
)
def test_a_rejection_names_the_key_the_field_and_the_value(message: dict[str, Any], said: str) -> None:
    """And what is allowed; what cannot be seen is shown by its name."""
    with jetti() as sandbox:
        assert said in str(deliver(sandbox, schema(), message).error)


def test_rejects_can_be_thrown_away() -> None:
    """A device cannot be synchronised with a disk; STATE goes on."""
    with jetti() as sandbox:
        outcome = deliver(
            sandbox, schema(), variant(1, -1), variant(2, 2), state(1), on_reject="set_aside", rejects_path=os.devnull
        )
        assert (outcome.code, outcome.error, outcome.states) == (1, None, [1])
