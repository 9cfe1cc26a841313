"""The stream of the ids that a resource has now, by which a warehouse finds deleted rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_jetti.facts.resources import PRIMARY_KEY
from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.reading.pages import Page, Projection, decode_objects
from tap_jetti.tap.base_stream import BaseStream
from tap_jetti.tap.stream_reads import full_read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk import Tap

    from tap_jetti.reading.prefetch import StreamRead
    from tap_jetti.tap.run_context import RunContext

SNAPSHOT_SUFFIX = "_ids"
"""The name of the stream is that of the resource and this."""

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        PRIMARY_KEY: {"type": ["integer"], "description": "Primary key."},
        "snapshotAt": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "When the run that saw this id began.",
        },
    },
}


class SnapshotStream(BaseStream):
    """The ids that a resource has now.

    Each row has the time at which its run began. A row of the resource is deleted if its id is not among those with
    the newest ``snapshotAt``.

    Args:
        tap: The tap, for the SDK.
        run: What the streams of this run share.
        resource: The resource in snake_case.
    """

    def __init__(self, tap: Tap, run: RunContext, resource: str) -> None:
        super().__init__(tap, run, name=resource + SNAPSHOT_SUFFIX, schema=_SCHEMA)
        self._resource = resource

    @override
    def make_read(self) -> StreamRead:
        return full_read(self.run, self._resource, Projection([PRIMARY_KEY]), logger=self.logger)

    @override
    def read_pages(self) -> Iterator[Page]:
        snapshot_at = from_epoch(self.run.started_at)
        for page in self.open_reader(decode_objects).pages():
            rows = [{PRIMARY_KEY: id_, "snapshotAt": snapshot_at} for id_ in page.ids]
            yield Page(rows, page.ids, page.keys)
