"""Shipping is not idempotent, so it is looked for before and after, and never sent twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from target_runs import deliver, jetti, record, rejects, schema, state

from tap_jetti.errors import UncertainWriteError

if TYPE_CHECKING:
    from pathlib import Path

    from tap_jetti.sandbox import Sandbox

STREAM = "shipments"
SHIPMENT = record(STREAM, purchaseId=21, trackingNumber="T1", trackingCompany="Post")


def numbers(sandbox: Sandbox) -> list[tuple[int, str]]:
    """The dropshipments by purchase and tracking number."""
    return sorted((row["purchaseId"], row["trackingNumber"]) for row in sandbox.rows("dropshipments"))


def fail_ships(sandbox: Sandbox, kind: str) -> None:
    """Let each call that ships fail in one way, and no other call."""
    sandbox.options.fault_kinds = (kind,)
    sandbox.on_request = lambda _number, _method, path: setattr(
        sandbox.options, "faults", float(path.endswith("ship.json"))
    )


def test_a_shipment_that_exists_is_not_sent_again() -> None:
    """A second run with the same input sends nothing, and STATE passes."""
    with jetti() as sandbox:
        messages = (schema(STREAM), SHIPMENT, record(STREAM, purchaseId=22, trackingNumber="T2"), state(1))
        first = deliver(sandbox, *messages)
        again = deliver(sandbox, *messages)
        assert (first.of(STREAM).sent, again.of(STREAM).sent, again.of(STREAM).unchanged) == (2, 0, 2)
        assert again.states == [1]
        assert numbers(sandbox) == [(21, "T1"), (22, "T2")]


@pytest.mark.parametrize("kind", ["reset-after", "truncated"])
def test_a_lost_answer_is_made_up_for_by_looking(kind: str) -> None:
    """The call arrived, its answer did not: the shipment is found and counts as sent."""
    with jetti() as sandbox:
        fail_ships(sandbox, kind)
        outcome = deliver(sandbox, schema(STREAM), SHIPMENT, state(1))
        assert (outcome.error, outcome.states) == (None, [1])
        assert numbers(sandbox) == [(21, "T1")]
        assert len(sandbox.requests.writes) == 1


@pytest.mark.parametrize("kind", ["reset-before", "500", "502-html"])
def test_an_uncertain_shipment_is_rejected_not_repeated(kind: str, tmp_path: Path) -> None:
    """Nothing is to be seen of it: it is set aside for a person, sent once, and replays when fed back in."""
    path = tmp_path / "rejects.jsonl"
    with jetti() as sandbox:
        fail_ships(sandbox, kind)
        outcome = deliver(sandbox, schema(STREAM), SHIPMENT, state(1), on_reject="set_aside", rejects_path=str(path))
        assert (outcome.code, outcome.states) == (1, [1])
        assert len(sandbox.requests.writes) == 1
        messages = rejects(path)
        assert messages[1]["rejection"]["title"] == "uncertain"
        sandbox.on_request, sandbox.options.faults = None, 0.0
        assert deliver(sandbox, *messages).code == 0
        assert numbers(sandbox) == [(21, "T1")]


def test_an_uncertain_shipment_stops_the_run_by_default() -> None:
    """The error says that it is not sent again by itself."""
    with jetti() as sandbox:
        fail_ships(sandbox, "reset-before")
        outcome = deliver(sandbox, schema(STREAM), SHIPMENT, state(1))
        assert isinstance(outcome.error, UncertainWriteError)
        assert outcome.states == []


def test_a_429_is_repeated_since_it_did_not_arrive() -> None:
    """The server did not act on a call that it counted as one too many."""
    with jetti() as sandbox:
        left = iter([1.0])
        sandbox.options.fault_kinds = ("429",)
        sandbox.on_request = lambda _number, _method, path: setattr(
            sandbox.options, "faults", next(left, 0.0) if path.endswith("ship.json") else 0.0
        )
        outcome = deliver(sandbox, schema(STREAM), SHIPMENT)
        assert outcome.error is None
        assert numbers(sandbox) == [(21, "T1")]


@pytest.mark.parametrize(
    ("missing", "ids"),
    [
        pytest.param((), [], id="no-items-shown"),
        pytest.param((), [210], id="no-items-shown-of-some"),
        pytest.param(("purchase_items",), [], id="purchase-unreadable"),
    ],
)
def test_a_shipment_whose_items_are_not_shown_is_neither_repeated_nor_passed(
    missing: tuple[str, ...], ids: list[int]
) -> None:
    """Its number is there, and nobody knows what is left to ship: the run stops, and no STATE passes the record."""
    with jetti(missing=missing) as sandbox:
        sandbox.upsert("dropshipments", {"id": 500, "purchaseId": 21, "trackingNumber": "T1"})
        outcome = deliver(
            sandbox, schema(STREAM), record(STREAM, purchaseId=21, trackingNumber="T1", ids=ids), state(1)
        )
        assert isinstance(outcome.error, UncertainWriteError)
        assert "what is left to ship" in str(outcome.error)
        assert (outcome.states, sandbox.requests.writes) == ([], [])


def test_a_shipment_is_not_repeated_where_jetti_shows_no_items(caplog: pytest.LogCaptureFixture) -> None:
    """Its tracking number is all there is to go by, and a warning says so."""
    with jetti(missing=("dropshipment_items",)) as sandbox:
        sandbox.upsert("dropshipments", {"id": 500, "purchaseId": 21, "trackingNumber": "T1"})
        outcome = deliver(sandbox, schema(STREAM), record(STREAM, purchaseId=21, trackingNumber="T1"), state(1))
        assert (outcome.states, outcome.of(STREAM).unchanged, sandbox.requests.writes) == ([1], 1, [])
        assert "as a whole" in caplog.text


def test_an_unknown_purchase_is_a_reject(tmp_path: Path) -> None:
    """Its neighbours are shipped."""
    path = tmp_path / "rejects.jsonl"
    with jetti() as sandbox:
        outcome = deliver(
            sandbox, schema(STREAM), record(STREAM, purchaseId=99, trackingNumber="X"), SHIPMENT,
            on_reject="set_aside", rejects_path=str(path),
        )  # fmt: skip
        assert outcome.code == 1
        assert numbers(sandbox) == [(21, "T1")]
        assert rejects(path)[1]["rejection"]["status"] == 404


@pytest.mark.parametrize("kind", ["reset-after", "truncated"])
def test_a_provider_is_not_doubled_by_a_lost_answer(kind: str) -> None:
    """It is looked up by its externalId, and updated."""
    with jetti() as sandbox:
        sandbox.options.fault_kinds = (kind,)
        sandbox.on_request = lambda _number, method, _path: setattr(sandbox.options, "faults", float(method == "POST"))
        outcome = deliver(
            sandbox, schema("dropship_providers"), record("dropship_providers", externalId="new", name="New")
        )
        assert outcome.error is None
        assert [row["name"] for row in sandbox.rows("dropship_providers")] == ["Maker", "New"]
