"""Input that is not what it should be: said with its line, without a secret, and nothing lost silently."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_runs import FEED, VARIANTS, as_lines, deliver, jetti, record, rejects, schema, state, stock, variant

from tap_jetti.errors import InputError, RecordError, SettingsError
from tap_jetti.facts.redaction import Redactor
from tap_jetti.target.actions import ACTIONS
from tap_jetti.target.delivery.record_errors import MissingSchemaError
from tap_jetti.target.fields import CHECKS, UNCHECKED_TYPES
from tap_jetti.target.singer_input import EXCERPT_LENGTH, excerpt

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "text"),
    [
        pytest.param('{"type": "RECORD", "stream": "inv', "Line 4 is not valid JSON", id="torn"),
        pytest.param("not json", "Line 4 is not valid JSON", id="text"),
        pytest.param('{"type": "STATE", "value": NaN}', "Line 4 is not valid JSON", id="nan"),
        pytest.param('{"type": "STATE", "value": 1e99999999999999999999}', "Line 4 is not valid JSON", id="no-number"),
        pytest.param(
            '{"type": "STATE", "value": ' + "[" * 100_000, "Line 4 is not valid JSON", id="nested-without-end"
        ),
        pytest.param(
            json.dumps(variant(1, 1, junk=0)).replace(": 0", ": " + "[" * 900 + "]" * 900),
            "Line 4 is nested deeper than 200 levels",
            id="nested-deep",
        ),
        pytest.param("[1, 2]", "Line 4 is not a Singer message", id="array"),
        pytest.param('{"type": "NOTE"}', "Line 4 is not a Singer message", id="unknown-type"),
        pytest.param('{"type": ["RECORD"]}', "Line 4 is not a Singer message", id="odd-type"),
        pytest.param('{"type": "RECORD", "stream": "inventory_feed_variants"}', "Line 4 is a RECORD", id="no-record"),
        pytest.param('{"type": "SCHEMA", "stream": "x", "schema": {}}', "Line 4: the SCHEMA of x", id="no-properties"),
        pytest.param(json.dumps({**schema(), "key_properties": 5}), "Line 4: the key_properties of", id="odd-keys"),
        pytest.param('{"type": "STATE"}', "Line 4 is a STATE without value", id="no-value"),
        pytest.param('{"type": "BATCH", "stream": "x"}', "Line 4 is a BATCH message", id="batch"),
    ],
)
def test_a_bad_line_is_named_and_what_came_before_is_delivered(line: str, text: str) -> None:
    """The error has the number of the line; records before it arrive; STATE behind it does not come out."""
    with jetti() as sandbox:
        outcome = deliver(sandbox, schema(), variant(1, 1), state(1), line, variant(2, 2), state(2))
        assert isinstance(outcome.error, InputError)
        assert text in str(outcome.error)
        assert (outcome.states, stock(sandbox)) == ([1], {"e1": 1})


def test_a_record_before_its_schema_is_an_error() -> None:
    """The stream is named."""
    with jetti() as sandbox:
        outcome = deliver(sandbox, variant(1, 1))
        assert isinstance(outcome.error, MissingSchemaError)
        assert VARIANTS in str(outcome.error)


def test_a_bad_line_shows_eighty_characters_and_no_secret() -> None:
    """What sounds like a secret, credentials in a URL and the settings' own secrets are masked."""
    line = '{"type": "RECORD", "api_token": "abc", "url": "ftp://u:pw@host/x", "note": "t0k3n" ' + "x" * 500
    text = excerpt(line, Redactor(["t0k3n"]))
    assert len(text) == EXCERPT_LENGTH + 1
    for secret in ("abc", "pw", "t0k3n"):
        assert secret not in excerpt(line, Redactor(["t0k3n"]))
    assert '"api_token": "***"' in text


@given(st.text(), st.sampled_from(["password", "hash", "accessToken", "clientSecret"]), st.integers(0, 400))
def test_the_value_of_a_secret_field_is_never_shown(value: str, name: str, cut: int) -> None:
    """However the value is written and wherever the line is cut, nothing of it gets out."""
    line = '{"a": 1, ' + json.dumps(name) + ": " + json.dumps("secret-" + value) + ', "b": '
    assert "secret-" not in excerpt(line[: max(cut, len(name) + 14)], Redactor())


def test_an_unknown_stream_is_refused_before_anything_is_sent() -> None:
    """The error lists the actions."""
    with jetti() as sandbox:
        outcome = deliver(sandbox, schema("stock_levels"), record("stock_levels", a=1))
        assert isinstance(outcome.error, SettingsError)
        assert all(name in str(outcome.error) for name in ACTIONS)
        assert len(sandbox.requests) == 0


def test_a_stream_is_mapped_by_name_and_by_stream_maps() -> None:
    """stream_actions names the action, stream_maps shape the record, and a stream mapped to nothing is ignored."""
    with jetti() as sandbox:
        outcome = deliver(
            sandbox,
            schema("levels", sku={"type": "string"}, level={"type": "integer"}),
            schema("noise", a={}),
            record("levels", sku="k1", level=4),
            record("noise", a=1),
            stream_actions={"levels": VARIANTS},
            stream_maps={
                "levels": {"externalId": "sku", "vendorSku": "sku", "inventoryQuantity": "level + 1"},
                "noise": None,
            },
        )
        assert outcome.error is None
        assert stock(sandbox) == {"k1": 5}


def test_a_nested_record_is_flattened_if_asked_to(caplog: pytest.LogCaptureFixture) -> None:
    """The settings of the SDK hold for streams without a map, too, and leave others as they are."""
    nested = {
        "externalId": {"type": "string"},
        "vendorSku": {},
        "size": {"type": "object", "properties": {"width": {}}},
    }
    for settings, name in (
        ({"flattening_enabled": True, "flattening_max_depth": 1}, "size__width"),
        ({}, "size"),
    ):
        with jetti() as sandbox:
            message = record(externalId="a", vendorSku="v", size={"width": 3})
            deliver(sandbox, schema(**nested), message, **settings)
            assert f"they are not sent: {name}\n" in caplog.text
            assert sandbox.requests.writes[0].body == [{"externalId": "a", "vendorSku": "v"}]


def test_an_unknown_field_is_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Fields that Jetti does not have are warned of once by name; those of loaders are not."""
    with jetti() as sandbox:
        deliver(sandbox, schema(), *(variant(n, n, colour="red", _sdc_batched_at="x", companyId=1) for n in range(3)))
        assert caplog.text.count("they are not sent: colour") == 1
        assert "_sdc" not in caplog.text
        assert sandbox.requests.writes[0].body[0].keys() == {"externalId", "vendorSku", "inventoryQuantity"}


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        pytest.param({"inventoryQuantity": -1}, "inventoryQuantity", id="negative"),
        pytest.param({"inventoryQuantity": 1.5}, "inventoryQuantity", id="fraction"),
        pytest.param({"inventoryQuantity": "many"}, "inventoryQuantity", id="text"),
        pytest.param({"inventoryQuantity": ""}, "inventoryQuantity", id="empty"),
        pytest.param({"inventoryQuantity": True}, "inventoryQuantity", id="boolean"),
        pytest.param({"inventoryQuantity": 10**30}, "inventoryQuantity", id="huge"),
        pytest.param({"costPrice": "cheap"}, "costPrice", id="price"),
        pytest.param({"costPrice": [1]}, "costPrice", id="list"),
        pytest.param({"manualInventoryPolicy": "maybe"}, "manualInventoryPolicy", id="yes-no"),
        pytest.param({"lastFetchedAt": "soon"}, "lastFetchedAt", id="date"),
        pytest.param({"barcode": {"a": 1}}, "barcode", id="object"),
        pytest.param({"externalId": None}, "externalId", id="null-key"),
        pytest.param({"externalId": ["a"]}, "externalId", id="list-key"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(fields: dict[str, Any], title: str) -> None:
    """The error names the key, the field, what it must be, and what it is."""
    with jetti() as sandbox:
        outcome = deliver(sandbox, schema(), record(**{"externalId": "a", "vendorSku": "v", **fields}))
        assert f"{title}" in str(outcome.error)
        assert title == "externalId" or 'externalId "a" (line 2)' in str(outcome.error)
        assert title == "externalId" or ", not " in str(outcome.error)
        assert sandbox.requests.writes == []


@given(st.sampled_from(sorted(UNCHECKED_TYPES)), st.data())
def test_a_value_that_needs_no_check_passes_it_as_it_is(kind: str, data: st.DataObject) -> None:
    """Whatever is let through by its type alone, its check would let through unchanged."""
    value = data.draw(st.from_type(UNCHECKED_TYPES[kind]))
    assert CHECKS[kind](value) is value


@pytest.mark.parametrize(("external_id", "text"), [("12", "12"), ("1.50", "1.50"), ('"01"', "01")])
def test_an_external_id_is_a_text_however_it_is_written(external_id: str, text: str) -> None:
    """A warehouse may keep it as a number; a later record that writes it as a text is of the same variant."""
    with jetti() as sandbox:
        line = json.dumps(variant(1, 1)).replace('"e1"', external_id)
        outcome = deliver(sandbox, schema(), line, json.dumps(variant(1, 2)).replace('"e1"', f'"{text}"'))
        assert outcome.of().merged == 1
        assert stock(sandbox) == {text: 2}
        assert sandbox.requests.writes[0].body[0]["externalId"] == text


@pytest.mark.parametrize(
    ("name", "written", "sent"),
    [("id", "2.0", 2), ("id", '" 2"', 2), ("id", '"2"', 2), ("externalId", "7", "7"), ("sku", "7", "7")],
)
def test_the_key_of_a_product_is_the_same_however_it_is_written(name: str, written: str, sent: Any) -> None:
    """A warehouse may keep an id as a decimal or a text, and a text as a number; both are one product."""
    with jetti() as sandbox:
        line = json.dumps(record("products", name="Cup", **{name: "?"})).replace('"?"', written)
        outcome = deliver(sandbox, schema("products"), line, record("products", name="Cup", **{name: sent}))
        assert (outcome.error, outcome.of("products").merged) == (None, 1)
        assert sandbox.requests.writes[0].body == [{"name": "Cup", name: sent}]


@pytest.mark.parametrize("product", [{"externalId": ["a"]}, {"externalSku": {"a": 1}}, {"sku": True}, {"id": "two"}])
def test_a_product_whose_key_is_none_is_refused(product: dict[str, Any]) -> None:
    """Nothing would tell it from others, nor show whether it took effect."""
    with jetti() as sandbox:
        outcome = deliver(sandbox, schema("products"), record("products", **product))
        assert isinstance(outcome.error, RecordError)
        assert not sandbox.requests.writes


@pytest.mark.parametrize(
    ("action", "fields", "path"),
    [
        (VARIANTS, {"id": "", "externalId": "e1", "inventoryQuantity": 1}, f"inventory-feeds/{FEED}/parse-webhook"),
        ("purchase_statuses", {"purchaseId": 21, "purchaseStatusId": "", "purchaseStatus": "Sent"}, "purchases/21"),
        ("dropship_providers", {"id": "", "externalId": "maker", "name": "Maker"}, "dropship-providers/3"),
        ("acknowledgements", {"sku": "s1", "vendorSku": "", "externalId": "x1"}, "acknowledge-variant"),
        (
            "acknowledgements",
            {"sku": "s1", "vendorSku": "v1", "vendorSkus": "", "dropshipProviderId": "3", "externalId": " "},
            "acknowledge-inventory-feed-variants",
        ),
    ],
)
def test_an_empty_text_says_nothing(action: str, fields: dict[str, Any], path: str) -> None:
    """Sources without nulls write it for a column that another way to name the same does without."""
    with jetti() as sandbox:
        sandbox.upsert(VARIANTS, {"externalId": "e1", "vendorSku": "v1", "inventoryFeedId": FEED})
        outcome = deliver(sandbox, schema(action), record(action, **fields), delivery="api")
        assert (outcome.error, len(sandbox.requests.writes)) == (None, 1)
        assert sandbox.requests.writes[0].path.endswith(f"{path}.json")


def test_a_feed_is_not_named_by_true() -> None:
    """Nor where records of feed 1 came before."""
    with jetti() as sandbox:
        sandbox.upsert("inventory_feeds", {"id": 1, "name": "First", "resourceType": "webhook", "hash": "h1"})
        messages = (variant(1, 1, inventoryFeedId=1), variant(2, 2, inventoryFeedId=True))
        assert "inventoryFeedId.invalid" in str(deliver(sandbox, schema(), *messages).error)


def test_a_purchase_is_not_shipped_under_a_blank_number() -> None:
    """It could not be told from another shipment, nor taken back."""
    with jetti() as sandbox:
        outcome = deliver(sandbox, schema("shipments"), record("shipments", purchaseId=21, trackingNumber=" "))
        assert isinstance(outcome.error, RecordError)
        assert not sandbox.requests.writes


def test_numbers_keep_every_digit() -> None:
    """A decimal arrives as it was written, not as the nearest float."""
    with jetti() as sandbox:
        line = json.dumps(variant(1, 1)).replace('"e1"', '"e1", "costPrice": 12345678901234.123456')
        deliver(sandbox, schema(), line)
        assert sandbox.requests.writes[0].body[0]["costPrice"] == pytest.approx(12345678901234.123456, rel=0)


def test_a_huge_text_goes_without_its_neighbours_being_held_up() -> None:
    """Ten megabytes close a batch; the others go as usual."""
    with jetti() as sandbox:
        outcome = deliver(sandbox, schema(), variant(1, 1), variant(2, 2, description="x" * 10_000_000), variant(3, 3))
        assert outcome.error is None
        assert stock(sandbox) == {"e1": 1, "e2": 2, "e3": 3}
        assert len(sandbox.requests.writes) == 2


def test_a_huge_key_is_shown_in_part() -> None:
    """What is said of a record that Jetti refuses stays readable."""
    with jetti() as sandbox:
        shipment = record("shipments", purchaseId=99, trackingNumber="x" * 1_000_000)
        outcome = deliver(sandbox, schema("shipments"), shipment)
        assert "X" * 80 + "…" in str(outcome.error)
        assert len(str(outcome.error)) < 1_000


@pytest.mark.parametrize(
    ("lines", "sku"),
    [
        pytest.param("\ufeff" + as_lines([schema(), variant(1, 1)]), "v1", id="byte-order-mark"),
        pytest.param(as_lines([schema(), variant(1, 1)]).replace("\n", "\r\n"), "v1", id="windows-line-ends"),
        pytest.param(as_lines([schema(), variant(1, 1)]).replace('"v1"', '"v\\ud83d"'), "v\ufffd", id="half-a-pair"),
        pytest.param(
            as_lines([schema(), variant(1, 1)]).replace('"v1"', '"\\ud83d\\ude00"'), "\U0001f600", id="astral"
        ),
    ],
)
def test_what_other_programs_write_for_json_is_read(lines: str, sku: str) -> None:
    """A byte order mark, Windows line ends, and texts that were cut within a character."""
    with jetti() as sandbox:
        assert deliver(sandbox, lines.removesuffix("\n")).error is None
        assert [row["vendorSku"] for row in sandbox.rows(VARIANTS)] == [sku]


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        pytest.param("shipments", {"purchaseId": 21, "trackingNumber": "T"}, id="shipments"),
        pytest.param("purchase_statuses", {"purchaseId": 21, "purchaseStatusId": 2}, id="statuses"),
        pytest.param(
            "custom_fields", {"resource": "sales", "resourceId": 31, "key": "k", "value": 1}, id="custom-fields"
        ),
        pytest.param("inventory_feed_variant_removals", {"externalId": "x"}, id="removals"),
        pytest.param("disconnections", {"sku": "s1", "vendorSku": "v", "dropshipProviderId": 3}, id="disconnections"),
    ],
)
def test_a_field_that_no_call_takes_is_said_once(
    action: str, fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A field that Jetti does not have is left out, and named instead of getting lost silently."""
    with jetti() as sandbox:
        deliver(
            sandbox,
            schema(action, **{name: {} for name in fields}),
            *[record(action, **fields, note="x", _sdc_deleted_at=None)] * 2,
        )
        assert caplog.text.count("they are not sent: note\n") == 1
        assert "_sdc" not in caplog.text


@pytest.mark.parametrize("ids", [[210], ["210"], [210.0]])
def test_the_items_of_a_shipment_are_taken_as_a_warehouse_writes_them(ids: list[Any]) -> None:
    """A number may come as its text."""
    with jetti() as sandbox:
        deliver(sandbox, schema("shipments"), record("shipments", purchaseId=21, trackingNumber="T", ids=ids))
        assert sandbox.requests.writes[0].body["ids"] == [210]


@pytest.mark.parametrize("ids", [21, [True], [None], [[1]], {"1": 1}])
def test_the_items_of_a_shipment_are_an_array_of_integers(ids: Any) -> None:
    """Anything else is refused: shipping the wrong items cannot be undone."""
    with jetti() as sandbox:
        outcome = deliver(sandbox, schema("shipments"), record("shipments", purchaseId=21, trackingNumber="T", ids=ids))
        assert "ids must be an array of integers" in str(outcome.error)
        assert sandbox.requests.writes == []


UNREADABLE = [
    pytest.param("NaN", "inventoryQuantity must be a number of JSON, not", id="nan"),
    pytest.param("-Infinity", "inventoryQuantity must be a number of JSON, not", id="infinity"),
    pytest.param("1e99999999999999999999", "inventoryQuantity must be a number of JSON, not", id="huge-exponent"),
    pytest.param("9" * 5_000, "inventoryQuantity must be a number of JSON, not", id="endless"),
    pytest.param('{"a":[1,NaN]}', "inventoryQuantity.a.1 must be a number of JSON, not", id="nested"),
    pytest.param("1E+999999999", "inventoryQuantity must be an integer, not 1E+999999999", id="beyond-integers"),
    pytest.param("2147483648", "must be an integer of at most 2,147,483,647, not 2147483648", id="int4"),
    pytest.param("9999999999", "must be an integer of at most 2,147,483,647, not 9999999999", id="unlimited"),
    pytest.param('"1_2"', 'inventoryQuantity must be an integer, not "1_2"', id="underscore"),
    pytest.param('"\u0661"', "inventoryQuantity must be an integer", id="other-digits"),
    pytest.param('" "', 'inventoryQuantity must be an integer, not " "', id="blank"),
]


@pytest.mark.parametrize(("number", "said"), UNREADABLE)
def test_a_number_that_is_none_rejects_its_own_record_only(number: str, said: str, tmp_path: Path) -> None:
    """Its neighbours go, it is set aside as it came, and the file can be sent again, also into itself."""
    path = tmp_path / "rejects.jsonl"
    bad = json.dumps(variant(2, "?")).replace('"?"', number)
    settings = {"on_reject": "set_aside", "rejects_path": str(path)}
    with jetti() as sandbox:
        outcome = deliver(sandbox, schema(), variant(1, 1), bad, variant(3, 3), state(1), **settings)
        assert (outcome.code, outcome.error, outcome.states) == (1, None, [1])
        assert stock(sandbox) == {"e1": 1, "e3": 3}
        kept = path.read_text(encoding="utf-8").split("\n")[1]
        assert kept.startswith('{"type":"RECORD","stream":"inventory_feed_variants","record":{"externalId":"e2",')
        assert f'"inventoryQuantity":{number}' in kept or number.startswith('"')
        assert said.replace('"', r"\"") in kept.partition('"detail":')[2]


LEVELS = schema("levels", sku={"type": "string"}, level={"type": "integer"})


def test_a_record_that_stream_maps_fail_on_is_rejected(tmp_path: Path) -> None:
    """Its neighbours go, and it is set aside as it came."""
    path = tmp_path / "rejects.jsonl"
    with jetti() as sandbox:
        outcome = deliver(
            sandbox,
            LEVELS,
            *(record("levels", **fields) for fields in ({"sku": "a", "level": None}, {"sku": "b"})),
            record("levels", sku="c", level=1),
            state(1),
            stream_actions={"levels": VARIANTS},
            stream_maps={"levels": {"externalId": "sku", "vendorSku": "sku", "inventoryQuantity": "level + 1"}},
            on_reject="set_aside",
            rejects_path=str(path),
        )
        assert (outcome.code, outcome.error, outcome.states) == (1, None, [1])
        assert stock(sandbox) == {"c": 2}
        assert [one["record"] for one in rejects(path)[1:]] == [{"sku": "a", "level": None}, {"sku": "b"}]
        assert {one["rejection"]["title"] for one in rejects(path)[1:]} == {"stream_maps.failed"}


@pytest.mark.parametrize(
    ("first", "settings"),
    [
        pytest.param(LEVELS, {"stream_maps": {"levels": {"x": "no such +"}}}, id="no-expression"),
        pytest.param({**LEVELS, "schema": {"properties": {"a": True}}}, {"flattening_enabled": True}, id="odd-schema"),
    ],
)
def test_a_schema_that_cannot_be_mapped_is_named_with_its_line(first: dict[str, Any], settings: dict[str, Any]) -> None:
    """One line tells where to look."""
    with jetti() as sandbox:
        outcome = deliver(
            sandbox, first, stream_actions={"levels": VARIANTS}, **{"flattening_max_depth": 1, **settings}
        )
        assert isinstance(outcome.error, InputError)
        assert "Line 1: the SCHEMA of levels" in str(outcome.error)
