"""What kind a property is, for every property of every schema."""

from __future__ import annotations

from typing import Any

import pytest

from tap_jetti.facts import resources
from tap_jetti.facts.kinds import ANY_TYPE, Kind, items_of, kind_of, types_of

ANY_JSON = ["object", "array", "string", "number", "boolean", "null"]
KINDS: dict[tuple[tuple[str, ...], str | None], Kind] = {
    (("string", "null"), None): Kind.TEXT,
    (("integer",), None): Kind.INTEGER,
    (("integer", "null"), None): Kind.INTEGER,
    (("number", "null"), None): Kind.NUMBER,
    (("boolean", "null"), None): Kind.BOOLEAN,
    (("string", "null"), "date-time"): Kind.DATE,
    (("array", "null"), None): Kind.ARRAY,
    (tuple(ANY_JSON), None): Kind.JSON,
}
"""The kind of each combination of types and format that the schema files use."""


def test_every_property_of_every_schema_has_the_kind_of_its_type() -> None:
    """No schema file uses a type or a format that the table above does not list."""
    wrong = [
        f"{name}.{field}"
        for name in resources.names()
        for field, facts in resources.schema(name)["properties"].items()
        if kind_of(facts) is not KINDS.get((tuple(facts["type"]), facts.get("format")))
    ]
    assert not wrong


def test_the_schemas_use_every_kind() -> None:
    """No kind is dead."""
    used = {kind_of(facts) for name in resources.names() for facts in resources.schema(name)["properties"].values()}
    assert used == set(Kind)


def test_arrays_hold_texts() -> None:
    """The items of every array in the schema files are texts."""
    kinds = {
        kind_of(items_of(facts))
        for name in resources.names()
        for facts in resources.schema(name)["properties"].values()
        if kind_of(facts) is Kind.ARRAY
    }
    assert kinds == {Kind.TEXT}


@pytest.mark.parametrize(
    ("property_schema", "kind"),
    [
        ({"type": "string"}, Kind.TEXT),
        ({"type": ["null", "integer"]}, Kind.INTEGER),
        ({"type": ["object", "null"]}, Kind.JSON),
        ({"type": ["object", "array", "null"]}, Kind.JSON),
        ({"type": ["string", "null"], "format": "email"}, Kind.TEXT),
        ({"type": ["array", "null"]}, Kind.JSON),
        ({"type": ["null"]}, Kind.JSON),
        ({}, Kind.JSON),
    ],
    ids=repr,
)
def test_schemas_of_others_have_kinds(property_schema: dict[str, Any], kind: Kind) -> None:
    """Forms of a property that occur in catalogs of other taps, but not in the schema files."""
    assert kind_of(property_schema) is kind


@pytest.mark.parametrize(
    ("property_schema", "types"),
    [
        ({"type": "string"}, {"string"}),
        ({"type": ["integer", "null"]}, {"integer"}),
        ({"type": "null"}, set()),
        ({}, ANY_TYPE),
    ],
    ids=["one", "a list", "null only", "none"],
)
def test_a_property_without_types_may_hold_any(property_schema: dict[str, Any], types: set[str]) -> None:
    """The types of a property are those that it lists, except null; without a list there is no limit."""
    assert types_of(property_schema) == types
