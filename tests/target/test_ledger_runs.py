"""What a run remembers for the next one: fewer GETs, no needless writes, and everything has its turn."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from target_runs import FEED, VARIANTS, deliver, jetti, record, schema, state, stock, variant

if TYPE_CHECKING:
    from tap_jetti.sandbox import Sandbox

MINUTE = 60_000
LONG_AGO = "2024-01-01T00:00:00.000Z"


def fill(sandbox: Sandbox, count: int, **fields: Any) -> None:
    """Give the feed variants that were changed long ago."""
    rows = [
        {"id": n + 1, "externalId": f"e{n}", "vendorSku": f"v{n}", "inventoryQuantity": n, "inventoryFeedId": FEED}
        | {"updatedAt": LONG_AGO, **fields}
        for n in range(count)
    ]
    sandbox.replace(VARIANTS, rows)


def file_of(kind: str) -> Path:
    """The one file of this kind in the state directory of the test."""
    [path] = Path(os.environ["XDG_STATE_HOME"], "tap-jetti").glob(f"{kind}-*.db")
    return path


def age(minutes: int) -> None:
    """Pretend that everything was sent longer ago."""
    with closing(sqlite3.connect(file_of("ledger"))) as connection, connection:
        connection.execute("UPDATE sent SET at = at - ?", (minutes * MINUTE,))


def gets_of(sandbox: Sandbox) -> int:
    """The GETs since this was asked last."""
    number = len(sandbox.requests.gets)
    sandbox.requests.clear()
    return number


def test_a_small_input_is_looked_up_whatever_the_size_of_the_feed() -> None:
    """Ten records against a feed of 3,000 take at most three GETs, without a ledger as with one."""
    with jetti() as sandbox:
        fill(sandbox, 3_000)
        runs: list[dict[str, Any]] = [{}, {"ledger": "none"}]
        for settings in runs:
            gets_of(sandbox)
            outcome = deliver(sandbox, schema(), *(variant(n, n + (n < 2)) for n in range(10)), **settings)
            assert (outcome.code, outcome.of().unchanged) == (0, 8 if not settings else 10)
            assert gets_of(sandbox) <= 3


def test_a_second_push_asks_for_what_changed_and_sends_exactly_what_differs() -> None:
    """After a push of 3,000 the next one takes at most ten GETs, with changes on both sides and deleted rows."""
    with jetti() as sandbox:
        fill(sandbox, 3_000)
        first = deliver(sandbox, schema(), *(variant(n, n) for n in range(3_000)))
        assert (first.of().unchanged, first.of().sent) == (3_000, 0)
        gets_of(sandbox)
        second = deliver(sandbox, schema(), *(variant(n, n) for n in range(3_000)))
        assert (second.of().unchanged, second.of().sent) == (3_000, 0)
        assert gets_of(sandbox) <= 10
        for n in (10, 20):
            sandbox.upsert(VARIANTS, {"id": n + 1, "inventoryQuantity": 7_777})
        sandbox.delete(VARIANTS, 31)
        gets_of(sandbox)
        third = deliver(sandbox, schema(), *(variant(n, n + (n == 40)) for n in range(3_000)))
        assert (third.of().sent, third.of().changed, third.of().added) == (4, 3, 1)
        assert gets_of(sandbox) <= 25
        assert stock(sandbox) == {f"e{n}": n + (n == 40) for n in range(3_000)}


@pytest.mark.parametrize("kind", ["mirror", "ledger"])
def test_a_damaged_file_costs_requests_and_no_correctness(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong is said, the run is complete, and the next one is cheap again."""
    with jetti() as sandbox:
        fill(sandbox, 1_200)
        push = [schema(), *(variant(n, n) for n in range(1_200))]
        deliver(sandbox, *push)
        path = file_of(kind)
        path.write_bytes(path.read_bytes()[:4096] + b"no page of a database" * 2000)
        sandbox.upsert(VARIANTS, {"id": 5, "inventoryQuantity": 99})
        outcome = deliver(sandbox, *push)
        assert (outcome.code, outcome.of().unchanged, outcome.of().sent) == (0, 1_199, 1)
        assert "cannot be used" in caplog.text
        gets_of(sandbox)
        assert deliver(sandbox, *push).of().unchanged == 1_200
        assert gets_of(sandbox) <= 10


def test_a_mirror_of_another_server_is_noticed() -> None:
    """A server with the same address, the same feed and as many rows of other values is read anew."""
    with jetti() as sandbox:
        fill(sandbox, 1_200)
        push = [schema(), *(variant(n, n) for n in range(1_200))]
        deliver(sandbox, *push)
        fill(sandbox, 1_200, inventoryQuantity=3, updatedAt="2024-01-02T00:00:00.000Z")
        assert deliver(sandbox, *push).of().sent == 1_199


def test_what_was_accepted_a_moment_ago_is_not_sent_again() -> None:
    """As long as the queue may still hold it, the same values are under way; other ones are sent."""
    with jetti(inbound_delay=3_600.0) as sandbox:
        fill(sandbox, 3)
        deliver(sandbox, schema(), variant(0, 50), variant(1, 51), variant(9, 52), settle=False)
        again = deliver(
            sandbox, schema(), variant(0, 50), variant(1, 1), variant(9, 52), variant(2, 2), state(1), settle=False
        )
        assert (again.of().under_way, again.of().unchanged, again.of().sent, again.states) == (2, 3, 1, [1])
        sandbox.settle()
        assert stock(sandbox) == {"e0": 50, "e1": 1, "e2": 2, "e9": 52}


def test_what_is_removed_between_is_sent_again() -> None:
    """A removal ends what is under way: the same values are sent to the row that is not there."""
    with jetti() as sandbox:
        fill(sandbox, 2)
        deliver(sandbox, schema(), variant(5, 50))
        removal = record("inventory_feed_variant_removals", externalId="e5")
        deliver(sandbox, schema("inventory_feed_variant_removals"), removal)
        assert "e5" not in stock(sandbox)
        assert deliver(sandbox, schema(), variant(5, 50)).of().sent == 1
        assert stock(sandbox)["e5"] == 50


def test_a_value_that_jetti_writes_in_another_way_is_not_sent_every_night(caplog: pytest.LogCaptureFixture) -> None:
    """Blanks, case and decimal places are learnt after the first night; another value is sent behind all others."""
    sent: dict[str, Any] = {"cachedName": "Blue  Cup ", "costPrice": 1.239, "barcode": "", "productType": "Cups"}
    kept: dict[str, Any] = {"cachedName": "blue cup", "costPrice": 1.24, "barcode": None, "productType": "Other"}
    fields = schema(VARIANTS, externalId={}, **{name: {} for name in sent})
    normalised = record(externalId="e0", **{name: sent[name] for name in sent if name != "productType"})
    with jetti() as sandbox, caplog.at_level(logging.INFO):
        fill(sandbox, 1)
        assert deliver(sandbox, fields, record(externalId="e0", **sent)).of().sent == 1
        sandbox.upsert(VARIANTS, {"id": 1, **kept})
        assert deliver(sandbox, fields, normalised).of().under_way == 1
        age(20)
        assert deliver(sandbox, fields, normalised).of().unchanged == 1
        assert "Jetti keeps 1 values of cachedName in another form" in caplog.text
        other = deliver(sandbox, fields, record(externalId="e0", **sent))
        assert other.of().sent == 1
        assert "Jetti shows another productType" in caplog.text
        assert deliver(sandbox, fields, record(externalId="e0", cachedName="Red Cup")).of().sent == 1


def test_a_write_without_effect_is_named_and_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    """A day later the run that does not see it says so, and ends with 1."""
    with jetti(inbound_loss=1.0) as sandbox:
        fill(sandbox, 2)
        assert deliver(sandbox, schema(), variant(0, 50)).code == 0
        age(25 * 60)
        sandbox.options.inbound_loss = 0.0
        outcome = deliver(sandbox, schema(), variant(0, 50))
        assert (outcome.code, outcome.of().without_effect, outcome.of().sent) == (1, 1, 1)
        assert "externalId e0" in caplog.text
        assert deliver(sandbox, schema(), variant(0, 50)).code == 0
        assert stock(sandbox)["e0"] == 50


def test_a_write_without_effect_is_named_though_its_record_does_not_come_again() -> None:
    """Whoever sends only changes learns of it from a run that knows the whole feed."""
    with jetti(inbound_loss=1.0) as sandbox:
        fill(sandbox, 1_200)
        push = [schema(), *(variant(n, n) for n in range(1, 1_200))]
        deliver(sandbox, *push, variant(0, 50))
        age(25 * 60)
        outcome = deliver(sandbox, *push)
        assert (outcome.code, outcome.of().without_effect) == (1, 1)
        assert deliver(sandbox, *push).code == 0


@pytest.mark.parametrize("short_pages", [0.0, 0.3], ids=["whole-pages", "cut-pages"])
def test_a_write_without_effect_is_named_though_only_a_few_other_records_come(short_pages: float) -> None:
    """Its row is looked up where no run reads the whole feed; what took effect is not named."""
    with jetti(inbound_loss=1.0, short_pages=short_pages) as sandbox:
        fill(sandbox, 5)
        assert deliver(sandbox, schema(), variant(0, 50), variant(9, 9)).code == 0
        sandbox.options.inbound_loss = 0.0
        assert deliver(sandbox, schema(), variant(1, 60)).code == 0
        age(25 * 60)
        sandbox.upsert(VARIANTS, {"id": 2, "inventoryQuantity": 60})
        gets_of(sandbox)
        outcome = deliver(sandbox, schema(), variant(3, 3))
        assert (outcome.code, outcome.of().without_effect, outcome.of().unchanged) == (1, 2, 1)
        assert gets_of(sandbox) <= 6 or short_pages
        assert deliver(sandbox, schema(), variant(3, 3)).code == 0


def test_the_ledger_of_another_account_does_not_vouch_for_this_one(caplog: pytest.LogCaptureFixture) -> None:
    """What one account has accepted a moment ago is sent to the other one, though the file was copied."""
    with jetti() as one, jetti() as other:
        deliver(one, schema(), variant(1, 5), account="one")
        source = file_of("ledger")
        deliver(other, schema(), variant(2, 5), account="other")
        [target] = set(source.parent.glob("ledger-*.db")) - {source}
        target.write_bytes(source.read_bytes())
        outcome = deliver(other, schema(), variant(1, 5), state(1), account="other")
        assert (outcome.code, outcome.states, outcome.of().sent) == (0, [1], 1)
        assert stock(other) == {"e1": 5, "e2": 5}
        assert "another account" in caplog.text


@pytest.mark.parametrize("form", ["external-id", "id"])
def test_every_night_reaches_further(form: str) -> None:
    """With a quota of ten, thirty records that are not compared are all sent after three nights."""
    with jetti() as sandbox:
        fill(sandbox, 30)
        records = [
            variant(n, n + 1_000) if form == "external-id" else record(id=n + 1, inventoryQuantity=n + 1_000)
            for n in range(30)
        ]
        for night in range(1, 4):
            outcome = deliver(sandbox, schema(), *records, state(1), max_updates=10, skip_unchanged=False)
            assert (outcome.of().sent, outcome.of().left, outcome.states) == (10, 20, [])
            assert sum(quantity >= 1_000 for quantity in stock(sandbox).values()) == 10 * night


@pytest.mark.parametrize("order", ["arrival", "largest_change"])
def test_rows_without_effect_do_not_keep_the_others_waiting(order: str) -> None:
    """Rows that Jetti never takes over use up the quota once, not every night."""
    with jetti() as sandbox:
        fill(sandbox, 12, status="pending")
        dead = [record(externalId=f"e{n}", productType="X", inventoryQuantity=5_000) for n in range(4)]
        live = [record(externalId=f"e{n}", inventoryQuantity=100 + n) for n in range(4, 12)]
        fields = schema(VARIANTS, externalId={}, productType={}, inventoryQuantity={})
        for _ in range(8):
            deliver(sandbox, fields, *dead, *live, max_updates=4, max_updates_order=order)
            for n in range(4):
                sandbox.upsert(VARIANTS, {"id": n + 1, "productType": "Y", "inventoryQuantity": 1})
            age(25 * 60)
        assert {n: stock(sandbox)[f"e{n}"] for n in range(4, 12)} == {n: 100 + n for n in range(4, 12)}


def test_records_by_id_are_compared_by_look_ups() -> None:
    """Rows that are named by their ids are looked up, too, and only changes are sent."""
    with jetti() as sandbox:
        fill(sandbox, 150)
        records = [record(id=n + 1, inventoryQuantity=n + (n == 7)) for n in range(150)]
        outcome = deliver(sandbox, schema(VARIANTS, id={}, inventoryQuantity={}), *records)
        assert (outcome.of().unchanged, outcome.of().sent, stock(sandbox)["e7"]) == (149, 1, 8)
        assert gets_of(sandbox) <= 5


def test_rows_that_share_a_key_are_always_sent(caplog: pytest.LogCaptureFixture) -> None:
    """It is not known which of them a write changes, and that is said once."""
    with jetti() as sandbox:
        fill(sandbox, 2)
        sandbox.upsert(VARIANTS, {"id": 9, "externalId": "e1", "inventoryQuantity": 1, "inventoryFeedId": FEED})
        assert deliver(sandbox, schema(), variant(0, 0), variant(1, 1)).of().sent == 1
        assert "1 records have a key that several rows" in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"count": "none"}, id="no-count"),
        pytest.param({"page_cap": 7}, id="small-pages"),
        pytest.param({"short_pages": 0.3}, id="cut-pages"),
        pytest.param({"date_header": False}, id="no-date"),
        pytest.param({"date_skew": 7_200.0}, id="date-ahead"),
        pytest.param({"date_skew": -7_200.0}, id="date-behind"),
        pytest.param({"clock_skew": 7_200.0}, id="clock-ahead"),
        pytest.param({"clock_skew": -7_200.0}, id="clock-behind"),
        pytest.param({"unstable_ties": True, "decimals": "mixed"}, id="ties"),
        pytest.param({"refuse_long_url": 1_000}, id="short-urls"),
    ],
)
def test_three_nights_are_right_whatever_the_server_is_like(options: dict[str, Any]) -> None:
    """Changes of others between the nights are seen, and nothing else is sent."""
    with jetti(**options) as sandbox:
        fill(sandbox, 1_100)
        for night in range(3):
            expected = {f"e{n}": n + (n % 100 == 5) * night for n in range(1_100)}
            outcome = deliver(sandbox, schema(), *(variant(n, expected[f"e{n}"]) for n in range(1_100)))
            assert outcome.error is None
            assert stock(sandbox) == expected
            assert outcome.of().sent <= 45 if not options.get("short_pages") else True
            sandbox.upsert(VARIANTS, {"id": 200 + night, "inventoryQuantity": 4_444})
