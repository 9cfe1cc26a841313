"""What a catalog may change about the columns of a stream: leave some out, and give some another type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib import Metadata, Schema

from tap_jetti.errors import SettingsError
from tap_jetti.facts.kinds import ANY_TYPE, types_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from singer_sdk.singerlib import CatalogEntry

    from tap_jetti.tap.column_names import ColumnNames

_JSON_TYPES = ANY_TYPE | {"integer"}

_HONOURED = {"type", "format", "items"}
_WITHOUT_EFFECT = {"title", "description", "default", "deprecated", "contentMediaType", "contentEncoding"}
"""Keywords that promise nothing about values."""


def check_style(stream: str, listed: Iterable[str], own: Collection[str], names: ColumnNames) -> None:
    """Check that a catalog was made with the current setting of column_names.

    Args:
        stream: The name of the stream.
        listed: The columns that the catalog lists.
        own: The fields of the stream, as the API spells them.
        names: How columns are named now.

    Raises:
        SettingsError: The catalog has a column that is only one with the other setting.
    """
    columns = {names.of(field) for field in own}
    of_other_style = {names.other.of(field) for field in own} - columns
    found = sorted(of_other_style.intersection(listed))
    if found:
        raise SettingsError(
            f"The catalog was made with column_names {names.other.style}: it lists {stream}.{found[0]}."
            f" Now column_names is {names.style}."
            " Change the setting, or create a new catalog with tap-jetti --discover."
        )


def require_columns(entry: CatalogEntry, columns: Mapping[str, Any]) -> None:
    """Make columns part of a catalog entry even if it does not list or select them.

    Args:
        entry: The entry of the stream in the catalog.
        columns: The schema of each column.
    """
    properties = entry.schema.properties = entry.schema.properties or {}
    for column, schema in columns.items():
        properties.setdefault(column, Schema.from_dict(schema))
        metadata = entry.metadata.setdefault(("properties", column), Metadata())
        metadata.inclusion = Metadata.InclusionType.AUTOMATIC


def overridden_types(
    stream: str, own: Mapping[str, Any], listed: Mapping[str, Any], *, fixed: Collection[str]
) -> dict[str, Any]:
    """Return the schemas of the columns to which the catalog gives another type.

    Args:
        stream: The name of the stream.
        own: The schema of each column of the stream.
        listed: The schema of each column in the catalog.
        fixed: The columns whose type must not change: keys, and columns whose values are not converted.

    Raises:
        SettingsError: A type cannot be honoured.
    """
    changed = {
        column: listed[column]
        for column in own
        if column in listed and _promise(own[column]) != _promise(listed[column])
    }
    for column, schema in changed.items():
        reason = "it cannot be changed" if column in fixed else _refusal(schema)
        if reason:
            raise SettingsError(
                f"The catalog gives {stream}.{column} a type that it cannot have: {reason}."
                " Correct the catalog, or remove the override."
            )
    return changed


def _promise(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a property's schema promises about values, in one form."""
    promise = {name: value for name, value in schema.items() if name not in _WITHOUT_EFFECT and name[:2] != "x-"}
    if isinstance(promise.get("items"), dict):
        promise["items"] = _promise(promise["items"])
    types = promise.get("type")
    if isinstance(types, list):
        promise["type"] = sorted(types)
    return promise


def _refusal(schema: Mapping[str, Any]) -> str | None:
    """Return why the promise of a property's schema cannot be kept, or None."""
    promise = _promise(schema)
    types, items = types_of(promise), promise.get("items")
    unsupported = sorted(promise.keys() - _HONOURED)
    unknown = sorted(types - _JSON_TYPES)
    reasons = (
        (not _may_be_null(promise), 'its type must include "null", because values may be null'),
        (unsupported, f"{', '.join(unsupported)} is not supported"),
        (unknown, f"{', '.join(unknown)} is not a type"),
        (
            "format" in promise and (promise["format"] != "date-time" or types != {"string"}),
            f"format {promise.get('format')} is not supported for it",
        ),
        (items is not None and types != {"array"}, "items are only supported for type array"),
        (items is not None and not isinstance(items, dict), "items must be one schema"),
    )
    reason = next((reason for applies, reason in reasons if applies), None)
    return reason or (_refusal(items) if items else None)


def _may_be_null(schema: Mapping[str, Any]) -> bool:
    types = schema.get("type")
    return types is None or "null" in ([types] if isinstance(types, str) else types)
