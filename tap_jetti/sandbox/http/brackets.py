"""Parses query strings with brackets, such as ``where[id][$in][]=1``, as common servers do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

MOST_INDEXED = 20
"""Common parsers return an object instead of a list if an index is above this."""

_MAX_DEPTH = 12
_OBJECT = "object"
"""A key that makes an object of a list."""


def parse(query: str, *, most_indexed: int | None = None) -> dict[str, Any]:
    """The nested value of a query string; items written with ``[]`` are a list under the empty key.

    Args:
        query: The text after the question mark, with brackets raw or percent-encoded.
        most_indexed: The greatest index of a list; a list with a greater one is an object. None: no limit.
    """
    root: dict[str, Any] = {}
    for pair in query.split("&"):
        if not pair:
            continue
        raw_key, _, raw_value = pair.partition("=")
        _place(root, path(unquote_plus(raw_key)), unquote_plus(raw_value), most_indexed)
    return root


def path(key: str) -> list[str]:
    """The parts of a key: ``where[id][$gte]`` is ``["where", "id", "$gte"]``."""
    head, bracket, rest = key.partition("[")
    if not bracket or not rest.endswith("]"):
        return [key]
    return [head, *rest[:-1].split("][")][:_MAX_DEPTH]


def as_list(value: object) -> list[Any]:
    """The items of a list: written with ``[]``, with indices, or as a single value.

    Args:
        value: A value that `parse` returned.

    Raises:
        ValueError: The value is an object, not a list.
    """
    if not isinstance(value, Mapping):
        return [value]
    appended = value.get("", [])
    indices = [key for key in value if key != ""]
    if not all(index.isdecimal() for index in indices):
        msg = "Expected a list, got an object."
        raise ValueError(msg)
    indices.sort(key=int)
    return [*(value[index] for index in indices), *appended]


def _place(root: dict[str, Any], parts: list[str], value: str, most_indexed: int | None) -> None:
    node = root
    for part in parts[:-1]:
        _note_index(node, part, most_indexed)
        child = node.get(part)
        if not isinstance(child, dict):
            child = node[part] = {}
        node = child
    last = parts[-1]
    _note_index(node, last, most_indexed)
    if last == "":
        node.setdefault("", []).append(value)
    else:
        node[last] = value


def _note_index(node: dict[str, Any], part: str, most_indexed: int | None) -> None:
    if most_indexed is not None and part.isdecimal() and int(part) > most_indexed:
        node[_OBJECT] = ""
