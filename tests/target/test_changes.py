"""Only what changed is sent, no more than allowed, and it is said what was."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_runs import FEED, VARIANTS, deliver, jetti, record, schema, state, stock, variant

from tap_jetti.errors import SettingsError
from tap_jetti.target.fields import CHECKS, InvalidValueError, comparable

if TYPE_CHECKING:
    from pathlib import Path

    from tap_jetti.sandbox import Sandbox


def fill(sandbox: Sandbox, count: int, **fields: Any) -> None:
    """Give the feed some variants."""
    sandbox.replace(
        VARIANTS,
        [
            {
                "id": n + 1,
                "externalId": f"e{n}",
                "vendorSku": f"v{n}",
                "inventoryQuantity": n,
                "inventoryFeedId": FEED,
                **fields,
            }
            for n in range(count)
        ],
    )


@pytest.mark.parametrize("delivery", ["inbound", "api"])
def test_only_differences_are_sent_and_state_passes_the_rest(delivery: str) -> None:
    """Of 230 variants 3 differ and one is new: they go, the rest are unchanged, five GETs read and prove them."""
    with jetti() as sandbox:
        fill(sandbox, 230)
        changed = {5: 99, 100: 0, 229: 1}
        messages = [variant(n, changed.get(n, n)) for n in range(231)]
        outcome = deliver(sandbox, schema(), *messages, state(1), delivery=delivery)
        assert (outcome.states, outcome.code) == ([1], 0)
        found = outcome.of()
        assert (found.received, found.unchanged, found.changed, found.added, found.sent) == (231, 227, 3, 1, 4)
        assert stock(sandbox) == {f"e{n}": changed.get(n, n) for n in range(231)}
        assert len([one for one in sandbox.requests.gets if "variants" in one.path]) <= 6


@pytest.mark.parametrize(
    ("field", "stored", "sent", "same"),
    [
        pytest.param("costPrice", "10.00", 10, True, id="decimal-text"),
        pytest.param("costPrice", 10.5, "10.50", True, id="number-sent-as-text"),
        pytest.param("costPrice", 10.5, 10.51, False, id="another-number"),
        pytest.param("inventoryQuantity", 3, "3", True, id="integer-as-text"),
        pytest.param("barcode", None, None, True, id="null"),
        pytest.param("barcode", "", None, False, id="empty-is-not-null"),
        pytest.param("barcode", 123, "123", True, id="number-in-text-field"),
        pytest.param("manualInventoryPolicy", True, "true", True, id="boolean"),
        pytest.param("images", {"b": 1, "a": [1.0]}, {"a": [1], "b": "1"}, False, id="json-differs"),
        pytest.param("images", {"b": 1, "a": [1.0]}, {"a": [1], "b": 1.00}, True, id="json-same"),
        pytest.param("lastFetchedAt", "2024-01-01T00:00:00.000Z", "2024-01-01T01:00:00+01:00", True, id="date"),
        pytest.param("description", "x" * 900, "x" * 900, True, id="long-text"),
        pytest.param("description", "x" * 900, "x" * 899 + "y", False, id="long-text-differs"),
    ],
)
def test_values_compare_by_what_they_mean(field: str, stored: Any, sent: Any, same: bool) -> None:
    """Neither spelling nor type makes a difference; only fields that the record has are looked at."""
    with jetti() as sandbox:
        row = {"id": 1, "externalId": "a", "inventoryFeedId": FEED, "cachedName": "other", field: stored}
        sandbox.replace(VARIANTS, [row])
        message = record(externalId="a", **{field: sent})
        outcome = deliver(sandbox, schema(VARIANTS, **{field: {}, "externalId": {}}), message)
        assert outcome.error is None
        assert outcome.of().unchanged == int(same)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9), st.integers(0, 6))
def test_trailing_zeros_mean_nothing(number: Any, zeros: int) -> None:
    """A number, its text, and its text with more zeros are the same."""
    text = f"{number:f}"
    longer = text + ("" if "." in text else ".") + "0" * zeros if zeros else text
    assert comparable("number", number) == comparable("number", text) == comparable("number", longer)


@given(st.one_of(st.integers(), st.floats(), st.text(), st.booleans(), st.lists(st.integers()), st.none()))
def test_no_value_breaks_a_check(value: Any) -> None:
    """Whatever a field holds is taken or refused with a reason, and compares with itself."""
    for kind, check in CHECKS.items():
        if value is not None:
            with contextlib.suppress(InvalidValueError):
                checked = check(value)
                assert comparable(kind, checked) == comparable(kind, check(checked))


def test_a_key_that_goes_back_to_its_old_value_is_unchanged_if_nothing_was_sent() -> None:
    """Records that come together are merged before they are compared."""
    with jetti() as sandbox:
        fill(sandbox, 1)
        outcome = deliver(sandbox, schema(), variant(0, 5), variant(0, 0), batch_size=1)
        assert (outcome.of().merged, outcome.of().unchanged, outcome.of().sent) == (1, 1, 0)
        assert stock(sandbox) == {"e0": 0}


def test_a_key_that_goes_back_to_its_old_value_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change was sent in this run, the value that Jetti had before it is a change, too."""
    monkeypatch.setattr("tap_jetti.target.delivery.write_path.DECIDED_TOGETHER", 1)
    with jetti() as sandbox:
        fill(sandbox, 1)
        outcome = deliver(sandbox, schema(), variant(0, 5), variant(0, 0), batch_size=1)
        assert outcome.of().sent == 2
        assert stock(sandbox) == {"e0": 0}


def test_everything_goes_when_nothing_is_compared() -> None:
    """Without skip_unchanged the feed is not read."""
    with jetti() as sandbox:
        fill(sandbox, 3)
        outcome = deliver(sandbox, schema(), *(variant(n, n) for n in range(3)), skip_unchanged=False)
        assert outcome.of().sent == 3
        assert not any("variants" in one.path for one in sandbox.requests.gets)


def test_max_updates_leaves_the_rest_and_holds_state_back(caplog: pytest.LogCaptureFixture) -> None:
    """Unchanged records cost nothing; behind the first one that is left no STATE comes out."""
    with jetti() as sandbox:
        fill(sandbox, 4)
        messages = [variant(0, 0), variant(1, 50), state("a"), variant(2, 50), state("b"), variant(3, 50), state("c")]
        with caplog.at_level(logging.WARNING):
            outcome = deliver(sandbox, schema(), *messages, max_updates=2)
        assert (outcome.states[-1], outcome.code, outcome.of().left) == ("b", 0, 1)
        assert stock(sandbox) == {"e0": 0, "e1": 50, "e2": 50, "e3": 3}
        assert "1 inventory feed variants are left" in caplog.text
        again = deliver(sandbox, schema(), *messages, max_updates=2)
        assert (again.states[-1], again.of().unchanged, again.of().sent) == ("c", 3, 1)


def test_merged_records_of_another_action_do_not_raise_the_limit() -> None:
    """Only what counts against max_updates gives its share back when it is merged with an earlier record."""
    with jetti() as sandbox:
        fill(sandbox, 2)
        fields = [record("custom_fields", resource="sales", resourceId=31, key="gift", value=n) for n in range(3)]
        messages = [schema("custom_fields"), *fields, variant(0, 50), variant(1, 50)]
        outcome = deliver(sandbox, schema(), *messages, max_updates=1)
        assert (outcome.of("custom_fields").merged, outcome.of().sent, outcome.of().left) == (2, 1, 1)


def test_the_largest_changes_go_first_when_told_to() -> None:
    """Of ten changes the three largest are sent, whichever way they go, and the rest is left."""
    with jetti() as sandbox:
        fill(sandbox, 10)
        changes = {0: 1, 1: 2, 2: 500, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8, 8: 0, 9: 900}
        outcome = deliver(
            sandbox, schema(), *(variant(n, q) for n, q in changes.items()), state(1),
            max_updates=3, max_updates_order="largest_change",
        )  # fmt: skip
        assert (outcome.states, outcome.of().left, outcome.of().sent) == ([], 7, 3)
        assert {n for n in range(10) if stock(sandbox)[f"e{n}"] != n} == {2, 8, 9}


def test_a_later_record_of_a_key_is_ranked_by_the_change_it_makes() -> None:
    """What counts is how far Jetti's own quantity is from the last one that came."""
    with jetti() as sandbox:
        fill(sandbox, 3)
        messages = [variant(0, 1), variant(1, 50), variant(0, 900), variant(2, 60)]
        deliver(sandbox, schema(), *messages, max_updates=1, max_updates_order="largest_change")
        assert stock(sandbox) == {"e0": 900, "e1": 1, "e2": 2}


def test_a_dry_run_prints_the_plan_and_writes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Adds, changes, unchanged and invalid are counted; nothing is sent, no STATE and no rejects are written."""
    path = tmp_path / "rejects.jsonl"
    with jetti() as sandbox:
        fill(sandbox, 3)
        outcome = deliver(
            sandbox, schema(), variant(0, 0), variant(1, 9), variant(7, 7), variant(8, -1), state(1),
            dry_run=True, on_reject="set_aside", rejects_path=str(path),
        )  # fmt: skip
        assert (outcome.code, outcome.states) == (1, [])
        assert sandbox.requests.writes == []
    assert not path.exists()
    plan = capsys.readouterr().err
    assert "Dry run: nothing was written." in plan
    names, values = (line.split() for line in plan.replace("to send", "to_send").splitlines()[-3:-1])
    assert dict(zip(names, values, strict=True)) == {
        "action": VARIANTS, "received": "4", "unchanged": "1", "merged": "0", "confirmed": "0", "to_send": "2",
        "left": "0", "rejected": "1", "added": "1", "changed": "1", "calls": "1",
    }  # fmt: skip


def test_the_summary_is_one_line_of_json_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Figures by action, requests and waits can be read by a machine; no hash or token is in the log."""
    with jetti() as sandbox, caplog.at_level(logging.DEBUG):
        deliver(sandbox, schema(), variant(1, 1))
        text = next(one.getMessage() for one in caplog.records if one.getMessage().startswith("Summary: "))
        summary = json.loads(text.removeprefix("Summary: "))
        assert summary["actions"][VARIANTS]["accepted"] == 1
        assert summary["requests"] == len(sandbox.requests)
        assert {"limiter_wait_seconds", "seconds", "retries"} <= summary.keys()
        assert "not-to-be-shown" not in caplog.text
        assert sandbox.token not in caplog.text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        pytest.param({"on_reject": "set_aside"}, "needs rejects_path", id="no-rejects-path"),
        pytest.param({"delivery": "file"}, "needs feed_path", id="no-feed-path"),
        pytest.param(
            {"confirm_seconds": 1, "inventory_feed_hash": "h", "inventory_feed_id": None, "skip_unchanged": False},
            "confirm_seconds needs inventory_feed_id",
            id="confirm-feed",
        ),
        pytest.param(
            {"confirm_seconds": 1, "channel_hash": "h", "channel_id": None},
            "confirm_seconds needs channel_id",
            id="confirm-channel",
        ),
        pytest.param({"delivery": "file", "feed_path": "ftp://u:p@h/f.csv"}, "no credentials", id="credentials"),
        pytest.param(
            {"max_updates_order": "largest_change", "skip_unchanged": False}, "needs skip_unchanged", id="order"
        ),
        pytest.param(
            {"max_updates": 2, "skip_unchanged": False, "ledger": "none"},
            "max_updates needs skip_unchanged or the ledger",
            id="no-progress",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], text: str) -> None:
    """The error names the setting that is missing, before anything is asked or sent."""
    with jetti() as sandbox:
        with pytest.raises(SettingsError, match=text):
            deliver(sandbox, schema(), **settings)
        assert len(sandbox.requests) == 0


def test_a_status_that_a_purchase_has_is_not_set_again() -> None:
    """What somebody moved on in Jetti meanwhile is set, the rest is unchanged."""
    statuses = [record("purchase_statuses", purchaseId=purchase, purchaseStatus="Sent") for purchase in (21, 22, 23)]
    with jetti() as sandbox:
        assert deliver(sandbox, schema("purchase_statuses"), *statuses).of("purchase_statuses").sent == 3
        sandbox.upsert("purchases", {"id": 22, "purchaseStatusId": 1})
        again = deliver(sandbox, schema("purchase_statuses"), *statuses, state(1)).of("purchase_statuses")
        assert (again.unchanged, again.sent) == (2, 1)
        assert {row["purchaseStatusId"] for row in sandbox.rows("purchases")} == {2}
        every = deliver(sandbox, schema("purchase_statuses"), *statuses, skip_unchanged=False)
        assert every.of("purchase_statuses").sent == 3


def test_a_custom_field_that_has_the_value_is_not_set_again() -> None:
    """Values are compared as text, since Jetti may keep them so; nested ones are always sent."""
    values = {"gift": "yes", "weight": 3, "note": None, "nested": {"a": 1}}
    fields = [record("custom_fields", resource="sales", resourceId=31, key=key, value=v) for key, v in values.items()]
    with jetti() as sandbox:
        assert deliver(sandbox, schema("custom_fields"), *fields).of("custom_fields").sent == 4
        again = deliver(sandbox, schema("custom_fields"), *fields).of("custom_fields")
        assert (again.unchanged, again.sent) == (3, 1)
        fields[0] = record("custom_fields", resource="sales", resourceId=31, key="gift", value="no")
        assert deliver(sandbox, schema("custom_fields"), *fields).of("custom_fields").unchanged == 2
