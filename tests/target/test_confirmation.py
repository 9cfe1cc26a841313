"""What was accepted unseen is read back: confirmed where it shows, set aside where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from odd_server import Call, odd_server
from target_runs import CHANNEL, FEED, VARIANTS, deliver, jetti, record, rejects, schema, state, stock, variant
from typing_extensions import override

from tap_jetti.client.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from odd_server import OddServer
    from target_runs import Outcome

    from tap_jetti.sandbox import Sandbox

CONNECTIONS = ("acknowledgements", "disconnections")


def connection(action: str, sku: str, vendor_sku: str, **fields: Any) -> dict[str, Any]:
    """A RECORD of an acknowledgement or a disconnection."""
    return record(action, sku=sku, vendorSku=vendor_sku, **(fields or {"dropshipProviderExternalId": "maker"}))


def fill(sandbox: Sandbox, *numbers: int, feed: int = FEED, **fields: Any) -> None:
    """Give the sandbox feed variants v1 and so on."""
    for number in numbers:
        sandbox.upsert(
            VARIANTS,
            {"externalId": f"e{number}", "vendorSku": f"v{number}", "inventoryFeedId": feed, **fields},
        )


def confirm(
    sandbox: Sandbox | OddServer, path: Path, *messages: dict[str, Any], seconds: float = 0.3, **settings: Any
) -> Outcome:
    """Run the target on some records of connections, and read back."""
    announced = [schema(action) for action in CONNECTIONS]
    return deliver(
        sandbox, *announced, *messages, state(1),
        confirm_seconds=seconds, on_reject="set_aside", rejects_path=str(path), **settings,
    )  # fmt: skip


def set_aside(path: Path) -> list[tuple[str, str]]:
    """Sku and vendor sku of each reject that was not confirmed."""
    found = [one for one in rejects(path) if one["type"] == "RECORD"] if path.exists() else []
    assert {one["rejection"]["title"] for one in found} <= {"unconfirmed"}
    return [(one["record"]["sku"], one["record"]["vendorSku"]) for one in found]


def test_what_went_inbound_is_confirmed(tmp_path: Path) -> None:
    """Records that the server lost are found by reading back and set aside, the others confirmed."""
    path = tmp_path / "rejects.jsonl"
    with jetti(inbound_loss=0.2, seed=3) as sandbox:
        outcome = deliver(
            sandbox, schema(), *(variant(n, n) for n in range(150)), state(1),
            confirm_seconds=0.3, on_reject="set_aside", rejects_path=str(path),
        )  # fmt: skip
        there = stock(sandbox)
        lost = {f"e{n}" for n in range(150)} - there.keys()
        assert 10 < len(lost) < 60
        assert (outcome.of().confirmed, outcome.of().rejected) == (len(there), len(lost))
        assert {one["record"]["externalId"] for one in rejects(path)[1:]} == lost
        assert {one["rejection"]["title"] for one in rejects(path)[1:]} == {"unconfirmed"}
        assert (outcome.states, outcome.code) == ([1], 1)


def test_a_server_that_refuses_larger_pages_is_read_back() -> None:
    """Rows are asked for in pages of 50, the documented default."""
    with jetti(refuse_limit=50) as sandbox:
        outcome = deliver(sandbox, schema(), *(variant(n, n) for n in range(120)), state(1), confirm_seconds=5)
        assert (outcome.error, outcome.of().confirmed, outcome.states) == (None, 120, [1])


@pytest.mark.parametrize("arrives", [True, False], ids=["arrives", "is-lost"])
def test_a_normalised_value_is_confirmed_if_its_row_has_changed(*, arrives: bool, tmp_path: Path) -> None:
    """Jetti trims a name and rounds a price. If the row has not changed since, the write was lost."""
    ways = ("trim", "round", "empty", "lower")
    with jetti(normalise=ways, inbound_loss=float(not arrives)) as sandbox:
        sandbox.upsert(
            VARIANTS,
            {"externalId": "e1", "vendorSku": "v1", "inventoryFeedId": FEED, "name": "Cup", "updatedAt": "2020-01-01"},
        )
        quantity, price = (4, 2.345) if arrives else (None, None)  # a lost write differs by blanks only
        sent = variant(1, quantity, name=" Cup ", costPrice=price)
        outcome = deliver(
            sandbox, schema(), sent, state(1), skip_unchanged=False,
            confirm_seconds=0.3, on_reject="set_aside", rejects_path=str(tmp_path / "rejects.jsonl"),
        )  # fmt: skip
        assert (outcome.of().confirmed, outcome.of().rejected) == (int(arrives), int(not arrives))


def test_confirming_waits_for_a_slow_queue() -> None:
    """Data that show after a while are confirmed as soon as they do."""
    with jetti(inbound_delay=0.8) as sandbox:
        outcome = deliver(sandbox, schema(), variant(1, 1), state(1), confirm_seconds=20)
        assert (outcome.of().confirmed, outcome.states, outcome.code) == (1, [1], 0)


class SkippingClock(SystemClock):
    """The machine's clock, set forward at will."""

    skipped = 0.0

    @override
    def monotonic(self) -> float:
        return super().monotonic() + self.skipped


def test_looks_that_take_long_do_not_cut_the_time_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What shows while others are looked for is confirmed, though the first look lasts longer than confirm_seconds."""
    clock = SkippingClock()
    monkeypatch.setattr("tap_jetti.target.target.SystemClock", lambda: clock)
    feed = {"id": FEED, "resourceType": "webhook", "hash": "h7"}
    with odd_server(rows={"inventory-feeds": [feed], "inventory-feed-variants": []}) as odd:
        taken: list[dict[str, Any]] = []
        looks = 0

        def answer(call: Call) -> None:
            nonlocal looks
            if call.method == "POST":
                taken.extend({**one, "id": n, "inventoryFeedId": FEED} for n, one in enumerate(call.body, len(taken)))
            elif any("externalId" in name for name, _ in call.query):
                looks += 1
                clock.skipped += 0.2
                if looks > 1:
                    odd.rows["inventory-feed-variants"] = taken

        odd.answer = answer
        outcome = deliver(
            odd, schema(), *(variant(n, n) for n in range(250)), state(1),
            confirm_seconds=0.3, skip_unchanged=False, on_reject="set_aside", rejects_path=str(tmp_path / "r"),
        )  # fmt: skip
        assert (outcome.error, outcome.of().confirmed, outcome.states) == (None, 250, [1])


def test_a_removed_row_need_not_show() -> None:
    """A row that the run sent and then removed is not missed."""
    with jetti() as sandbox:
        removal = record("inventory_feed_variant_removals", externalId="e1")
        outcome = deliver(
            sandbox, schema(), schema(removal["stream"]), variant(1, 1), variant(2, 2), removal, state(1),
            confirm_seconds=0.3, batch_size=1, concurrency=1,
        )  # fmt: skip
        assert (outcome.of().confirmed, outcome.states, outcome.code) == (1, [1], 0)


@pytest.mark.parametrize("delivery", ["inbound", "api"])
def test_connections_are_confirmed_where_the_server_processed_them(delivery: str, tmp_path: Path) -> None:
    """By provider id or external id, in any of a provider's feeds; those that were lost are set aside."""
    path = tmp_path / "rejects.jsonl"
    with jetti(inbound_loss=0.3, seed=5) as sandbox:
        sandbox.upsert("inventory_feeds", {"id": 8, "name": "More", "resourceType": "webhook", "dropshipProviderId": 3})
        for n in range(60):
            sandbox.upsert("variants", {"id": 100 + n, "sku": f"t{n}", "name": "Pan"})
            fill(sandbox, n, feed=7 + n % 2, **({"variantId": 100 + n, "status": "connected"} if n >= 40 else {}))
        messages = [
            *(connection("acknowledgements", f"t{n}", f"v{n}") for n in range(20)),
            *(connection("acknowledgements", f"t{n}", f"v{n}", dropshipProviderId=3) for n in range(20, 40)),
            *(connection("disconnections", f"t{n}", f"v{n}") for n in range(40, 60)),
        ]
        outcome = confirm(sandbox, path, *messages, delivery=delivery)
        connected = {row["vendorSku"]: row.get("variantId") for row in sandbox.rows(VARIANTS)}
        lost = {
            (one["record"]["sku"], one["record"]["vendorSku"])
            for one in messages
            if (connected[one["record"]["vendorSku"]] is None) == (one["stream"] == "acknowledgements")
        }
        assert 0 < len(lost) < 60
        assert set(set_aside(path)) == lost
        figures = [outcome.of(action) for action in CONNECTIONS]
        assert (sum(one.confirmed for one in figures), sum(one.rejected for one in figures)) == (
            60 - len(lost),
            len(lost),
        )
        assert (outcome.states, outcome.code) == ([1], 1)


def test_a_key_that_no_query_has_room_for_holds_nothing_up(tmp_path: Path) -> None:
    """It is not confirmed, and its neighbours are."""
    path, long = tmp_path / "rejects.jsonl", "\u00fc" * 3_000
    with jetti() as sandbox:
        fill(sandbox, 1)
        outcome = confirm(
            sandbox, path, schema(), variant(2, 2), record(externalId=long, vendorSku="v3"),
            connection("acknowledgements", "s1", "v1"), connection("acknowledgements", "s2", long),
            connection("acknowledgements", long, "v2"), skip_unchanged=False,
        )  # fmt: skip
        assert (outcome.error, outcome.states) == (None, [1])
        assert (outcome.of().confirmed, outcome.of("acknowledgements").confirmed) == (1, 1)
        assert sum(one["type"] == "RECORD" for one in rejects(path)) == 3


def test_a_connection_of_what_does_not_exist_is_not_confirmed(tmp_path: Path) -> None:
    """An unknown sku, vendor sku or provider, and a provider without that vendor sku, are each set aside."""
    path = tmp_path / "rejects.jsonl"
    with jetti() as sandbox:
        sandbox.upsert("dropship_providers", {"id": 4, "name": "Other", "externalId": "other"})
        fill(sandbox, 1, 2)
        bad = [
            connection(action, *names)
            for action in CONNECTIONS
            for names in (("s0", "v1"), ("s1", "v0"))
        ] + [
            connection(action, "s1", "v2", **provider)
            for action in CONNECTIONS
            for provider in ({"dropshipProviderId": 4}, {"dropshipProviderExternalId": "nobody"})
        ]  # fmt: skip
        outcome = confirm(sandbox, path, *bad, connection("acknowledgements", "s1", "v1"))
        assert sorted(set_aside(path)) == sorted((one["record"]["sku"], one["record"]["vendorSku"]) for one in bad)
        assert outcome.of("acknowledgements").confirmed == 1


def test_the_last_of_several_connections_of_a_feed_variant_is_what_must_show(tmp_path: Path) -> None:
    """What the run itself undid, or moved on to another sku, is no reject: replaying it would undo the last one."""
    with jetti(inbound_delay=0.4) as sandbox:
        fill(sandbox, 1, 2, 3)
        messages = [
            connection("acknowledgements", "s1", "v1"),
            connection("disconnections", "s1", "v1"),
            connection("acknowledgements", "s1", "v2"),
            connection("acknowledgements", "s2", "v2"),
            connection("disconnections", "s1", "v3"),
            connection("acknowledgements", "s1", "v3"),
        ]
        outcome = confirm(sandbox, tmp_path / "r", *messages, seconds=20, batch_size=1, concurrency=1)
        assert {row["vendorSku"]: row["variantId"] for row in sandbox.rows(VARIANTS)} == {
            "v1": None,
            "v2": 12,
            "v3": 11,
        }
        assert (outcome.states[-1], outcome.code) == (1, 0)
        assert [outcome.of(action).confirmed for action in CONNECTIONS] == [4, 2]


@pytest.mark.parametrize(
    "steps", [("+s1", "+s2"), ("+s1", "-s1"), ("+s1", "+s2", "-s2"), ("-s1", "+s2"), ("-s1", "+s1")]
)
@pytest.mark.parametrize("is_mixed", [False, True])
def test_what_overwrites_a_connection_is_told_however_it_names_the_feed_variant(
    steps: tuple[str, ...], is_mixed: bool, tmp_path: Path
) -> None:
    """By the provider's id or external id, for the same sku or another, acknowledged or disconnected."""
    names: tuple[dict[str, Any], ...] = ({"dropshipProviderExternalId": "maker"}, {"dropshipProviderId": 3})
    with jetti() as sandbox:
        fill(sandbox, 1, variantId=11)
        messages = [
            connection(CONNECTIONS["+-".index(step[0])], step[1:], "v1", **names[number % 2 if is_mixed else 0])
            for number, step in enumerate(steps)
        ]
        outcome = confirm(sandbox, tmp_path / "r", *messages, batch_size=1, concurrency=1)
        assert (set_aside(tmp_path / "r"), outcome.code) == ([], 0)
        assert sum(outcome.of(action).confirmed for action in CONNECTIONS) == len(steps)


@pytest.mark.parametrize("step", [1, -1])
def test_a_lost_half_of_a_move_is_set_aside(step: int, tmp_path: Path) -> None:
    """A feed variant that was cut from one sku is not on another for that, whichever came first."""
    rows: dict[str, list[dict[str, Any]]] = {
        "custom-channels": [{"id": 2, "channelId": CHANNEL, "webhookHash": "c5"}],
        "variants": [{"id": 11, "sku": "s1"}, {"id": 12, "sku": "s2"}],
        "dropship-providers": [{"id": 3, "externalId": "maker"}],
        "inventory-feeds": [{"id": FEED, "dropshipProviderId": 3}],
        "inventory-feed-variants": [{"id": 1, "vendorSku": "v1", "inventoryFeedId": FEED, "variantId": None}],
    }
    with odd_server(rows=rows) as odd:
        halves = [connection("disconnections", "s1", "v1"), connection("acknowledgements", "s2", "v1")][::step]
        outcome = confirm(odd, tmp_path / "r", *halves, batch_size=1, concurrency=1)
        assert (set_aside(tmp_path / "r"), outcome.of("disconnections").confirmed) == ([("s2", "v1")], 1)


def test_of_a_record_of_several_feed_variants_only_what_was_lost_is_set_aside(tmp_path: Path) -> None:
    """Feeding it back in does not undo what came later for the others."""
    path = tmp_path / "r"
    vendors = [{"vendorSku": f"v{number}", "dropshipProviderId": 3} for number in (1, 2, 3)]
    with jetti() as sandbox:
        fill(sandbox, 1)
        several = record("acknowledgements", sku="s1", vendorSkus=vendors)
        cut = connection("disconnections", "s1", "v1", dropshipProviderId=3)
        outcome = confirm(sandbox, path, several, cut, batch_size=1, concurrency=1)
        assert (outcome.states, outcome.of("acknowledgements").rejected) == ([1], 1)
        assert [one["record"] for one in rejects(path)[1:]] == [
            {"sku": "s1", "vendorSkus": [vendor]} for vendor in vendors[1:]
        ]
        fill(sandbox, 2, 3)
        assert deliver(sandbox, *rejects(path)).code == 0
        assert {row["vendorSku"]: row["variantId"] for row in sandbox.rows(VARIANTS)} == {
            "v1": None,
            "v2": 11,
            "v3": 11,
        }


@pytest.mark.parametrize("batch_size", [1, 50])
def test_a_feed_variant_ends_with_the_sku_that_came_last(batch_size: int, tmp_path: Path) -> None:
    """Also if it came back to one, or another feed variant of that sku came first."""
    with jetti() as sandbox:
        fill(sandbox, 1, 2, 3)
        order = [("s1", "v3"), ("s2", "v2"), ("s1", "v2"), ("s1", "v1"), ("s2", "v1"), ("s1", "v1")]
        messages = [connection("acknowledgements", *names) for names in order]
        outcome = confirm(sandbox, tmp_path / "r", *messages, batch_size=batch_size)
        assert {row["variantId"] for row in sandbox.rows(VARIANTS)} == {11}
        assert (outcome.states, outcome.code) == ([1], 0)


def test_a_variant_published_in_a_channel_is_answered_at_once(tmp_path: Path) -> None:
    """It goes through the API also with delivery inbound, so there is nothing to read back."""
    with jetti() as sandbox:
        published = record("acknowledgements", externalId="x1", sku="s1")
        outcome = confirm(sandbox, tmp_path / "r", published)
        assert (outcome.of("acknowledgements").sent, outcome.code) == (1, 0)
        assert [(row["externalId"], row["channelId"]) for row in sandbox.rows("channel_variants")] == [("x1", CHANNEL)]


def test_products_are_confirmed_by_whichever_key_they_have(tmp_path: Path) -> None:
    """A batch of products with several kinds of keys is looked for where each shows."""
    rows: dict[str, list[dict[str, Any]]] = {
        "custom-channels": [{"id": 2, "channelId": CHANNEL, "webhookHash": "c5"}],
        "variants": [{"id": 1, "sku": "there"}, {"id": 2, "sku": "7"}],
        "channel-variants": [
            {"id": 3, "externalId": "x1", "externalSku": "e1", "channelId": CHANNEL},
            {"id": 4, "externalId": "x2", "externalSku": "e2", "channelId": 99},
        ],
    }
    with odd_server(rows=rows) as odd:
        keys: list[dict[str, Any]] = [
            *({"externalId": key} for key in ("x1", "x2")),
            *({"externalSku": key} for key in ("e1", "e2")),
            *({"sku": key} for key in ("there", "not")),
            {"id": 2},
        ]
        outcome = deliver(
            odd, schema("products"), *(record("products", name="Cup", **key) for key in keys), state(1),
            confirm_seconds=0.3, on_reject="set_aside", rejects_path=str(tmp_path / "r"),
        )  # fmt: skip
        assert (outcome.error, outcome.of("products").confirmed) == (None, 4)
        lost = [one["record"] for one in rejects(tmp_path / "r")[1:]]
        keys = [{"externalId": "x2"}, {"externalSku": "e2"}, {"sku": "not"}]
        assert sorted(map(str, lost)) == sorted(str({"name": "Cup", **key}) for key in keys)


def test_a_product_that_is_sent_to_two_channels_is_confirmed_in_both() -> None:
    """Both show in the one variant of that sku."""
    rows: dict[str, list[dict[str, Any]]] = {
        "custom-channels": [{"id": number, "channelId": number, "webhookHash": f"c{number}"} for number in (5, 6)],
        "variants": [{"id": 1, "sku": "there"}],
    }
    with odd_server(rows=rows) as odd:
        products = [record("products", sku="there", name="Cup", channelId=number) for number in (5, 6)]
        outcome = deliver(odd, schema("products"), *products, state(1), confirm_seconds=0.3)
        assert (outcome.error, outcome.of("products").confirmed, outcome.states) == (None, 2, [1])


def test_effects_are_read_back_from_the_documented_path_however_small_its_lists(tmp_path: Path) -> None:
    """Lists of at most 20 rows with numbers as text confirm what went in, and what did not is found."""
    feed = {"id": FEED, "resourceType": "webhook", "hash": "h7"}
    with odd_server(rows={"inventory-feeds": [feed], "inventory-feed-variants": []}, page=20) as odd:
        rows = odd.rows["inventory-feed-variants"]

        def apply(call: Call) -> None:
            for one in call.body if call.method == "POST" else ():
                if one["externalId"] != "e77":
                    rows.append(
                        {
                            **{name: str(value) for name, value in one.items()},
                            "id": len(rows),
                            "inventoryFeedId": str(FEED),
                        }
                    )

        odd.answer = apply
        outcome = deliver(
            odd, schema(), *(variant(n, n) for n in range(120)), state(1),
            confirm_seconds=0.3, on_reject="set_aside", rejects_path=str(tmp_path / "r"),
        )  # fmt: skip
        assert (outcome.error, outcome.states) == (None, [1])
        assert (outcome.of().confirmed, outcome.of().rejected) == (119, 1)
        assert [one["record"]["externalId"] for one in rejects(tmp_path / "r")[1:]] == ["e77"]
