"""What kind of value a property holds. Tap, target, demo and sandbox all ask here."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(Enum):
    """The kinds of values that the schemas distinguish. Every one of them may be null."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    """An exact decimal. The API sends it as a JSON number or as text."""
    BOOLEAN = "boolean"
    DATE = "date"
    """A date with time, see `tap_jetti.facts.timestamps`."""
    ARRAY = "array"
    """An array whose items are all of one kind, see `items_of`."""
    JSON = "json"
    """Any JSON: an object, or a property of several types."""


_OF_TYPE = {
    "string": Kind.TEXT,
    "integer": Kind.INTEGER,
    "number": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
}


def kind_of(property_schema: Mapping[str, Any]) -> Kind:
    """Return the kind of a property.

    Args:
        property_schema: The JSON Schema of the property, such as ``{"type": ["integer", "null"]}``.
    """
    types = types_of(property_schema)
    if len(types) != 1:
        return Kind.JSON
    (only,) = types
    if only == "array":
        return Kind.ARRAY if property_schema.get("items") else Kind.JSON
    if property_schema.get("format") == "date-time":
        return Kind.DATE
    return _OF_TYPE.get(only, Kind.JSON)


ANY_TYPE = frozenset({"object", "array", "string", "number", "boolean"})
"""The types of a property that may hold any JSON, besides null."""


def types_of(property_schema: Mapping[str, Any]) -> frozenset[str]:
    """Return the types of a property except null. A property without types may hold any JSON."""
    listed = property_schema.get("type")
    if listed is None:
        return ANY_TYPE
    return frozenset([listed] if isinstance(listed, str) else listed) - {"null"}


def items_of(property_schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of the items of a property of kind `Kind.ARRAY`."""
    items: Mapping[str, Any] = property_schema["items"]
    return items
