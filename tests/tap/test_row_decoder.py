"""The fast way of reading a page and the general one give the same."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runs import EXAMPLES
from tap_jetti.facts import resources
from tap_jetti.facts.secret_fields import mask_credentials, may_contain_credentials
from tap_jetti.reading.page import MalformedPageError
from tap_jetti.tap.column_names import ColumnNames
from tap_jetti.tap.invalid_values import InvalidValues
from tap_jetti.tap.row_decoder import RowDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

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
        invalid_values=InvalidValues("sales", "null", logging.getLogger("quiet")),
        names=ColumnNames("api"),
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
        invalid_values=InvalidValues("sales", "null", logging.getLogger("quiet")),
        names=ColumnNames("api"),
        typed=True,
        logger=logging.getLogger("quiet"),
    )
    rows = [f'[{{"reference": "{text}", "total": 1, "updatedAt": "{DAY}", "id": 1}}]' for text in ("?", r"\ud83d")]
    encoder = msgspec.json.Encoder(decimal_format="number")
    typed, general = (encoder.encode(decoder(content.encode()).rows) for content in rows)
    assert general.replace("\ufffd".encode(), b"?") == typed


ODD_URLS = {
    "user and password": "ftp://user:word@host/",
    "user only": "https://word@host/path",
    "password only": "https://:word@host",
    "nothing before the @": "https://@host/",
    "an @ in the password": "ftp://user:wo@rd@host/",
    "a slash in the password": "ftp://user:word/word@host/",
    "a question mark in the password": "ftp://user:word?word@host/",
    "a quotation mark in the password": 'ftp://user:word"word@host/',
    "a backslash in the password": "ftp://user:word\\word@host/",
    "a port and an @ in the path": "https://host:443/@name",
    "an @ in the path": "https://host/@name",
    "an @ in the query": "https://host/?mail=a@b.c",
    "two URLs": "see https://host/ and sftp://user:word@host/",
    "a URL in a sentence": "(ftp://user:word@host/file.csv), daily",
    "a compound scheme": "git+ssh://user:word@host/",
    "a scheme in capitals": "FTP://USER:word@HOST/",
    "a mail address": "a@b.c",
    "blanks before the @": "https://host/ is not a@b.c",
    "other blanks before the @": "https://host/\u2028a@b.c",
    "letters outside ASCII": "ftp://us\u00e9r:word\U0001f600@host/",
    "no scheme": "//user:word@host/",
    "no @": "ftp://user:word.host/",
    "no scheme, a path": "user:word@host/x.csv",
    "no scheme, a port": "see user:word@10.0.0.1:21",
    "no scheme, an IPv6 address": "user:word@[::1]/x",
    "no scheme, a mail address after a word": "Mail:a@b.c/d, Contact: a@b.c, Ref:a@b.c",
    "a token": "https://host/x?token=word",
    "a token among others": "https://host/x?a=1&access_token=word&b=2#c",
    "a token in HTML": "https://host/x?a=1&amp;jwt=word",
    "a token in the fragment": "https://host/#id_token=word",
    "a token behind a URL in the query": "https://host/x?to=https://other/?pwd=word",
    "a signature": "https://host/x?X-Amz-Signature=word",
    "a percent-encoded name": "https://host/x?%74oken=word",
    "parameters without secrets": "https://host/x?author=a&page=2&key=3",
}
"""Texts with URLs, most of which hold credentials."""


def as_it_is(text: str) -> str:
    """JSON with as few escape sequences as possible."""
    return json.dumps(text, ensure_ascii=False)


def with_escaped_slashes(text: str) -> str:
    """JSON as PHP writes it."""
    return json.dumps(text).replace("/", "\\/")


def fully_escaped(text: str) -> str:
    """JSON with every character of the text as an escape sequence."""
    units = text.encode("utf-16-be")
    return '"' + "".join(f"\\u{units[n]:02x}{units[n + 1]:02X}" for n in range(0, len(units), 2)) + '"'


@pytest.mark.parametrize("spell", [as_it_is, json.dumps, with_escaped_slashes, fully_escaped])
@pytest.mark.parametrize("field", ["reference", "dropshipProblems", "tags"])
@pytest.mark.parametrize("text", ODD_URLS.values(), ids=ODD_URLS)
def test_both_ways_mask_the_same(text: str, field: str, spell: Callable[[str], str]) -> None:
    """Whatever a URL looks like and however JSON spells it, both ways mask what `mask_credentials` masks."""
    value = f"[{spell(text)}]" if field == "tags" else spell(text)
    content = f'[{{"id": 1, "updatedAt": "{DAY}", "{field}": {value}}}]'.encode()
    masked = mask_credentials(text)
    assert may_contain_credentials(content) or masked == text
    for typed in (True, False):
        for rows, _, _ in leaves(content, typed=typed, deselected=set()):
            assert rows[0][field] == ([masked] if field == "tags" else masked)


@pytest.mark.parametrize("text", [text for name, text in ODD_URLS.items() if "word" in text and name != "no @"])
def test_no_credentials_are_left(text: str) -> None:
    """The password, the token or the signature is masked."""
    assert "word" not in mask_credentials(text)


def test_pages_without_credentials_need_no_second_look() -> None:
    """A page with mail addresses, plain URLs and line breaks can be decoded the fast way."""
    content = json.dumps(
        [{"email": "a@b.c", "at": "2020-01-01T00:00:00Z"}, {"url": "https://host/path?v=1", "notes": 'a\nb"c'}]
    ).encode()
    assert not may_contain_credentials(content)


@pytest.mark.parametrize("typed", [True, False], ids=["fast", "general"])
def test_secrets_within_documented_objects_do_not_leave(typed: bool) -> None:
    """An object in a documented field is undocumented itself: what sounds secret in it is removed, at any depth."""
    problems = [{"headers": {"Cookie": "word", "Accept": "json"}, "retry": {"jwt": "word", "auth": "word", "n": 1}}]
    content = json.dumps([{"id": 1, "updatedAt": DAY, "dropshipProblems": problems}]).encode()
    for rows, _, _ in leaves(content, typed=typed, deselected=set()):
        assert rows[0]["dropshipProblems"] == [{"headers": {"Accept": "json"}, "retry": {"n": 1}}]


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
