"""The resources of a Jetti account: one JSON Schema file each, which holds all that is known about a resource.

A schema file is the only list of a resource's fields, and of the facts about them:

=====================  ====================  =================================================================
``x-selected``         the resource          whether its stream is selected by default
``x-replication-key``  the resource          the field that incremental reads go by; null: read in full by ``id``
``x-secret``           the resource          fields that the API sends and that must never leave
``x-references``       a property            the resource whose ``id`` it holds
``x-values``           a property            the values that the API documents; others do occur
=====================  ====================  =================================================================

The name of the file is the resource's in snake_case, as warehouses spell tables; the API
spells the same name in kebab-case.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

REPLICATION_KEY = "updatedAt"
"""The field that every incremental read is ordered by."""

PRIMARY_KEY = "id"
"""The field that identifies a row of any resource: a positive integer."""

_FACT = "x-"
"""How the keys of our own facts begin: they are not part of the schemas that users get."""


@cache
def schema_directory() -> Path:
    """The directory of the schema files.

    A wheel ships them inside the package; a checkout, also one installed with
    ``pip install -e``, keeps them beside it.

    Raises:
        FileNotFoundError: There are no schemas: the installation is broken.
    """
    package = Path(__file__).resolve().parent.parent
    for directory in (package / "schemas", package.parent / "schemas"):
        if directory.is_dir():
            return directory
    msg = f"There are no schemas in or beside {package}: the installation is incomplete. Reinstall tap-jetti."
    raise FileNotFoundError(msg)


@cache
def names() -> tuple[str, ...]:
    """The names of all resources that have a schema, sorted, in snake_case."""
    return tuple(sorted(path.stem for path in schema_directory().glob("*.json")))


@cache
def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of one resource, as users get it. Treat it as read-only: it is shared.

    Args:
        name: The resource in snake_case, such as ``inventory_feed_variants``.
    """
    file = _schema_file(name)
    properties = {field: _described(facts) for field, facts in file["properties"].items()}
    return {key: properties if key == "properties" else value for key, value in file.items() if key[:2] != _FACT}


def is_selected(name: str) -> bool:
    """Whether the stream of a resource is selected where the catalog does not say otherwise."""
    selected: bool = _schema_file(name)["x-selected"]
    return selected


@cache
def selected_by_default() -> tuple[str, ...]:
    """The resources that `is_selected` holds for, sorted."""
    return tuple(name for name in names() if is_selected(name))


def replication_key(name: str) -> str | None:
    """The field that incremental reads of a resource go by, or None if it can only be read in full.

    A resource whose dates may be null has none: rows without a date would never be seen.
    """
    key: str | None = _schema_file(name)["x-replication-key"]
    return key


@cache
def secret_fields(name: str) -> frozenset[str]:
    """The fields of a resource that its schema file declares secret; none of them is among its properties."""
    return frozenset(_schema_file(name)["x-secret"])


@cache
def references(name: str) -> dict[str, str]:
    """The foreign keys of a resource and the resources they lead to. Treat it as read-only: it is shared."""
    return {
        field: facts["x-references"]
        for field, facts in _schema_file(name)["properties"].items()
        if "x-references" in facts
    }


@cache
def documented_values(name: str) -> dict[str, tuple[str, ...]]:
    """The values that the API documents for fields of a resource; others do occur. Treat it as read-only."""
    return {
        field: tuple(facts["x-values"])
        for field, facts in _schema_file(name)["properties"].items()
        if "x-values" in facts
    }


def api_name(name: str) -> str:
    """The kebab-case name of a resource in the API's paths."""
    return name.replace("_", "-")


@cache
def _schema_file(name: str) -> dict[str, Any]:
    file: dict[str, Any] = msgspec.json.decode((schema_directory() / f"{name}.json").read_bytes())
    return file


def _described(facts: dict[str, Any]) -> dict[str, Any]:
    """A property without our own facts, which its description says in words."""
    if "x-references" in facts:
        words = f"References {facts['x-references']}."
    elif "x-values" in facts:
        words = f"Documented values: {', '.join(facts['x-values'])}."
    else:
        return facts
    plain = {key: value for key, value in facts.items() if key[:2] != _FACT}
    plain["description"] = " ".join(filter(None, [facts.get("description"), words]))
    return plain
