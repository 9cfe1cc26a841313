"""The query language of the API: where, order, attributes and include as bracketed pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

Pairs = list[tuple[str, str]]
"""A query as names and values, not yet percent-encoded."""


def select(
    *,
    where: Mapping[str, Any] | None = None,
    order: str | None = None,
    limit: int | None = None,
    attributes: Sequence[str] = (),
    include: Sequence[Mapping[str, Any]] = (),
    **other: Any,  # noqa: ANN401
) -> Pairs:
    """The query that reads rows of a resource.

    Args:
        where: Conditions by field, all of which hold: a value, None, or a mapping of the
            documented operators ``$gte``, ``$lte`` (both inclusive) and ``$in``, or of
            ``$ne`` and ``$notIn``, which only the vendor's own client was seen to send.
        order: The field to order by, ascending. ``order[descending]`` is left out: any
            value of it, "false" too, may be read as true.
        limit: Rows a page.
        attributes: The only fields wanted. None means all.
        include: Associated models: ``{"model": "SaleItem", "attributes": […], "include": […]}``.
        other: Further parameters, such as ``scope="channel"``.
    """
    parameters: dict[str, Any] = {}
    if where:
        parameters["where"] = where
    if order:
        parameters["order"] = {"attribute": order}
    if limit is not None:
        parameters["limit"] = limit
    if attributes:
        parameters["attributes"] = list(attributes)
    if include:
        parameters["include"] = list(include)
    return list(pairs({**parameters, **other}))


def pairs(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Flatten nested parameters to bracketed names.

    Lists of plain values are written ``name[]``, since common parsers turn an index above
    20 into an object; lists of objects need their index.
    """
    for key, value in parameters.items():
        name = f"{prefix}[{key}]" if prefix else key
        if isinstance(value, Mapping):
            yield from pairs(value, name)
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield from pairs(item, f"{name}[{index}]")
                else:
                    yield f"{name}[]", _text(item)
        else:
            yield name, _text(value)


def encode(query: Pairs) -> str:
    """Percent-encode a query. Empty values stay: they stand for null."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
