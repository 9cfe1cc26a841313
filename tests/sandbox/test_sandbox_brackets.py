from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_jetti.sandbox.data import timestamps
from tap_jetti.sandbox.http import brackets

KEYS = st.text(st.characters(codec="utf-8", exclude_characters="[]"), min_size=1, max_size=8)
VALUES = st.text(st.characters(codec="utf-8"), max_size=8)
TREES = st.recursive(VALUES, lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=3), max_leaves=8).filter(
    lambda tree: isinstance(tree, dict)
)


def pairs(tree, prefix=""):
    """The names and values of a query, with brackets."""
    for key, value in tree.items():
        name = f"{prefix}[{key}]" if prefix else key
        if isinstance(value, dict):
            yield from pairs(value, name)
        else:
            yield name, value


@given(TREES)
def test_reads_what_was_written(tree):
    """A nested object is read back as it was written with brackets, percent-encoded."""
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs(tree))
    assert brackets.parse(query) == tree


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("a[]=1&a[]=2", ["1", "2"], id="appended"),
        pytest.param("a[10]=2&a[9]=1", ["1", "2"], id="indexed-by-number"),
        pytest.param("a=1", ["1"], id="scalar"),
        pytest.param("a%5B0%5D=x+y", ["x y"], id="encoded"),
        pytest.param("a[0]=1&a[]=2", ["1", "2"], id="mixed"),
    ],
)
def test_lists(query, expected):
    """All three forms of a list are parsed."""
    assert brackets.as_list(brackets.parse(query)["a"]) == expected


def test_lists_that_are_none():
    """An object where a list is expected is an error; so is a list with an index above the limit."""
    with pytest.raises(ValueError, match="object"):
        brackets.as_list({"x": "1"})
    for query in ("a[21]=1", "a[21][b]=1"):
        assert brackets.as_list(brackets.parse(query)["a"])
        with pytest.raises(ValueError, match="object"):
            brackets.as_list(brackets.parse(query, most_indexed=brackets.MOST_INDEXED)["a"])


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_timestamps(micros):
    """A timestamp is read back as it was written with microseconds, and the API's form is truncated."""
    assert timestamps.parse(timestamps.format_micros(micros)) == micros
    assert timestamps.parse(timestamps.format_millis(micros)) == micros // 1000 * 1000


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01", "2024-01-01T25:00:00Z", "2024-01-01 and more"])
def test_invalid_timestamps(text):
    """A text that is not a date is an error."""
    with pytest.raises(ValueError, match="not an ISO 8601 date"):
        timestamps.parse(text)
