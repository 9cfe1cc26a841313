"""What a catalog asks of the tap: whether its streams and fields exist, and how each stream is to be read."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from tap_jetti.errors import SettingsError
from tap_jetti.facts import resources
from tap_jetti.tap.snapshot_stream import SNAPSHOT_SUFFIX

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Mapping

    from singer_sdk import Stream
    from singer_sdk.singerlib import Catalog


_NAMED = 5
"""Maximum number of fields that a message names."""


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
        is_selected = entry.metadata.resolve_selection().get((), True)
        stream = streams.get(name)
        if stream is None:
            _report_unknown(f"stream: {name}", _hint_stream(name, streams), logger, is_selected=is_selected)
            continue
        own = stream.schema["properties"]
        breadcrumbs = [("properties", field) for field in entry.schema.properties or {}]
        for breadcrumb in {*breadcrumbs, *(path[:2] for path in entry.metadata if path)}:
            field = breadcrumb[1]
            if field not in own:
                selected = entry.metadata[breadcrumb].selected if breadcrumb in entry.metadata else None
                _report_unknown(
                    f"field: {name}.{field}",
                    _hint(field, own),
                    logger,
                    is_selected=is_selected and selected is not False,
                )
        unlisted = sorted(own.keys() - (entry.schema.properties or {}).keys())
        if is_selected and unlisted:
            logger.info(
                "The catalog does not list %d fields of %s, so they are not read: %s%s.",
                len(unlisted),
                name,
                ", ".join(unlisted[:_NAMED]),
                ", …" if len(unlisted) > _NAMED else "",
            )


def _hint(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, sorted(known), n=1)
    return f"Did you mean {near[0]}? " if near else ""


def _hint_stream(name: str, streams: Iterable[str]) -> str:
    resource = name.removesuffix(SNAPSHOT_SUFFIX)
    if resource != name and resource in resources.names():
        return f"Add {resource} to the setting id_snapshots. "
    return _hint(name, streams)


def _report_unknown(what: str, hint: str, logger: logging.Logger, *, is_selected: bool) -> None:
    if is_selected:
        raise SettingsError(
            f"The catalog selects an unknown {what}. {hint}Create a new catalog with tap-jetti --discover."
        )
    logger.warning("The catalog lists an unknown %s. It is ignored, because it is not selected.", what)
