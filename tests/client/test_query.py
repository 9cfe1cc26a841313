"""Whatever goes into a query comes out of it on the other side."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_jetti.client.query import encode, pairs, select
from tap_jetti.sandbox.http import brackets

names = st.text(st.characters(exclude_characters="[]", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: not name.isdecimal()
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), texts)
objects = st.deferred(lambda: st.dictionaries(names, values, min_size=1, max_size=4))
values = st.one_of(
    scalars, st.lists(scalars, min_size=1, max_size=25), st.lists(objects, min_size=1, max_size=3), objects
)


def depth(value: Any) -> int:
    """How many brackets the deepest name has."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max((1 + depth(item) for item in inner), default=0)


def shown(value: Any) -> Any:
    """A value as text, as it is on the wire: null is empty, and truth is spelt as in JSON."""
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    return (
        {None: "", True: "true", False: "false"}.get(value, str(value))
        if not isinstance(value, int) or isinstance(value, bool)
        else str(value)
    )


def decode(query: str) -> dict[str, Any]:
    """The nested value of a bracketed query: an independent reading of the contract.

    ``a[b]=1`` is ``{"a": {"b": "1"}}``, ``a[]=1&a[]=2`` and ``a[0]=1&a[1]=2`` are lists.
    """
    root: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        path = unquote(name).replace("]", "").split("[")
        node: dict[str, Any] = root
        for here in path[:-1]:
            node = node.setdefault(here, {})
        last = path[-1]
        if last == "":
            last = str(len(node))
        node[last] = unquote(value)
    return _listed(root)


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    inner = {key: _listed(value) for key, value in node.items()}
    return list(inner.values()) if inner and all(key.isdecimal() for key in inner) else inner


def from_sandbox(node: Any) -> Any:
    """What the sandbox's parser makes of a query, with its lists as lists."""
    if not isinstance(node, dict):
        return node
    if "" in node or (node and all(key.isdecimal() for key in node)):
        return [from_sandbox(item) for item in brackets.as_list(node)]
    return {key: from_sandbox(value) for key, value in node.items()}


@given(objects)
def test_what_is_encoded_can_be_decoded(parameters: dict[str, Any]) -> None:
    """An independent decoder gets back every name and value: nested, empty, of any script."""
    assert decode(encode(list(pairs(parameters)))) == shown(parameters)


@given(objects.filter(lambda parameters: depth(parameters) <= 12))
def test_the_sandbox_reads_what_is_encoded(parameters: dict[str, Any]) -> None:
    """The sandbox's own parser gets back every name and value."""
    assert from_sandbox(brackets.parse(encode(list(pairs(parameters))))) == shown(parameters)


@given(objects)
def test_only_unreserved_characters_are_sent(parameters: dict[str, Any]) -> None:
    """An encoded query is plain ASCII without blanks, and common decoders split it at the same places."""
    query = encode(list(pairs(parameters)))
    assert query.isascii()
    assert not set(query) & set(' #+"<>[]{}|\\^`')
    assert parse_qsl(query, keep_blank_values=True) == list(pairs(parameters))


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"where": {"saleId": {"$ne": None}}}, "where[saleId][$ne]="),
        ({"where": {"id": {"$in": [1, 2]}}}, "where[id][$in][]=1&where[id][$in][]=2"),
        ({"order": "updatedAt"}, "order[attribute]=updatedAt"),
        ({"limit": 100}, "limit=100"),
        ({"limit": 0}, "limit=0"),
        ({"attributes": ["id", "a b"]}, "attributes[]=id&attributes[]=a b"),
        (
            {"include": [{"model": "SaleItem", "attributes": ["id"], "include": [{"model": "Variant"}]}]},
            "include[0][model]=SaleItem&include[0][attributes][]=id&include[0][include][0][model]=Variant",
        ),
        ({"where": {"active": True, "gone": False}}, "where[active]=true&where[gone]=false"),
        ({"scope": "channel"}, "scope=channel"),
        ({}, ""),
    ],
    ids=["null", "in", "order", "limit", "limit 0", "attributes", "include", "booleans", "other", "nothing"],
)
def test_the_contracts_own_examples(parameters: dict[str, Any], expected: str) -> None:
    """Queries look as the contract writes them, but for percent-encoding."""
    assert unquote(encode(select(**parameters))) == expected
