"""A value of each kind, however odd, is written the same by both decoders, and fits its schema."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tap_jetti.facts import resources
from tap_jetti.facts.kinds import Kind, kind_of
from tap_jetti.tap.column_names import STYLES, ColumnNames
from tap_jetti.tap.invalid_values import POLICIES, InvalidValues
from tap_jetti.tap.row_decoder import RowDecoder

DAY = "2020-01-01T00:00:00.000Z"

FIELDS = {
    Kind.TEXT: "reference",
    Kind.INTEGER: "companyId",
    Kind.NUMBER: "total",
    Kind.BOOLEAN: "cancelled",
    Kind.DATE: "dateOrdered",
    Kind.ARRAY: "tags",
    Kind.JSON: "dropshipProblems",
}
"""A field of `sales` for each kind."""

NUMBERS = [
    "0",
    "-0",
    "1",
    "-1",
    "007",
    "1.0",
    "1.5",
    "-0.0",
    "-0.00",
    "0.1",
    "12.10",
    "0.0000001",
    "0.00000000",
    "0.08250000",
    "0.00000001",
    "5.",
    ".5",
    "+1",
    "1e3",
    "1E3",
    "1e-3",
    "1e+3",
    "1.5e300",
    "1e307",
    "1e308",
    "1e309",
    "-1e309",
    "1e-307",
    "1e-309",
    "1e400",
    "1e999999999",
    "1e-999999999",
    "1e99999999999999999999",
    "9007199254740993",
    "9007199254740993.0",
    "1.9999999999999999999",
    "0.1000000000000000055511151231257827",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "123456789012345678",
    "1234567890123456789",
    "12345678901234567890",
    "123456789012345678901234567890.123456789",
    "1.0000000000000000000",
    "123456789012345678.1234567890123456789",
    "17.0",
    "1_2",
    "_1",
    "1,5",
    "1,234.50",
    "0x10",
    "1e",
    "1e5.5",
    "NaN",
    "-NaN",
    "sNaN",
    "Infinity",
    "-Infinity",
    "inf",
    "true",
    "True",
    "TRUE",
    "false",
    "no",
    "yes",
    "t",
    "null",
    "NULL",
    "None",
]
"""Numbers and what looks like them: each is tried as text, and as it is where it is JSON."""

TEXTS = [
    "",
    " ",
    "\t\n",
    " 12.5 ",
    "12 ",
    "1 2",
    "\u0661",
    "\uff11",
    "\u00a01",
    "1\u2028",
    "n/a",
    "x" * 24,
    "1" * 2_000,
    DAY,
    "2020-01-01",
    "2020-01-01T00:00:00Z",
    "2025-10-09T11:00:20+0200",
    "2020-01-01T00:00:00.0000",
    "2020-01-01T00:00:00.000z",
    "2020-01-01t00:00:00.000Z",
    "2020-01-01 00:00:00.000Z",
    "2020-01-01T00:00:00.000+00",
    "2020-02-30T00:00:00.000Z",
    "2020-99-99T99:99:99.999Z",
    "2020-01-01T24:00:00.000Z",
    "2020-01-01T23:59:60.000Z",
    "0000-01-01T00:00:00.000Z",
    "0001-01-01T00:00:00.000Z",
    "9999-12-31T23:59:59.999Z",
    "9999-12-31T23:59:59-14:00",
    "20223-01-01T00:00:00.000Z",
    "2020-02-03T04:05:06.789123+01:00",
    "\u0662020-01-01T00:00:00.000Z",
    "2020-01-01/2021-01-01",
    "a\0b",
    "\0",
    "\ud83d",
    "\U0001f4e6 Zo\u00eb \u2028 \"'\\",
    "\\u0000",
    "a@b.c",
    "ftp://user:word@host/file.csv",
    "https://host/path",
    '"12"',
    '","',
]

NESTED = [
    "[]",
    "{}",
    "[null]",
    '["a",null,"b"]',
    "[5]",
    '[1.5,"a"]',
    "[true]",
    "[-0]",
    "[[1]]",
    '[{"a":1}]',
    '[""]',
    '["a\\u0000b"]',
    '["ftp://u:p@host/"]',
    "[1e3]",
    "[1e400]",
    '{"a":1}',
    '{"a":[1,null,{"b":1.50}]}',
    '{"a":1e3}',
    '{"a":1e400}',
    '{"a":"\\u0000"}',
    '{"\\u0000":1}',
    '{"a":-0}',
    '{"a":1e99999999999999999999}',
    '{"a":12345678901234567890123}',
    '{"a":"\\ud83d"}',
    '{"a":{"a":{"a":{}}}}',
]

SPACED = ['{ "a" : [ 1 , 2 ] }', "[ 1 ,\n2 ]", "{}\t"]


def literals() -> list[str]:
    """All values as JSON."""
    found = [json.dumps(text) for text in [*NUMBERS, *TEXTS]]
    found += [json.dumps(text, ensure_ascii=False) for text in TEXTS if text.isprintable()]
    for number in [*NUMBERS, "1.10", "-12", "100"]:
        try:
            msgspec.json.decode(number, type=msgspec.Raw)
            json.loads(number, parse_constant=None)
        except (ValueError, TypeError):
            continue
        found.append(number)
    return list(dict.fromkeys([*found, *NESTED, *SPACED, "null", "9" * 400]))


LITERALS = literals()


class Decoded:
    """What comes out of pages that one decoder is given."""

    def __init__(self, *, typed: bool, policy: str = "null", style: str = "api") -> None:
        self.invalid = InvalidValues("sales", policy, logging.getLogger("quiet"))
        self._decoder = RowDecoder(
            "sales",
            resources.schema("sales"),
            deselected=(),
            includes=(),
            unknown_fields="warn",
            invalid_values=self.invalid,
            names=ColumnNames(style),
            typed=typed,
            logger=logging.getLogger("quiet"),
        )

    def __call__(self, content: str) -> bytes | str:
        """The rows as they are written, or the name of the error."""
        try:
            page = self._decoder(content.encode("utf-8", "surrogatepass"))
        except Exception as error:  # noqa: BLE001 - whatever it is, both must raise the same
            return type(error).__name__
        return msgspec.json.Encoder(decimal_format="number").encode_lines(page.rows)


def page_of(field: str, *values: str) -> str:
    """A page with these values in a field."""
    rows = (f'{{"id":{n},"{field}":{value},"updatedAt":"{DAY}"}}' for n, value in enumerate(values, 1))
    return f"[{','.join(rows)}]"


def test_there_are_many_odd_values() -> None:
    """At least 60 of them, and one field for every kind."""
    assert len(LITERALS) >= 200
    properties = resources.schema("sales")["properties"]
    assert {kind: kind_of(properties[field]) for kind, field in FIELDS.items()} == {kind: kind for kind in Kind}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.value)
def test_both_decoders_write_the_same_bytes(kind: Kind, policy: str) -> None:
    """Each odd value, alone and among usual ones, leaves the struct decoder as it leaves the general one."""
    field = FIELDS[kind]
    usual = {Kind.INTEGER: "5", Kind.NUMBER: '"12.10"', Kind.BOOLEAN: "true", Kind.ARRAY: '["a"]'}.get(kind, f'"{DAY}"')
    for literal in LITERALS:
        for content in (page_of(field, literal), page_of(field, usual, "null", literal, usual)):
            typed, general = Decoded(typed=True, policy=policy), Decoded(typed=False, policy=policy)
            assert typed(content) == as_columns(general(content), field), literal
            assert typed.invalid.count == general.invalid.count, literal


def as_columns(lines: bytes | str, field: str) -> bytes | str:
    """Rows of the general decoder with their fields in the order of the schema, as the struct decoder has them."""
    if isinstance(lines, str):
        return lines
    order = [name for name in resources.schema("sales")["properties"] if name in {"id", field, "updatedAt"}]
    rows = [msgspec.json.decode(line, type=dict[str, msgspec.Raw]) for line in lines.splitlines()]
    return msgspec.json.Encoder().encode_lines([{name: row[name] for name in order} for row in rows])


@pytest.mark.parametrize("style", STYLES)
def test_a_stream_of_odd_pages_is_decoded_alike(style: str) -> None:
    """One decoder that is given all odd values of all kinds one after the other writes what the general one writes."""
    typed, general = Decoded(typed=True, style=style), Decoded(typed=False, style=style)
    for literal in LITERALS:
        for field in FIELDS.values():
            content = page_of(field, literal, "null", literal)
            expected = general(content)
            order = as_columns(expected, ColumnNames(style).of(field)) if style == "api" else expected
            if style == "api":
                assert typed(content) == order, (field, literal)
            else:
                assert sorted_rows(typed(content)) == sorted_rows(expected), (field, literal)


def sorted_rows(lines: bytes | str) -> list[dict[str, Any]] | str:
    """Rows regardless of the order of their fields, with numbers as they are spelt."""
    if isinstance(lines, str):
        return lines
    return [json.loads(line, parse_float=str, parse_int=str) for line in lines.splitlines()]


TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.TEXT: (str,),
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, Decimal),
    Kind.BOOLEAN: (bool,),
    Kind.DATE: (str,),
    Kind.ARRAY: (list,),
    Kind.JSON: (dict, list, str, int, Decimal, bool),
}


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.value)
def test_what_is_written_fits_the_kind(kind: Kind) -> None:
    """By default no odd value leaves in another type, with NUL, or as a number that loaders refuse."""
    field = FIELDS[kind]
    for literal in LITERALS:
        lines = Decoded(typed=True)(page_of(field, literal))
        if isinstance(lines, str):
            continue
        assert b"\\u0000" not in lines.replace(b"\\\\u0000", b""), literal
        value = json.loads(lines, parse_float=Decimal)[field]
        assert value is None or (
            isinstance(value, TYPES[kind]) and (kind in {Kind.BOOLEAN, Kind.JSON} or not isinstance(value, bool))
        ), literal
        if isinstance(value, (int, Decimal)) and kind is not Kind.JSON:
            assert abs(float(value)) < 1e308, literal
        if kind is Kind.INTEGER and value is not None:
            assert abs(value) < 2**63 + 1, literal
        if kind is Kind.DATE and value is not None:
            assert len(value) == len(DAY), literal


@pytest.mark.parametrize(
    ("kind", "literal", "expected"),
    [
        (Kind.INTEGER, '"1_2"', "null"),
        (Kind.INTEGER, '"\uff11"', "null"),
        (Kind.INTEGER, "9007199254740993.0", "9007199254740993"),
        (Kind.INTEGER, "1.9999999999999999999", "null"),
        (Kind.INTEGER, "1e999999999", "null"),
        (Kind.INTEGER, "1e99999999999999999999", "null"),
        (Kind.INTEGER, '"1e3"', "1000"),
        (Kind.INTEGER, "true", "null"),
        (Kind.INTEGER, "9223372036854775808", "null"),
        (Kind.NUMBER, "-0", "0"),
        (Kind.NUMBER, '".5"', "null"),
        (Kind.NUMBER, '"5."', "5"),
        (Kind.NUMBER, '"1,234.50"', "null"),
        (Kind.NUMBER, '"Infinity"', "null"),
        (Kind.NUMBER, '" "', "null"),
        (Kind.NUMBER, "false", "null"),
        (Kind.NUMBER, '"0.08250000"', "0.08250000"),
        (Kind.DATE, '"2025-10-09T11:00:20+0200"', '"2025-10-09T09:00:20.000Z"'),
        (Kind.DATE, '"20223-01-01T00:00:00.000Z"', "null"),
        (Kind.DATE, '"2020-02-30T00:00:00.000Z"', "null"),
        (Kind.TEXT, r'"a\u0000b"', "null"),
        (Kind.TEXT, '["a",1.50]', r'"[\"a\",1.50]"'),
        (Kind.ARRAY, r'["a\u0000b"]', "null"),
        (Kind.ARRAY, '{"a":1}', "null"),
        (Kind.ARRAY, "[5]", '["5"]'),
        (Kind.JSON, r'{"a":"\u0000"}', "null"),
        (Kind.JSON, '{"a":1e400}', "null"),
        (Kind.JSON, '{"a":-0}', '{"a":0}'),
    ],
)
@pytest.mark.parametrize("typed", [True, False], ids=["typed", "general"])
def test_an_odd_value_is_written_so(kind: Kind, literal: str, expected: str, typed: bool) -> None:
    """The table of `tap_jetti.tap.values`, by examples."""
    lines = Decoded(typed=typed)(page_of(FIELDS[kind], literal))
    assert isinstance(lines, bytes)
    assert bytes(msgspec.json.decode(lines, type=dict[str, msgspec.Raw])[FIELDS[kind]]).decode() == expected


USUAL = {
    "numbers as text": ("total", '"12.10"'),
    "integers as text": ("companyId", '"17"'),
    "booleans as text": ("cancelled", '"true"'),
    "other dates": ("dateOrdered", '"2025-10-09T11:00:20+0200"'),
    "numbers as numbers": ("total", "12.10"),
    "invalid values": ("total", '"n/a"'),
    "dates that are null": ("dateOrdered", "null"),
}


@pytest.mark.parametrize("case", USUAL)
def test_structs_serve_values_of_another_form(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field whose values always come in another form, as companyId does, does not make a stream slow."""
    monkeypatch.setattr(RowDecoder, "_decode_generally", None)
    decoded = Decoded(typed=True)
    field, literal = USUAL[case]
    for _ in range(10):
        assert isinstance(decoded(page_of(field, literal, literal, "null", literal)), bytes)


def test_other_names_cost_no_general_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """With snake_case columns structs are renamed, not copied."""
    monkeypatch.setattr(RowDecoder, "_decode_generally", None)
    lines = Decoded(typed=True, style="snake_case")(page_of("billingFirstName", '"Zoe"'))
    assert lines == b'{"id":1,"billing_first_name":"Zoe","updated_at":"2020-01-01T00:00:00.000Z"}\n'


def test_ids_stay_strict() -> None:
    """An id is an integer of 64 bits, and never becomes null."""
    for typed in (True, False):
        for literal in ("null", '"x"', "1.5", "true", "9223372036854775808", '"\u0661"', '"1_2"'):
            content = f'[{{"id":{literal},"updatedAt":"{DAY}"}}]'
            assert Decoded(typed=typed)(content) == "MalformedPageError", literal
