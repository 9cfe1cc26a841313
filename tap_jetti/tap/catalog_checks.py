"""Checks of the catalog that a run is given. What is wrong with it ends the run before any request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.errors import SettingsError

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from singer_sdk import Stream
    from singer_sdk.singerlib import Catalog


def check_catalog(catalog: dict[str, Any]) -> dict[str, Any]:
    """Check the form of a catalog and return it.

    Raises:
        SettingsError: The form is wrong.
    """
    streams = catalog.get("streams")
    if not isinstance(streams, list) or not all(
        isinstance(entry, dict)
        and isinstance(entry.get("tap_stream_id"), str)
        and isinstance(entry.get("schema"), dict)
        for entry in streams
    ):
        raise SettingsError(
            "Invalid catalog: it needs a list of streams, each with tap_stream_id and schema."
            " Create one with tap-jetti --discover."
        )
    for entry in streams:
        if not (_are_properties(entry["schema"].get("properties", {})) and _is_metadata(entry.get("metadata", []))):
            raise SettingsError(
                f"Invalid catalog: the schema or the metadata of {entry['tap_stream_id']} is malformed."
                " Create one with tap-jetti --discover."
            )
    return catalog


def _are_properties(properties: object) -> bool:
    """Whether the properties of a catalog entry are JSON Schemas by name, as far as the tap reads them."""
    return isinstance(properties, dict) and all(
        isinstance(schema, dict) and _are_types(schema.get("type", [])) for schema in properties.values()
    )


def _are_types(types: object) -> bool:
    return isinstance(types, str) or (isinstance(types, list) and all(isinstance(name, str) for name in types))


def _is_metadata(metadata: object) -> bool:
    """Whether the metadata of a catalog entry is a list of breadcrumbs, each with an object."""
    return isinstance(metadata, list) and all(
        isinstance(one, dict)
        and isinstance(one.get("breadcrumb"), list)
        and all(isinstance(step, str) for step in one["breadcrumb"])
        and isinstance(one.get("metadata"), dict)
        for one in metadata
    )


def check_selection(catalog: Catalog, streams: Mapping[str, Stream], logger: logging.Logger) -> None:
    """Check that all streams and fields that a catalog selects exist: otherwise their data would silently be missing.

    Args:
        catalog: The catalog that the run is given.
        streams: The streams of the tap by name.
        logger: Where unknown streams and fields that are not selected are reported.

    Raises:
        SettingsError: The catalog selects an unknown stream or field.
    """
    for name, entry in catalog.items():
        is_selected = entry.metadata.root.selected is not False
        stream = streams.get(name)
        if stream is None:
            _report_unknown(f"stream: {name}", logger, is_selected=is_selected)
            continue
        breadcrumbs = [("properties", field) for field in entry.schema.properties or {}]
        for breadcrumb in {*breadcrumbs, *(path[:2] for path in entry.metadata if path)}:
            field = breadcrumb[1]
            if field not in stream.schema["properties"]:
                selected = entry.metadata[breadcrumb].selected if breadcrumb in entry.metadata else None
                _report_unknown(f"field: {name}.{field}", logger, is_selected=is_selected and selected is not False)


def _report_unknown(what: str, logger: logging.Logger, *, is_selected: bool) -> None:
    if is_selected:
        raise SettingsError(f"The catalog selects an unknown {what}. Create a new catalog with tap-jetti --discover.")
    logger.warning("The catalog lists an unknown %s. It is ignored, because it is not selected.", what)
