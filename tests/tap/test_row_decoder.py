"""The fast way of reading a page and the general one give the same."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runs import EXAMPLES
from tap_jetti.facts import resources
from tap_jetti.reading.pages import MalformedPageError
from tap_jetti.tap.row_decoder import RowDecoder

DAY = "2020-01-01T00:00:00.000Z"
FIELDS = {
    "text": "reference",
    "integer": "companyId",
    "number": "total",
    "boolean": "cancelled",
    "date": "dateOrdered",
    "array": "tags",
    "json": "dropshipProblems",
    "unknown": "displayName",
}
odd = st.sampled_from(
    [
        "",
        "0",
        "1",
        "-1",
        "1.0",
        "1.5",
        "007",
        " 1 ",
        "1e3",
        "1_000",
        "NaN",
        "Infinity",
        "-Infinity",
        "sNaN",
        "None",
        "true",
        "TRUE",
        "false",
        "yes",
        "no",
        "t",
        "on",
        "off",
        "0x10",
        "+1",
        ".5",
        "5.",
        "١",
        "1,5",
        DAY,
        "2020-01-01",
        "2020-01-01T00:00:00Z",
        "2020-01-01T00:00:00.000+00",
        "2020-99-99T99:99:99.999Z",
        "x" * 24,
        "ftp://me:word@host/",
        "a@b.c",
        "http:\\/\\/u:p@h",
        "\u2028",
        "\x00",
        "😀",
    ]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    odd,
    st.text(max_size=5),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
rows = st.fixed_dictionaries(
    {"id": st.integers(1, 99) | st.sampled_from(["7", True, "x", None])},
    optional={"updatedAt": st.just(DAY) | odd | st.none(), **dict.fromkeys(FIELDS.values(), values)},
)


def leaves(content: bytes, *, typed: bool, deselected: set[str]) -> Any:
    """What comes out of a page, or the name of its error."""
    decoder = RowDecoder(
        "sales",
        resources.schema("sales"),
        deselected=deselected,
        includes=(),
        unknown_fields="warn",
        typed=typed,
        logger=logging.getLogger("quiet"),
    )
    outcomes = []
    for _ in range(2):  # the second page is read knowing the first one's undocumented fields
        try:
            page = decoder(content)
        except (MalformedPageError, msgspec.DecodeError) as error:
            outcomes.append(type(error).__name__)
            continue
        text = msgspec.json.Encoder(decimal_format="number").encode(page.rows)
        outcomes.append((json.loads(text, parse_float=Decimal, parse_int=Decimal), page.ids, page.keys))
    return outcomes


@given(st.lists(rows, max_size=3), st.sets(st.sampled_from(sorted(FIELDS.values())), max_size=2), st.booleans())
@settings(max_examples=150 * EXAMPLES)
@example([{"id": 1, "updatedAt": DAY, "total": "null"}], set(), True)
@example([{"id": 1, "updatedAt": DAY, "cancelled": "on"}], set(), True)
@example([{"id": 1, "updatedAt": DAY, "companyId": "1_000"}], set(), True)
@example([{"id": True, "updatedAt": DAY}], set(), True)
def test_both_ways_give_the_same(page: list[dict[str, Any]], deselected: set[str], plain: bool) -> None:
    """Whatever a page holds, structs made from the schema and plain dicts write the same records, or fail alike."""
    content = json.dumps(page, ensure_ascii=not plain).encode("utf-8", "surrogatepass")
    assert leaves(content, typed=True, deselected=deselected) == leaves(content, typed=False, deselected=deselected)


def test_both_ways_write_fields_in_the_same_order() -> None:
    """A page that must go the general way, for half a surrogate pair, has its fields in the order of all others."""
    decoder = RowDecoder(
        "sales",
        resources.schema("sales"),
        deselected=(),
        includes=(),
        unknown_fields="warn",
        typed=True,
        logger=logging.getLogger("quiet"),
    )
    rows = [f'[{{"reference": "{text}", "total": 1, "updatedAt": "{DAY}", "id": 1}}]' for text in ("?", r"\ud83d")]
    encoder = msgspec.json.Encoder(decimal_format="number")
    typed, general = (encoder.encode(decoder(content.encode()).rows) for content in rows)
    assert general.replace("\ufffd".encode(), b"?") == typed


@pytest.mark.parametrize(
    "escaped",
    [
        r"ftp://user:word@host/",
        r"ftp:\/\/user:word@host\/",
        r"ftp:/\/user:word@host/",
        r"ftp:\/" + "/user:word@host/",
        r"ftp\u003a//user:word@host/",
        r"ftp://user:word\u0040host/",
        r"ftp:\u002f\u002Fuser:word@host/",
    ],
)
@pytest.mark.parametrize("field", ["reference", "dropshipProblems", "tags"])
def test_credentials_are_masked_however_they_are_escaped(field: str, escaped: str) -> None:
    """A URL with a password is masked in every spelling that JSON allows."""
    value = f'["{escaped}"]' if field == "tags" else f'"{escaped}"'
    content = f'[{{"id": 1, "updatedAt": "{DAY}", "{field}": {value}}}]'.encode()
    for outcome in leaves(content, typed=True, deselected=set()):
        assert "word" not in str(outcome)
