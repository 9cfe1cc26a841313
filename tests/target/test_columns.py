"""The columns of a warehouse: which field each of them means, and what is said of those that mean none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_server import odd_server
from target_runs import CHANNEL, FEED, VARIANTS, deliver, jetti, record, rejects, schema, state, stock, variant

from tap_jetti.errors import InputError, RecordError
from tap_jetti.tap.column_names import to_snake_case
from tap_jetti.target.actions import ACTIONS, without_prefix
from tap_jetti.target.columns import Columns, FieldNames
from tap_jetti.target.name_matching import near, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

STYLES: dict[str, Callable[[str], str]] = {
    "api": str,
    "snake": to_snake_case,
    "upper": str.upper,
    "lower": str.lower,
    "upper-snake": lambda name: to_snake_case(name).upper(),
    "byte-order-mark": lambda name: f"\ufeff{name}",
    "mark-as-latin-1": lambda name: f'ï»¿"{name}"',
    "zero-width-space": lambda name: f" {name}\u200b",
}

RECORDS: dict[str, dict[str, Any]] = {
    VARIANTS: {
        "externalId": "e1",
        "vendorSku": "v1",
        "inventoryQuantity": 3,
        "inventoryFeedId": FEED,
        "updatedAt": "x",
    },
    "inventory_feed_variant_removals": {"externalId": "e1", "inventoryFeedId": FEED},
    "acknowledgements": {
        "sku": "s1",
        "vendorSkus": [{"vendorSku": "v1", "dropshipProviderId": 3}, {"vendorSku": "v2", "dropshipProviderId": 3}],
        "channelId": CHANNEL,
    },
    "disconnections": {"sku": "s1", "vendorSku": "v1", "dropshipProviderExternalId": "maker"},
    "products": {"externalId": "x1", "inventoryPolicy": "deny", "product": {"handle": "cup"}, "tags": ["a"]},
    "sales": {
        "externalId": "o1",
        "customer": {"firstName": "A"},
        "lineItems": [{"externalId": "i", "quantity": 1, "price": 2, "variant": {"externalSku": "s"}}],
    },
    "dropship_providers": {"externalId": "maker", "websiteUrl": "u", "createdAt": "x"},
    "inventory_feeds": {"dropshipProviderId": 3, "name": "Stock", "resourceType": "webhook"},
    "shipments": {"purchaseId": 21, "trackingNumber": "T", "ids": [210]},
    "purchase_statuses": {"purchaseId": 21, "purchaseStatusId": 2},
    "inventory_levels": {"variantId": 11, "quantity": 4, "adjustmentReasonId": 2},
    "channel_inventory_levels": {"externalId": "x1", "quantity": 4, "channelId": CHANNEL},
    "updates": {"resource": "sales", "id": 31, "internalNotes": "n", "updatedAt": "x"},
    "cancellations": {"purchaseId": 21, "ids": [210]},
    "custom_fields": {"resource": "sales", "resourceId": 31, "key": "k", "value": {"aB": 1}},
}
"""A record of each action."""

ROWS: dict[str, list[dict[str, Any]]] = {
    "inventory-feeds": [{"id": FEED, "name": "Stock", "dropshipProviderId": 3, "resourceType": "webhook", "hash": "h"}],
    "custom-channels": [{"id": 2, "channelId": CHANNEL, "webhookHash": "c5"}],
    "dropship-providers": [{"id": 3, "externalId": "maker"}],
    "dropshipments": [],
    "inventory-feed-variants": [],
    "variants": [{"id": 11, "sku": "s1", "inventoryQuantity": 1}],
    "channel-variants": [{"id": 1, "externalId": "x1", "channelId": CHANNEL, "variantId": 11}],
    "sales": [{"id": 31}],
    "purchases": [{"id": 21}],
    "purchase-items": [{"id": 210, "purchaseId": 21, "quantity": 2, "quantityCancelled": 0}],
}
"""What the server shows."""


def in_style(value: Any, style: Callable[[str], str], *, free: tuple[str, ...] = ("value", "product")) -> Any:
    """A record with other names at any depth, except within fields whose contents are not known."""
    if isinstance(value, list):
        return [in_style(one, style) for one in value]
    if isinstance(value, dict):
        return {style(name): one if name in free else in_style(one, style) for name, one in value.items()}
    return value


def listing(action: str, fields: Iterable[str], *keys: str) -> dict[str, Any]:
    """A SCHEMA that lists these columns."""
    return schema(action, *keys, **{name: {} for name in fields})


def calls_for(action: str, fields: dict[str, Any], **settings: Any) -> list[Any]:
    """What is sent for one record, whose key the SCHEMA names by its column."""
    with odd_server(rows=ROWS) as odd:
        keys = [*fields][:1]
        outcome = deliver(odd, listing(action, fields, *keys), record(action, **fields), state(1), **settings)
        assert (outcome.error, outcome.states) == (None, [1])
        return odd.writes


@pytest.mark.parametrize("delivery", ["inbound", "api"])
@pytest.mark.parametrize("action", RECORDS)
def test_names_in_every_style_are_the_same_requests(action: str, delivery: str) -> None:
    """Case, underscores, a byte order mark and blanks make no difference, nor does JSON text for a nested value."""
    fields = RECORDS[action]
    expected = calls_for(action, fields, delivery=delivery)
    assert expected
    for style in STYLES.values():
        assert calls_for(action, in_style(fields, style), delivery=delivery) == expected
    text = {
        name: json.dumps(value) if isinstance(value, (dict, list)) and action != "custom_fields" else value
        for name, value in in_style(fields, to_snake_case).items()
    }
    assert calls_for(action, text, delivery=delivery) == expected


def test_every_action_is_tried_in_every_style() -> None:
    """A new action needs a record here."""
    assert RECORDS.keys() == ACTIONS.keys()


@pytest.mark.parametrize("action", ACTIONS)
def test_every_field_of_an_action_has_one_meaning_in_every_style(action: str) -> None:
    """No two fields of an action share a spelling, so that each can be written from any warehouse."""
    names = FieldNames.of_schema({"properties": ACTIONS[action].known_fields()})
    for style in (str, to_snake_case, str.upper):
        columns = Columns(names)
        for name in names.writable:
            assert columns.field_of(style(name)) == name


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param(
            {"inventory_quantityx": 1}, "inventory_quantityx is unknown; did you mean inventoryQuantity?", id="typo"
        ),
        pytest.param({"inventoryQty": 1}, "did you mean inventoryQuantity?", id="abbreviation"),
        pytest.param({"vendor_suk": 1}, "did you mean vendorSku?", id="transposed"),
        pytest.param({"_vendor_sku": 1}, "did you mean vendorSku?", id="leading-underscore"),
        pytest.param({"v\u0435ndorSku": 1}, "v<CYRILLIC SMALL LETTER IE>ndorSku is unknown", id="look-alike"),
    ],
)
@pytest.mark.parametrize("is_listed", [True, False])
def test_a_name_close_to_a_known_one_is_rejected(fields: dict[str, Any], said: str, is_listed: bool) -> None:
    """A misspelt column must not be dropped while the rest of the record is written."""
    with jetti() as sandbox:
        columns = ["externalId", "name", *(fields if is_listed else ())]
        outcome = deliver(sandbox, listing(VARIANTS, columns), record(externalId="a", name="Cup", **fields))
        assert isinstance(outcome.error, RecordError)
        assert said in str(outcome.error)
        assert sandbox.requests.writes == []


@pytest.mark.parametrize(
    ("action", "fields", "said"),
    [
        (VARIANTS, {"externalId": "a", "qty": 1}, "qty is unknown, the nearest known name is inventoryQuantity"),
        (VARIANTS, {"externalId": "a", "updated_at": "x"}, "nothing to write besides externalId"),
        (VARIANTS, {"id": 5}, "nothing to write besides id"),
        (VARIANTS, {"code": "a", "inventory_quantity": 1}, "externalId is missing"),
        ("products", {"sku": "a"}, "nothing to write besides sku"),
        ("dropship_providers", {"id": 3, "companyId": 1}, "nothing to write besides id"),
        ("inventory_feeds", {"id": 7}, "nothing to write besides id"),
        ("custom_fields", {"resource": "sales", "resourceId": 31, "key": "k"}, "value is missing"),
        ("shipments", {"purchaseId": 21, "number": 1}, "number is unknown, the nearest known name is trackingNumber"),
        ("sales", {"externalId": "o", "lineItems": [{"quantty": 1}]}, "did you mean lineItems.quantity?"),
        ("updates", {"resource": "sales", "id": 31, "colour": 1}, "no field of sales that can be written; colour is"),
        ("sales_updates", {"ID": 31, "internal_note": 1}, "id 31 (line 2) was rejected: column.unknown: internal_note"),
    ],
)
def test_a_record_with_nothing_to_write_is_rejected(action: str, fields: dict[str, Any], said: str) -> None:
    """It would be a call without effect that counts as sent; the nearest known name is said."""
    with jetti() as sandbox:
        outcome = deliver(sandbox, listing(action, fields), record(action, **fields))
        assert said in str(outcome.error)
        assert sandbox.requests.writes == []


def test_two_columns_for_one_field_are_refused() -> None:
    """Nobody can know which of them is meant; both are named, in the SCHEMA and in a record."""
    with jetti() as sandbox:
        both = ["externalId", "vendorSku", "VENDOR_SKU"]
        outcome = deliver(sandbox, listing(VARIANTS, both), record(**dict.fromkeys(both, "a")))
        assert isinstance(outcome.error, InputError)
        assert "the columns vendorSku and VENDOR_SKU both mean vendorSku" in str(outcome.error)
        outcome = deliver(sandbox, schema(), record(externalId="a", vendorSku="b", VENDOR_SKU="c"))
        assert isinstance(outcome.error, RecordError)
        assert "the columns vendorSku and VENDOR_SKU both mean vendorSku" in str(outcome.error)
        twice = ["externalId", "name", "updatedAt", "updated_at"]
        assert deliver(sandbox, listing(VARIANTS, twice), record(**dict.fromkeys(twice, "a"))).error is None
        assert len(sandbox.requests.writes) == 1


def test_an_unknown_field_can_be_an_error() -> None:
    """`unknown_fields: error` rejects the record; the columns of loaders are known."""
    with jetti() as sandbox:
        loaders = {"_SDC_EXTRACTED_AT": "x", "_sdc_sequence": 1, "_dlt_id": "x", "_airbyte_raw_id": "x"}
        outcome = deliver(
            sandbox,
            schema(),
            variant(1, 1, **loaders),
            variant(2, 2, colour="red"),
            unknown_fields="error",
        )
        assert "colour is unknown, the nearest known name is" in str(outcome.error)
        assert stock(sandbox) in ({}, {"e1": 1})


def test_a_rejected_part_of_a_record_keeps_its_columns(tmp_path: Path) -> None:
    """A record of several vendor skus, as JSON text in a column of another name, is set aside per vendor sku."""
    path = tmp_path / "r"
    vendor_skus = [{"vendor_sku": sku, "dropship_provider_id": 3} for sku in ("v1", "v2")]
    with odd_server(rows=ROWS, answer=lambda call: (422, {"title": "no"}) if call.method == "PUT" else None) as odd:
        outcome = deliver(
            odd,
            schema("acknowledgements", SKU={}, VENDOR_SKUS={}),
            record("acknowledgements", SKU="s1", VENDOR_SKUS=json.dumps(vendor_skus)),
            on_reject="set_aside",
            rejects_path=str(path),
        )
        assert outcome.code == 1
    kept = [one["record"] for one in rejects(path)[1:]]
    assert sorted(one["VENDOR_SKUS"][0]["vendorSku"] for one in kept) == ["v1", "v2"]
    assert {one["SKU"] for one in kept} == {"s1"}


@pytest.mark.parametrize(
    ("action", "fields", "said"),
    [
        ("sales", {"externalId": "o", "lineItems": "[{"}, 'lineItems must be an array or its JSON text, not "[{"'),
        ("shipments", {"purchaseId": 21, "trackingNumber": "T", "ids": "21"}, "ids must be an array or its JSON text"),
        ("sales", {"externalId": "o", "lineItems": "[]", "customer": "[1]"}, "customer must be an object or its JSON"),
        ("sales", {"externalId": "o", "lineItems": '[{"quantity": NaN}]'}, "lineItems must be an array or its JSON"),
        ("sales", {"externalId": "o", "lineItems": "[" * 100_000}, "lineItems must be an array or its JSON"),
        (VARIANTS, {"externalId": "o", "tags": "[" * 900 + "]" * 900}, "tags must be an array or its JSON text"),
        (VARIANTS, {"externalId": "o", "tags": "a, b"}, "tags must be an array or its JSON text"),
    ],
)
def test_text_that_is_no_json_is_rejected(action: str, fields: dict[str, Any], said: str) -> None:
    """The field, what it must be, and the beginning of what it is."""
    with jetti() as sandbox:
        outcome = deliver(sandbox, listing(action, fields), record(action, **fields))
        assert said in str(outcome.error)
        assert len(str(outcome.error)) < 400
        assert sandbox.requests.writes == []


@pytest.mark.parametrize("shown", ["1E+999999999", "1E-999999999", "9" * 1_000])
@pytest.mark.parametrize("field", ["inventoryQuantity", "costPrice", "metaFields", "vendorSku"])
def test_odd_numbers_that_jetti_shows_are_differences(field: str, shown: str) -> None:
    """However large its exponent, a value is compared at once, and no error ends the run, also in the second one."""
    rows: dict[str, list[dict[str, Any]]] = {**ROWS, "inventory-feed-variants": []}
    row = json.dumps({"id": 1, "externalId": "a", "inventoryFeedId": FEED, "updatedAt": "2026-01-01T00:00:00.000Z"})
    body = f'[{row[:-1]}, "{field}": {shown}}}]'.encode()

    def answer(call: Any) -> tuple[int, Any] | None:
        is_first = not any(name.endswith("[$gte]") for name, _ in call.query)
        is_list = call.path.endswith("inventory-feed-variants.json") and call.method == "GET"
        return (200, body if is_first else b"[]") if is_list else None

    values: dict[str, Any] = {"inventoryQuantity": 1, "costPrice": 1, "metaFields": [1], "vendorSku": "v"}
    with odd_server(rows=rows, answer=answer) as odd:
        for _ in range(2):
            message = record(externalId="a", **{field: values[field]})
            order: dict[str, Any] = {"max_updates": 1, "max_updates_order": "largest_change"}
            outcome = deliver(odd, listing(VARIANTS, message["record"]), message, state(1), **order)
            assert (outcome.error, outcome.states) == (None, [1])
        assert odd.writes


NAME = st.text(st.characters(codec="utf-8"), max_size=12)
KNOWN = st.lists(st.text("abcABC_", min_size=1, max_size=8), min_size=1, max_size=6, unique=True)


@given(
    KNOWN, st.lists(st.dictionaries(NAME | st.text("abcABC_", max_size=8), st.integers(), max_size=5)), st.booleans()
)
def test_a_value_gets_to_its_field_or_the_record_is_rejected(
    known: list[str], records: list[dict[str, Any]], is_open: bool
) -> None:
    """Whatever the names: each value is under its own field, under a name that no action sends, or said."""
    columns = Columns(FieldNames(frozenset(known), is_open=is_open), known[:1])
    for one in records:
        try:
            found = columns.read(one)
        except RecordError as error:
            assert error.detail  # noqa: PT017 - either outcome is right
            continue
        assert list(found.values()) == list(one.values())
        for column, name in zip(one, found, strict=True):
            assert name in known or name == column or name.startswith("_")
            if column in known:
                assert name == column


@given(st.text(), KNOWN)
def test_there_is_always_a_nearest_name(name: str, known: list[str]) -> None:
    """Any text has one; whether it is close enough to be meant is another question."""
    assert nearest(name, known) in known
    assert near(name, known) in {None, *known}


@pytest.mark.parametrize(
    ("stream", "action"),
    [
        ("public-inventory_feed_variants", VARIANTS),
        ("public.inventory_feed_variants", VARIANTS),
        ("ANALYTICS-PUBLIC-INVENTORY_FEED_VARIANTS", VARIANTS),
        ("channel-inventory_levels", "inventory_levels"),
        ("channel_inventory_levels", "channel_inventory_levels"),
        ("public-sales_updates", "sales_updates"),
        ("PUBLIC.SALES_UPDATES", "sales_updates"),
        ("public-inventory_feed", "public-inventory_feed"),
        ("public-inventory_feed_variants-old", "public-inventory_feed_variants-old"),
        ("-.", "-."),
    ],
)
def test_a_stream_may_have_the_prefix_of_a_schema(stream: str, action: str) -> None:
    """Taps of databases put the schema, and some the database, before the table."""
    assert without_prefix(stream) == action


def test_a_stream_with_a_prefix_is_written_and_named_as_it_came(tmp_path: Path) -> None:
    """The rejects file has the stream's own name, so that it can be sent again."""
    path = tmp_path / "r"
    with jetti() as sandbox:
        messages = [schema("public-" + VARIANTS), record("public-" + VARIANTS, externalId="a", inventoryQuantity=-1)]
        outcome = deliver(sandbox, *messages, on_reject="set_aside", rejects_path=str(path))
        assert outcome.of().rejected == 1
        assert {one["stream"] for one in rejects(path)} == {"public-" + VARIANTS}
