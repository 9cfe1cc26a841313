"""The stream of the ids that a resource has now, by which a warehouse finds deleted rows."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_jetti.errors import IncompleteReadError
from tap_jetti.facts.resources import PRIMARY_KEY
from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.reading.id_read import IdRead
from tap_jetti.reading.page import Page, decode_objects
from tap_jetti.reading.pages import Projection
from tap_jetti.reading.proof import Proof
from tap_jetti.tap.base_stream import BaseStream
from tap_jetti.tap.catalog_columns import check_style, overridden_types, require_columns
from tap_jetti.tap.state_cadence import STATE_ROWS
from tap_jetti.tap.stream_reads import full_read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk import Tap
    from singer_sdk.singerlib import Catalog

    from tap_jetti.reading.prefetch import StreamRead
    from tap_jetti.tap.run_context import RunContext

SNAPSHOT_SUFFIX = "_ids"
"""The name of the stream is that of the resource and this."""

SNAPSHOT_TIME = "snapshotAt"
"""The field with the time of the snapshot."""

_PROPERTIES: dict[str, Any] = {
    PRIMARY_KEY: {"type": ["integer"], "description": "Primary key."},
    SNAPSHOT_TIME: {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "Rows created up to this time are deleted if their id is not in the snapshot.",
    },
}


class SnapshotStream(BaseStream):
    """The ids that a resource has now.

    A row of the resource is deleted if it was created up to the newest ``snapshotAt`` and its id is not among those
    with that value. A snapshot is written whole and proven, or not at all.

    Args:
        tap: The tap, for the SDK.
        run: What the streams of this run share.
        resource: The resource in snake_case.
    """

    def __init__(self, tap: Tap, run: RunContext, resource: str) -> None:
        self._columns = run.column_names.of_documented(resource + SNAPSHOT_SUFFIX, _PROPERTIES)
        properties = {self._columns[field]: schema for field, schema in _PROPERTIES.items()}
        super().__init__(tap, run, name=resource + SNAPSHOT_SUFFIX, schema={"type": "object", "properties": properties})
        self._resource = resource

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        entry = catalog.get_stream(self.name)
        if entry is not None:
            own = self.schema["properties"]
            listed = entry.schema.to_dict().get("properties", {})
            check_style(self.name, listed, _PROPERTIES, self.run.column_names)
            overridden_types(self.name, own, listed, fixed=own)
            require_columns(entry, own)
        super().apply_catalog(catalog)

    @override
    def make_read(self) -> StreamRead:
        # Counted whatever `verify_counts` says: an incomplete snapshot makes rows look deleted that are not.
        return full_read(
            self.run, self._resource, Projection([PRIMARY_KEY]), verify_counts="always", logger=self.logger
        )

    @override
    def read_pages(self) -> Iterator[Page]:
        ids = array("q")
        for page in self.open_pages(decode_objects):
            ids.extend(page.ids)
        reader = self._reader
        if not isinstance(reader, IdRead) or reader.began is None or reader.proof is not Proof.PROVEN:
            raise IncompleteReadError(
                f"{self.name} cannot be proven complete, since Jetti does not count {self._resource}:"
                " none of it was written. Remove it from id_snapshots."
            )
        if not ids:
            self.logger.warning(
                "%s is empty: no row of %s exists in Jetti, so there is no record with a new snapshotAt."
                " All rows that were loaded before are deleted.",
                self.name,
                self._resource,
            )
        snapshot_at, time_column = self._snapshot_at(reader.began), self._columns[SNAPSHOT_TIME]
        with self.run.deferred_interrupts():  # the rest of a snapshot that is cut would look deleted
            for start in range(0, len(ids), STATE_ROWS):
                part = ids[start : start + STATE_ROWS].tolist()
                yield Page([{PRIMARY_KEY: id_, time_column: snapshot_at} for id_ in part], part, [None] * len(part))

    def _snapshot_at(self, began: float) -> str:
        """Up to when rows that were created must be in the snapshot: the lag covers transactions that commit late.

        Args:
            began: This machine's monotonic clock when the read began. That may be long ago if it was prefetched.
        """
        seconds = self.run.session.server_clock.at(began)
        if seconds is None:
            seconds = self.run.clock.time() - (self.run.clock.monotonic() - began)
        return from_epoch(seconds - self.run.settings["bookmark_lag"])
