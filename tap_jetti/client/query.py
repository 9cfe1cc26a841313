"""The query parameters of the API: where, order, limit, attributes and include, with bracketed names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

Pairs = list[tuple[str, str]]
"""The parameters of a query as names and values, before percent-encoding."""


def select(
    *,
    where: Mapping[str, Any] | None = None,
    order: str | None = None,
    descending: bool = False,
    limit: int | None = None,
    attributes: Sequence[str] = (),
    include: Sequence[Mapping[str, Any]] = (),
    **other: Any,  # noqa: ANN401
) -> Pairs:
    """The query for rows of a resource.

    Args:
        where: Conditions by field; all must hold. A condition is a value, None, or a mapping with the documented
            operators ``$gte``, ``$lte`` (both inclusive) and ``$in``. ``$ne`` and ``$notIn`` are not documented,
            but the vendor's own client sends them.
        order: The field to order by.
        descending: Whether the largest value comes first. Otherwise ``order[descending]`` is not sent: the server
            may take any value of it, also "false", as true.
        limit: Rows per page.
        attributes: The fields to return; empty for all.
        include: Associated models: ``{"model": "SaleItem", "attributes": […], "include": […]}``.
        other: Further parameters, such as ``scope="channel"``.
    """
    parameters: dict[str, Any] = {}
    if where:
        parameters["where"] = where
    if order:
        parameters["order"] = {"attribute": order, **({"descending": True} if descending else {})}
    if limit is not None:
        parameters["limit"] = limit
    if attributes:
        parameters["attributes"] = list(attributes)
    if include:
        parameters["include"] = list(include)
    return list(pairs({**parameters, **other}))


def pairs(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Flatten nested parameters to pairs with bracketed names.

    A list of plain values becomes ``name[]``, without index: common parsers turn a list with an index above 20 into an
    object. A list of objects needs the index.
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
    """Percent-encode a query. Empty values are kept: they mean null."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
