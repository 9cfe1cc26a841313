"""The resources of a Jetti account: one JSON Schema file each, and their names.

A schema file is the only list of a resource's fields. Its name is the resource's in
snake_case, as warehouses spell tables; the API spells the same name in kebab-case.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

REPLICATION_KEY = "updatedAt"
"""The field that every incremental read is ordered by."""

PRIMARY_KEY = "id"
"""The field that identifies a row of any resource: a positive integer."""


@cache
def schema_directory() -> Path:
    """The directory of the schema files.

    A wheel ships them inside the package; a checkout, also one installed with
    ``pip install -e``, keeps them beside it.

    Raises:
        FileNotFoundError: The installation is broken: there are no schemas.
    """
    package = Path(__file__).resolve().parent.parent
    for directory in (package / "schemas", package.parent / "schemas"):
        if directory.is_dir():
            return directory
    msg = f"No schemas beside {package}: tap-jetti is not installed completely. Reinstall it."
    raise FileNotFoundError(msg)


@cache
def names() -> tuple[str, ...]:
    """The names of all resources that have a schema, sorted, in snake_case."""
    return tuple(sorted(path.stem for path in schema_directory().glob("*.json")))


@cache
def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of one resource. Treat it as read-only: it is shared.

    Args:
        name: The resource in snake_case, such as ``inventory_feed_variants``.
    """
    text = (schema_directory() / f"{name}.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def api_name(name: str) -> str:
    """The kebab-case name of a resource in the API's paths."""
    return name.replace("_", "-")
