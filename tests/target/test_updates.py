"""Rows of any resource are updated by their ids: read first, and only fields that differ are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from odd_server import odd_server
from target_runs import deliver, jetti, record, rejects, schema, state

from tap_jetti.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from tap_jetti.sandbox import Sandbox

STREAM = "updates"


def updates(stream: str = STREAM, *records: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a stream, with a STATE at the end."""
    return [schema(stream), *(record(stream, **fields) for fields in records), state({"done": len(records)})]


def written(sandbox: Sandbox) -> list[tuple[str, Any]]:
    """The path and the body of each write."""
    return [(one.path.removeprefix("/api/"), one.body) for one in sandbox.requests.writes]


def test_only_fields_that_differ_are_sent() -> None:
    """The rows of a batch are read with one GET; of each, what Jetti shows already stays out of the call."""
    with jetti() as sandbox:
        sandbox.upsert("variants", {"id": 11, "name": "Cup", "tags": ["a"], "productType": "x"})
        outcome = deliver(
            sandbox,
            *updates(
                STREAM,
                {"resource": "variants", "id": 11, "name": "Cup", "tags": ["a", "b"], "productType": "x"},
                {"resource": "variants", "id": "12", "name": "Jug"},
            ),
        )
        assert written(sandbox) == [("variants/11.json", {"tags": ["a", "b"]})]
        assert len(sandbox.requests.gets) == 1
        assert (outcome.of(STREAM).sent, outcome.of(STREAM).unchanged) == (1, 1)
        assert outcome.states == [{"done": 2}]
        assert sandbox.rows("variants")[0]["tags"] == ["a", "b"]


@pytest.mark.parametrize("stream", ["sales_updates", "SALES_UPDATES"])
def test_a_stream_is_named_after_its_resource(stream: str) -> None:
    """Its records need no field for the resource."""
    with jetti() as sandbox:
        deliver(sandbox, *updates(stream, {"id": 31, "notes": "call"}, {"id": 31, "resource": "sales", "tags": []}))
        assert written(sandbox) == [("sales/31.json", {"notes": "call", "tags": []})]


def test_a_stream_is_mapped_to_the_updates_of_a_resource() -> None:
    """stream_actions may name them; a name that is none is an error of the settings."""
    with jetti() as sandbox:
        messages = updates("orders", {"id": 31, "notes": "call"})
        deliver(sandbox, *messages, stream_actions={"orders": "sales_updates"})
        assert written(sandbox) == [("sales/31.json", {"notes": "call"})]
        with pytest.raises(SettingsError, match="maps stream orders to sale_updates, which is no action"):
            deliver(sandbox, *messages, stream_actions={"orders": "sale_updates"})


def test_a_field_may_be_called_resource() -> None:
    """In a stream of custom fields, `resource` is the field of that name."""
    with jetti() as sandbox:
        sandbox.upsert("custom_fields", {"id": 1, "name": "colour", "resource": "sale"})
        deliver(sandbox, *updates("custom_fields_updates", {"id": 1, "resource": "purchase"}))
        assert written(sandbox) == [("custom-fields/1.json", {"resource": "purchase"})]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"id": 1, "notes": "x"}, "resource is missing", id="no-resource"),
        pytest.param({"resource": "sale", "id": 1, "notes": "x"}, "the nearest is sales", id="unknown-resource"),
        pytest.param({"resource": "sales", "notes": "x"}, "id is missing", id="no-id"),
        pytest.param({"resource": "sales", "id": 0, "notes": "x"}, "id must be a positive integer", id="invalid-id"),
        pytest.param({"resource": "sales", "id": 31}, "no field of sales that can be written", id="nothing-left"),
        pytest.param({"resource": "sales", "id": 31, "quantity": "many"}, "quantity must be", id="invalid-value"),
        pytest.param({"resource": "sales", "id": 99, "notes": "x"}, "404|does not exist|not found", id="no-such-row"),
    ],
)
def test_a_record_that_cannot_be_written_is_rejected(fields: dict[str, Any], reason: str, tmp_path: Path) -> None:
    """The reason names the field; the other records are written, and the file replays."""
    path = tmp_path / "rejects.jsonl"
    with jetti() as sandbox:
        good = {"resource": "sales", "id": 31, "notes": "kept"}
        outcome = deliver(sandbox, *updates(STREAM, fields, good), on_reject="set_aside", rejects_path=str(path))
        assert (outcome.code, outcome.of(STREAM).rejected) == (1, 1)
        [aside] = [one for one in rejects(path) if one["type"] == "RECORD"]
        assert aside["record"] == fields
        assert any(text in aside["rejection"]["detail"] for text in reason.split("|")), aside["rejection"]
        assert [row["notes"] for row in sandbox.rows("sales")] == ["kept"]


def test_secrets_are_sent_and_withheld_from_the_rejects_file(tmp_path: Path) -> None:
    """A secret of the record's resource is not written to the file, whatever its name."""
    path = tmp_path / "rejects.jsonl"
    with jetti() as sandbox:
        fields = {"resource": "big-commerce-stores", "id": 5, "clientSecret": "s3cret", "accessToken": "t0ken"}
        outcome = deliver(sandbox, *updates(STREAM, fields), on_reject="set_aside", rejects_path=str(path))
        assert outcome.code == 1
        assert "s3cret" not in path.read_text() + "t0ken"
        sandbox.upsert("big_commerce_stores", {"id": 5})
        sandbox.requests.clear()
        deliver(sandbox, *updates(STREAM, fields))
        deliver(sandbox, *updates(STREAM, fields))
        sent = ("big-commerce-stores/5.json", {"clientSecret": "s3cret", "accessToken": "t0ken"})
        assert written(sandbox) == [sent, sent]


def test_without_comparison_every_record_is_sent() -> None:
    """skip_unchanged: false reads nothing."""
    with jetti() as sandbox:
        sandbox.upsert("sales", {"id": 31, "notes": "same"})
        deliver(sandbox, *updates("sales_updates", {"id": 31, "notes": "same"}), skip_unchanged=False)
        assert written(sandbox) == [("sales/31.json", {"notes": "same"})]
        assert sandbox.requests.gets == []


def test_the_order_of_a_row_holds_among_actions() -> None:
    """A status and an update of one purchase keep their order: the last value wins, although a read shows the first."""
    with jetti(latency=0.02) as sandbox:
        messages = [schema("purchase_statuses"), schema("purchases_updates")]
        for number in (2, 1, 3, 2):
            messages.append(record("purchase_statuses", purchaseId=21, purchaseStatusId=number))
            messages.append(record("purchases_updates", id=21, purchaseStatusId=1, notes=f"n{number}"))
        outcome = deliver(sandbox, *messages, concurrency=8)
        assert outcome.error is None
        row = next(row for row in sandbox.rows("purchases") if row["id"] == 21)
        assert (row["purchaseStatusId"], row["notes"]) == (1, "n2")


def test_a_row_that_this_run_wrote_is_not_compared_again() -> None:
    """A list that is read right after a write may still show the old value."""
    stale = {"id": 1, "notes": "old"}
    with odd_server(rows={"sales": [stale]}) as odd:
        outcome = deliver(
            odd,
            schema("sales_updates"),
            record("sales_updates", id=1, notes="new"),
            *(record("sales_updates", id=number, notes="x") for number in range(2, 51)),  # fills the batch
            record("sales_updates", id=1, notes="old"),
        )
        assert outcome.error is None
        of_row = [body for _, path, body in odd.writes if path == "/api/sales/1.json"]
        assert of_row == [{"notes": "new"}, {"notes": "old"}]


def test_pages_may_be_cut_or_empty() -> None:
    """What a cut page leaves out is asked for again; what does not come is sent whole."""
    rows = [{"id": number, "notes": "same", "tags": []} for number in range(1, 31)]
    with odd_server(rows={"sales": rows}, page=7) as odd:
        messages = updates("sales_updates", *({"id": number, "notes": "same"} for number in range(1, 31)))
        assert deliver(odd, *messages).of(STREAM).unchanged == 30
        assert odd.writes == []
        odd.page = 0
        assert deliver(odd, *messages).of(STREAM).sent == 30


def test_updates_of_feed_variants_count_against_the_quota() -> None:
    """max_updates holds for them, and for no other resource."""
    with jetti() as sandbox:
        for number in (1, 2, 3):
            sandbox.upsert("inventory_feed_variants", {"id": number, "inventoryFeedId": 7, "inventoryQuantity": 0})
        rows = [{"resource": "inventory_feed_variants", "id": number, "inventoryQuantity": 9} for number in (1, 2, 3)]
        other = {"resource": "sales", "id": 31, "notes": "n"}
        outcome = deliver(sandbox, *updates(STREAM, *rows, other), max_updates=2)
        assert (outcome.of(STREAM).sent, outcome.of(STREAM).left) == (3, 1)
        assert outcome.states == []


@pytest.mark.parametrize("kind", ["503", "reset-after"])
def test_a_failed_call_is_repeated(kind: str) -> None:
    """An update is the same update when it is sent twice."""
    with jetti() as sandbox:
        left = iter([1.0, 1.0])
        sandbox.options.fault_kinds = (kind,)
        sandbox.on_request = lambda *_: setattr(sandbox.options, "faults", next(left, 0.0))
        outcome = deliver(sandbox, *updates("sales_updates", {"id": 31, "notes": "n"}))
        assert (outcome.error, outcome.states) == (None, [{"done": 1}])
        assert [row["notes"] for row in sandbox.rows("sales")] == ["n"]


def test_a_dry_run_writes_nothing() -> None:
    """Nothing but GETs leaves."""
    with jetti() as sandbox:
        deliver(sandbox, *updates("sales_updates", {"id": 31, "notes": "n"}), dry_run=True)
        assert written(sandbox) == []


@pytest.mark.parametrize("shows", ["old", "new"])
def test_a_field_that_jetti_leaves_as_it_was_is_no_success(shows: str, tmp_path: Path) -> None:
    """Jetti answers 200 with the old value: it is read again, and rejected if it is still there."""
    row: dict[str, Any] = {"id": 1, "quantity": 5, "notes": "a"}

    def answer(call: Any) -> tuple[int, Any] | None:
        if call.method == "GET":
            return None
        response = {**row, "notes": call.body["notes"]}
        row.update({**call.body, "quantity": 5 if shows == "old" else call.body["quantity"]})
        return 200, response

    with odd_server(rows={"sales": [row]}, answer=answer) as odd:
        messages = updates("sales_updates", {"id": 1, "quantity": 7, "notes": "b"})
        outcome = deliver(odd, *messages, on_reject="set_aside", rejects_path=str(tmp_path / "rejects"))
        assert outcome.code == (1 if shows == "old" else 0)
        if shows == "old":
            assert rejects(tmp_path / "rejects")[1]["rejection"]["title"] == "quantity.kept"


def test_a_normalised_value_is_a_success() -> None:
    """The value that Jetti shows is a likely form of what was sent, and the old one: nothing is rejected."""
    with jetti(normalise=("trim",)) as sandbox:
        sandbox.upsert("sales", {"id": 31, "notes": "a"})
        outcome = deliver(sandbox, *updates("sales_updates", {"id": 31, "notes": " a "}))
        assert (outcome.code, outcome.of(STREAM).sent) == (0, 1)


@pytest.mark.parametrize(
    ("stream", "first", "second"),
    [
        ("purchase_statuses", {"purchaseId": 21, "purchaseStatusId": 2}, {"purchaseId": 21, "purchaseStatus": "Late"}),
        (
            "custom_fields",
            {"resource": "sales", "resourceId": 31, "key": "colour", "value": "red"},
            {"resource": "sales", "resourceId": 31, "key": "colour", "value": 5},
        ),
    ],
)
def test_statuses_and_custom_fields_are_sent_only_if_they_differ(
    stream: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """The same record again sends nothing, another value is sent, and so is the first one then."""
    with jetti() as sandbox:
        for number, fields in enumerate((first, first, second, second, first), start=1):
            outcome = deliver(sandbox, *updates(stream, fields))
            assert outcome.states == [{"done": 1}]
            assert outcome.of(stream).unchanged == (number in {2, 4})
        assert len(sandbox.requests.writes) == 3


@pytest.mark.parametrize("option", ["forbidden", "missing"])
def test_rows_that_are_not_shown_are_sent(option: str, caplog: pytest.LogCaptureFixture) -> None:
    """A role that may not read the values of custom fields may still write them: all are sent, and it is said."""
    with jetti(**{option: ("custom_field_sales",)}) as sandbox:
        fields = {"resource": "sales", "resourceId": 31, "key": "colour", "value": "red"}
        for _ in range(2):
            assert deliver(sandbox, *updates("custom_fields", fields)).of("custom_fields").sent == 1
        assert "what Jetti shows cannot be read" in caplog.text
