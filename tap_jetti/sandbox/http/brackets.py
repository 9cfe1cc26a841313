"""Reads a query string with brackets, such as ``where[id][$in][]=1``, the way servers do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

MOST_INDEXED = 20
"""Common parsers turn a list with an index above this into an object."""

_DEEPEST = 12


class TooManyIndexedError(ValueError):
    """A list used an index above `MOST_INDEXED`."""


def parse(query: str) -> dict[str, Any]:
    """The nested value of a query string: dicts and, where keys are indices, lists of text.

    Args:
        query: Text after the question mark; brackets raw or percent-encoded.
    """
    root: dict[str, Any] = {}
    for pair in query.split("&"):
        if not pair:
            continue
        raw_key, _, raw_value = pair.partition("=")
        _place(root, path(unquote_plus(raw_key)), unquote_plus(raw_value))
    return root


def path(key: str) -> list[str]:
    """The parts of a key: ``where[id][$gte]`` is ``["where", "id", "$gte"]``."""
    head, bracket, rest = key.partition("[")
    if not bracket or not rest.endswith("]"):
        return [key]
    return [head, *rest[:-1].split("][")][:_DEEPEST]


def as_list(value: object, *, indexed_limit: int | None = None) -> list[Any]:
    """The items of a list value: ``[]``, indexed, or a lone scalar.

    Args:
        value: A value of `parse`.
        indexed_limit: The largest index allowed; None is any.

    Raises:
        TooManyIndexedError: An index is above the limit.
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
    if indices and indexed_limit is not None and int(indices[-1]) > indexed_limit:
        raise TooManyIndexedError(indices[-1])
    return [*(value[index] for index in indices), *appended]


def _place(root: dict[str, Any], parts: list[str], value: str) -> None:
    node = root
    for part in parts[:-1]:
        below = node.get(part)
        if not isinstance(below, dict):
            below = node[part] = {}
        node = below
    last = parts[-1]
    if last == "":
        node.setdefault("", []).append(value)
    else:
        node[last] = value
