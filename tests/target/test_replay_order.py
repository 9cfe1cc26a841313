"""A rejects file that is fed in late puts no older value over a newer one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from target_runs import FEED, VARIANTS, Outcome, deliver, jetti, record, rejects, schema

if TYPE_CHECKING:
    from pathlib import Path

    from tap_jetti.sandbox import Sandbox

SCHEMA = schema(VARIANTS, externalId={}, inventoryQuantity={}, costPrice={}, vendorSku={})


def feed_back(sandbox: Sandbox, path: Path, *, again: Path | None = None) -> Outcome:
    """Feed a rejects file back in."""
    more: dict[str, Any] = {} if again is None else {"on_reject": "set_aside", "rejects_path": str(again)}
    return deliver(sandbox, *rejects(path), **more)


def reject_one(sandbox: Sandbox, path: Path, *records: Any) -> None:
    """Have records set aside, since their quantities are refused."""
    deliver(sandbox, SCHEMA, *records, on_reject="set_aside", rejects_path=str(path))
    assert path.exists()
    lines = path.read_text(encoding="utf-8").replace('"costPrice":"x"', '"costPrice":1')
    path.write_text(lines, encoding="utf-8")  # what a person does about it


@pytest.mark.parametrize("is_unchanged", [False, True], ids=["sent", "unchanged"])
def test_a_replay_puts_no_older_value_over_a_newer_one(is_unchanged: bool, tmp_path: Path) -> None:
    """Per field: what came later, in this run or another, wins; what did not come again is written."""
    path = tmp_path / "rejects"
    with jetti() as sandbox:
        row = {"id": 1, "externalId": "k", "inventoryFeedId": FEED, "inventoryQuantity": 7}
        sandbox.replace(VARIANTS, [row])
        reject_one(sandbox, path, record(externalId="k", inventoryQuantity=5, vendorSku="new", costPrice="x"))
        newer = 7 if is_unchanged else 1005
        deliver(sandbox, SCHEMA, record(externalId="k", inventoryQuantity=newer))
        assert feed_back(sandbox, path).code == 0
        [found] = sandbox.rows(VARIANTS)
        assert (found["inventoryQuantity"], found["vendorSku"], found["costPrice"]) == (newer, "new", 1)


def test_a_replay_of_which_nothing_is_left_is_done(tmp_path: Path) -> None:
    """A record whose fields all came again is no reject any more, and STATE passes it."""
    path = tmp_path / "rejects"
    with jetti() as sandbox:
        reject_one(sandbox, path, record(externalId="k", inventoryQuantity=5, costPrice="x", vendorSku="v"))
        deliver(sandbox, SCHEMA, record(externalId="k", inventoryQuantity=6, costPrice=2, vendorSku="v"))
        outcome = feed_back(sandbox, path)
        assert (outcome.code, outcome.of().sent, outcome.of().merged) == (0, 0, 1)
        [found] = sandbox.rows(VARIANTS)
        assert (found["inventoryQuantity"], found["costPrice"]) == (6, 2)


def test_a_replay_into_another_ledger_yields_to_a_row_that_was_changed_since(tmp_path: Path) -> None:
    """Another machine does not know what came newer: it keeps the record aside, unless the row is as old."""
    path, again = tmp_path / "rejects", tmp_path / "again"
    with jetti() as sandbox:
        reject_one(
            sandbox, path,
            record(externalId="k", inventoryQuantity=5, costPrice="x", vendorSku="v"),
            record(externalId="other", inventoryQuantity=5, costPrice="x", vendorSku="v"),
        )  # fmt: skip
        sandbox.upsert(VARIANTS, {"id": 1, "externalId": "k", "inventoryFeedId": FEED, "inventoryQuantity": 1005})
        messages = [{**one, "rejection": {**one["rejection"], "ledger": "foreign"}} if "rejection" in one else one
                    for one in rejects(path)]  # fmt: skip
        path.write_text("".join(json.dumps(one) + "\n" for one in messages), encoding="utf-8")
        outcome = feed_back(sandbox, path, again=again)
        assert (outcome.code, outcome.of().sent, outcome.of().rejected) == (1, 1, 1)
        assert rejects(again)[1]["rejection"]["title"] == "changed_since"
        assert {one["externalId"]: one["inventoryQuantity"] for one in sandbox.rows(VARIANTS)} == {
            "k": 1005,
            "other": 5,
        }
