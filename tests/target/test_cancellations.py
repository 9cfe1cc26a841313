"""Purchases and sales are cancelled once: what is cancelled already is not cancelled again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from odd_server import odd_server
from target_runs import Outcome, deliver, jetti, record, rejects, schema, state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tap_jetti.sandbox import Sandbox

STREAM = "cancellations"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A company whose purchase 21 and sale 31 have two items each."""
    with jetti() as sandbox:
        sandbox.upsert("purchase_items", {"id": 211, "purchaseId": 21, "quantity": 2})
        for number in (310, 311):
            sandbox.upsert("sale_items", {"id": number, "saleId": 31, "quantity": 1})
        yield sandbox


def cancel(sandbox: Sandbox, *records: dict[str, Any], **settings: Any) -> Outcome:
    """Deliver cancellations."""
    return deliver(
        sandbox, schema(STREAM), *(record(STREAM, **fields) for fields in records), state(len(records)), **settings
    )


def bodies(sandbox: Sandbox) -> list[tuple[str, list[int]]]:
    """The path and the item ids of each write."""
    return [(one.path.removeprefix("/api/"), one.body["ids"]) for one in sandbox.requests.writes]


def statuses(sandbox: Sandbox, resource: str) -> dict[int, str | None]:
    """The cancellation status of each row."""
    return {row["id"]: row.get("cancellationStatus") for row in sandbox.rows(resource)}


@pytest.mark.parametrize(
    ("fields", "path", "body"),
    [
        pytest.param(
            {"purchaseId": 21},
            "purchases/21/cancel.json",
            {"ids": [], "setQuantities": True, "status": "cancelled"},
            id="purchase",
        ),
        pytest.param({"saleId": 31}, "sales/31/cancel.json", {"ids": []}, id="sale"),
        pytest.param({"saleId": 31, "ids": ["311"]}, "sales/31/cancel.json", {"ids": [311]}, id="item"),
    ],
)
def test_what_is_cancelled_is_not_cancelled_again(
    sandbox: Sandbox, fields: dict[str, Any], path: str, body: dict[str, Any]
) -> None:
    """The call is the documented one; a second run sends nothing, and STATE passes."""
    assert cancel(sandbox, fields).of(STREAM).sent == 1
    assert [(one.path, one.body) for one in sandbox.requests.writes] == [(f"/api/{path}", body)]
    again = cancel(sandbox, fields)
    assert (again.of(STREAM).sent, again.of(STREAM).unchanged, again.states) == (0, 1, [1])
    assert sandbox.count("sale_returns") == 1


def test_only_items_that_are_left_are_cancelled(sandbox: Sandbox) -> None:
    """Within a run and between runs, each item is cancelled once."""
    cancel(sandbox, {"purchaseId": 21, "ids": [210]})
    cancel(sandbox, {"purchaseId": 21, "ids": [210, 211]})
    assert bodies(sandbox) == [("purchases/21/cancel.json", [210]), ("purchases/21/cancel.json", [211])]
    assert statuses(sandbox, "purchases") == {21: "full", 22: None, 23: None}
    cancel(sandbox, {"saleId": 31, "ids": [310]}, {"saleId": 31, "ids": [311]}, {"purchaseId": 22}, {"purchaseId": 22})
    assert sorted(bodies(sandbox)[2:]) == [("purchases/22/cancel.json", []), ("sales/31/cancel.json", [310, 311])]


def test_what_this_run_cancelled_need_not_be_visible() -> None:
    """A server may show the old rows right after a call: nothing is cancelled twice."""
    rows: dict[str, list[dict[str, Any]]] = {
        "sales": [{"id": 1, "cancellationStatus": "none"}, {"id": 2, "cancellationStatus": "none"}],
        "sale-items": [{"id": number, "saleId": 1, "quantity": 1, "quantityCancelled": 0} for number in (5, 6, 7)],
    }
    with odd_server(rows=rows) as odd:
        records: list[dict[str, Any]] = [
            {"saleId": 1, "ids": [5]},
            {"saleId": 2},
            *({"saleId": number} for number in range(3, 51)),  # fill the batch
            {"saleId": 1, "ids": [5, 6]},
            {"saleId": 2},
        ]
        rows["sales"] += [{"id": number, "cancellationStatus": "full"} for number in range(3, 51)]
        outcome = deliver(odd, schema(STREAM), *(record(STREAM, **fields) for fields in records))
        assert (outcome.error, outcome.of(STREAM).unchanged) == (None, 49)
        sent = sorted((path, body["ids"]) for _, path, body in odd.writes)
        assert sent == [(f"/api/sales/{number}/cancel.json", ids) for number, ids in ((1, [5]), (1, [6]), (2, []))]


def test_an_empty_list_does_not_hide_that_a_purchase_is_cancelled() -> None:
    """A server may cut any page: the row itself is asked for before anything is sent."""
    rows = {"purchases": [{"id": 1, "cancellationStatus": "full"}], "purchase-items": []}
    with odd_server(rows=rows, page=0) as odd:
        assert deliver(odd, schema(STREAM), record(STREAM, purchaseId=1)).of(STREAM).unchanged == 1
        assert odd.writes == []


@pytest.mark.parametrize("kind", ["reset-after", "truncated"])
@pytest.mark.parametrize("fields", [{"purchaseId": 21}, {"saleId": 31, "ids": [310]}], ids=["purchase", "item"])
def test_a_lost_answer_is_made_up_for_by_looking(sandbox: Sandbox, kind: str, fields: dict[str, Any]) -> None:
    """The call arrived, its answer did not: the cancellation is found and counts as sent."""
    _fail_cancels(sandbox, kind)
    outcome = cancel(sandbox, fields)
    assert (outcome.error, outcome.states) == (None, [1])
    assert (len(sandbox.requests.writes), sandbox.count("sale_returns")) == (1, 1)


def test_an_uncertain_cancellation_is_rejected_not_repeated(sandbox: Sandbox, tmp_path: Path) -> None:
    """Nothing is to be seen of it: it is set aside, sent once, and replays when fed back in."""
    path = tmp_path / "rejects.jsonl"
    _fail_cancels(sandbox, "reset-before")
    outcome = cancel(sandbox, {"saleId": 31}, on_reject="set_aside", rejects_path=str(path))
    assert (outcome.code, outcome.states, len(sandbox.requests.writes)) == (1, [1], 1)
    messages = rejects(path)
    assert messages[1]["rejection"]["title"] == "uncertain"
    sandbox.on_request, sandbox.options.faults = None, 0.0
    assert deliver(sandbox, *messages).code == 0
    assert sandbox.count("sale_returns") == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"ids": [1]}, "neither purchaseId nor saleId", id="no-key"),
        pytest.param({"purchaseId": 21, "saleId": 31}, "give the one that is to be cancelled", id="two-keys"),
        pytest.param({"purchaseId": "x"}, "purchaseId must be a positive integer", id="invalid-key"),
        pytest.param({"saleId": 31, "ids": ["x"]}, "ids must be an array of integers", id="invalid-ids"),
        pytest.param({"saleId": 99}, "not found", id="unknown-sale"),
        pytest.param({"saleId": 31, "ids": [210]}, "does not have these items", id="unknown-item"),
    ],
)
def test_a_record_that_cannot_be_written_is_rejected(
    sandbox: Sandbox, fields: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    """Its neighbours are cancelled."""
    path = tmp_path / "rejects.jsonl"
    outcome = cancel(sandbox, fields, {"purchaseId": 22}, on_reject="set_aside", rejects_path=str(path))
    assert (outcome.code, outcome.states) == (1, [2])
    [aside] = [one for one in rejects(path) if one["type"] == "RECORD"]
    assert reason in aside["rejection"]["detail"]
    assert statuses(sandbox, "purchases")[22] == "full"


def test_a_dry_run_writes_nothing(sandbox: Sandbox) -> None:
    """Nothing but GETs leaves."""
    cancel(sandbox, {"purchaseId": 21}, dry_run=True)
    assert bodies(sandbox) == []


def _fail_cancels(sandbox: Sandbox, kind: str) -> None:
    """Let each call that cancels fail in one way, and no other call."""
    sandbox.options.fault_kinds = (kind,)
    sandbox.on_request = lambda _number, _method, path: setattr(
        sandbox.options, "faults", float(path.endswith("cancel.json"))
    )
