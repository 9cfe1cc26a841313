"""The list of the streams: one per resource, and one per snapshot of ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.facts import resources
from tap_jetti.tap.resource_stream import ResourceStream
from tap_jetti.tap.snapshot_stream import SNAPSHOT_SUFFIX, SnapshotStream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singer_sdk import Tap

    from tap_jetti.tap.base_stream import BaseStream
    from tap_jetti.tap.run_context import RunContext


def stream_names(id_snapshots: Iterable[str]) -> frozenset[str]:
    """The names of all streams that can be selected."""
    return frozenset({*resources.names(), *(name + SNAPSHOT_SUFFIX for name in id_snapshots)})


def all_streams(tap: Tap, run: RunContext) -> list[BaseStream]:
    """Create all streams that can be selected.

    Args:
        tap: The tap, for the SDK.
        run: What the streams of this run share.
    """
    return [
        *(
            ResourceStream(
                tap,
                run,
                name,
                replication_key=resources.replication_key(name),
                selected_by_default=resources.is_selected(name),
            )
            for name in resources.names()
        ),
        *(SnapshotStream(tap, run, resource) for resource in run.settings["id_snapshots"]),
    ]
