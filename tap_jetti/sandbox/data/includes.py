"""Includes: rows of associated resources inside the rows of one."""

# ruff: noqa: S608 - table names come from the schemas and parameters are bound

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_jetti.sandbox.data import documents, models
from tap_jetti.sandbox.data.database import Database, expression
from tap_jetti.sandbox.http import brackets
from tap_jetti.sandbox.http.problems import Problem

if TYPE_CHECKING:
    from tap_jetti.sandbox.data.documents import Document
    from tap_jetti.sandbox.options import Options

Attributes = Callable[[str, object], "list[str] | None"]
"""Parses the attributes that a query wants of a resource; None: all."""


@dataclass
class Include:
    """One entry of ``include``: a model, the attributes wanted of it, and the includes inside it."""

    resource: str
    attributes: list[str] | None
    include: list[Include] = field(default_factory=list)


def parse(value: object, attributes: Attributes, options: Options) -> list[Include]:
    """The includes of a query. An entry without a model is left out if the options say so.

    Raises:
        Problem: An entry has no known model, or its attributes are refused.
    """
    if value is None:
        return []
    try:
        entries = brackets.as_list(value)
    except ValueError as error:
        raise Problem(400, "api.query.include.invalid", str(error)) from None
    ignores_nameless = options.include_without_model == "ignore"
    return [
        _entry(entry, attributes, options)
        for entry in entries
        if not (ignores_nameless and isinstance(entry, Mapping) and "model" not in entry)
    ]


def _entry(entry: object, attributes: Attributes, options: Options) -> Include:
    name = entry.get("model") if isinstance(entry, Mapping) else None
    resource = models.models().get(name) if isinstance(name, str) else None
    if not isinstance(entry, Mapping) or resource is None:
        raise Problem(500, "api.query.include.unknown", f"There is no model {name}.")
    return Include(
        resource,
        attributes(resource, entry.get("attributes")),
        parse(entry.get("include"), attributes, options),
    )


def attach(
    database: Database,
    options: Options,
    resource: str,
    rows: list[Document],
    *,
    attributes: list[str] | None,
    wanted: list[Include],
) -> list[Document]:
    """The rows with only the attributes wanted, and with what is included in them.

    Raises:
        Problem: A model is not associated, or a foreign key that it needs is not among the attributes.
    """
    shown = [_only(row, attributes) for row in rows]
    for include in wanted:
        association = models.association(resource, include.resource)
        if association is None:
            raise Problem(
                500,
                "api.query.include.not_associated",
                f"{models.model(include.resource)} is not associated to {models.model(resource)}!",
            )
        own_key = "id" if association.many else association.foreign_key
        if options.include_without_key == "refuse" and attributes is not None and own_key not in attributes:
            raise Problem(500, "api.query.include.missing_key", f"column {resource}.{own_key} does not exist")
        their_key = association.foreign_key if association.many else "id"
        related = _fetch(database, options, include.resource, their_key, _keys(rows, own_key))
        nested = attach(
            database, options, include.resource, related, attributes=include.attributes, wanted=include.include
        )
        grouped: dict[Any, list[Document]] = {}
        for row, part in zip(related, nested, strict=True):
            grouped.setdefault(row[their_key], []).append(part)
        for row, part in zip(rows, shown, strict=True):
            found = grouped.get(row.get(own_key), [])
            part[association.name] = found if association.many else next(iter(found), None)
    return shown


def _only(row: Document, attributes: list[str] | None) -> Document:
    if attributes is None:
        return dict(row)
    return {name: row.get(name) for name in attributes}


def _keys(rows: list[Document], name: str) -> list[Any]:
    return sorted({row[name] for row in rows if row.get(name) is not None}, key=str)


def _fetch(database: Database, options: Options, resource: str, key: str, values: list[Any]) -> list[Document]:
    """The rows of a resource whose key has one of the values, by id."""
    database.index(resource, key)
    found = database.fetch(
        f'SELECT body FROM "{resource}" WHERE {expression(key)} IN (SELECT value FROM json_each(?)) ORDER BY id',
        [json.dumps(values)],
    )
    return [documents.render(resource, text, options) for (text,) in found]
