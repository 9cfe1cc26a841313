"""How a catalog may ask a stream to be read: incrementally, or as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL

from tap_jetti.errors import SettingsError

if TYPE_CHECKING:
    from singer_sdk.singerlib import CatalogEntry


def requested_method(entry: CatalogEntry, own_key: str | None) -> str | None:
    """How a catalog asks a stream to be read: ``FULL_TABLE``, or None if as the stream is read by itself.

    Args:
        entry: The stream in the catalog.
        own_key: The column that the stream can be read by incrementally; None: it cannot.

    Raises:
        SettingsError: The catalog asks for another method or another key.
    """
    root = entry.metadata.root
    methods = {entry.replication_method, root.forced_replication_method} - {None}
    supported = {REPLICATION_INCREMENTAL, REPLICATION_FULL_TABLE} if own_key else {REPLICATION_FULL_TABLE}
    is_full = REPLICATION_FULL_TABLE in methods
    keys = set() if is_full else {entry.replication_key, root.replication_key} - {None, own_key}
    refused = sorted(map(str, (methods - supported) or keys))
    if refused:
        raise SettingsError(
            f"The catalog asks for {entry.tap_stream_id} by {refused[0]}."
            f" Supported: {f'INCREMENTAL by {own_key}, FULL_TABLE' if own_key else 'FULL_TABLE'}. Correct the catalog."
        )
    return REPLICATION_FULL_TABLE if is_full and own_key else None
