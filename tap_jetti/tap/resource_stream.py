"""The stream of the rows of one resource."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL
from typing_extensions import override

from tap_jetti.errors import IncompleteReadError, SettingsError
from tap_jetti.facts import resources
from tap_jetti.facts.resources import PRIMARY_KEY
from tap_jetti.reading.keyset import IncrementalRead
from tap_jetti.reading.pages import Projection
from tap_jetti.reading.resource_facts import ResourceFacts
from tap_jetti.tap.base_stream import BaseStream
from tap_jetti.tap.bookmark import Bookmark
from tap_jetti.tap.includes import parse_includes
from tap_jetti.tap.row_decoder import UNMAPPED, RowDecoder
from tap_jetti.tap.stream_reads import full_read, incremental_read
from tap_jetti.tap.typed_decoder import KEY_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context
    from singer_sdk.singerlib import Catalog

    from tap_jetti.reading.page import Page
    from tap_jetti.reading.prefetch import StreamRead
    from tap_jetti.tap.run_context import RunContext


class ResourceStream(BaseStream):
    """The rows of one resource: incrementally if it has a replication key, otherwise all rows, by ``id``.

    Args:
        tap: The tap, for the SDK.
        run: What the streams of this run share.
        name: The resource in snake_case.
        replication_key: The field to read the rows by incrementally. None: it may be null, so all rows are read.
        selected_by_default: Whether the stream is selected if the catalog does not say.
    """

    def __init__(
        self, tap: Tap, run: RunContext, name: str, *, replication_key: str | None, selected_by_default: bool
    ) -> None:
        self._documented = resources.schema(name)
        self._includes = parse_includes(name, run.settings["include"].get(name, ()))
        properties = dict(self._documented["properties"])
        any_json = {"type": ["object", "array", "null"]}
        for include in self._includes:
            # Whether a row belongs to one such model or has many is not known before the first row.
            properties[include.singular] = properties[include.plural] = any_json
        if run.settings["unknown_fields"] == "keep":
            properties[UNMAPPED] = any_json
        super().__init__(tap, run, name=name, schema={**self._documented, "properties": properties})
        self.replication_key = replication_key
        self.selected_by_default = selected_by_default
        self._incremental_read: IncrementalRead | None = None

    @cached_property
    def bookmark(self) -> Bookmark:
        """The bookmark of the stream."""
        return Bookmark(self.state_manager)

    @cached_property
    def facts(self) -> ResourceFacts:
        """What earlier runs have learnt of the resource, and this one adds."""
        return ResourceFacts.from_bookmark(self.name, self._stored_bookmark())

    @property
    @override
    def is_sorted(self) -> bool:
        return self.replication_method == REPLICATION_INCREMENTAL

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """None: the reader itself keeps the bookmark behind the server's clock."""

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        own_key = self.replication_key
        super().apply_catalog(catalog)
        self.primary_keys = (PRIMARY_KEY,)  # the SDK takes that of the catalog, which may have none
        if self.forced_replication_method == REPLICATION_FULL_TABLE:
            return
        own_method = REPLICATION_INCREMENTAL if own_key else REPLICATION_FULL_TABLE
        if self.replication_key not in {None, own_key} or self.forced_replication_method not in {None, own_method}:
            supported = f"INCREMENTAL by {own_key}, FULL_TABLE" if own_key else "FULL_TABLE"
            raise SettingsError(
                f"The catalog asks for {self.name} by {self.replication_key or self.forced_replication_method}."
                f" Supported: {supported}. Correct the catalog."
            )
        self.replication_key = own_key

    @override
    def make_read(self) -> StreamRead:
        if self.replication_method != REPLICATION_INCREMENTAL:
            return full_read(
                self.run, self.name, self._projection(), verify_counts=self.run.verify_counts, logger=self.logger
            )
        return incremental_read(self.run, self.facts, self._projection(), start=self._start(), logger=self.logger)

    @override
    def read_pages(self) -> Iterator[Page]:
        pages = self.open_pages(self._decoder())
        if not isinstance(self._reader, IncrementalRead):
            yield from pages
            return
        self._incremental_read = reader = self._reader
        before = self.bookmark.value
        is_all_written = False
        try:
            yield from pages
            is_all_written = True
            self.bookmark.advance(reader.final_bookmark)
        except IncompleteReadError as error:
            if error.refutes_bookmark:
                self.bookmark.restore(before)
            raise
        finally:
            # Also after a failure: all facts but the ids are true whatever was written.
            facts = self.facts.to_bookmark(is_all_written=is_all_written)
            self.bookmark.learn({**facts, **self.run.profile.page_limit.to_bookmark()})

    @override
    def advance_bookmark(self, key: str | None) -> None:
        if self._incremental_read is not None and key is not None:
            # Rows changed after the ceiling can still be followed by rows with an earlier `updatedAt`.
            self.bookmark.advance(self._incremental_read.bookmark(key))

    @override
    def hold_bookmark(self) -> None:
        self.bookmark.hold()

    @override
    def release_bookmark(self) -> None:
        self.bookmark.release()

    def _start(self) -> str | None:
        """Where to read from: the bookmark or `start_date`, whichever is later. None: from the first row."""
        bookmark: str | None = self._stored_bookmark().get("replication_key_value")
        return max((date for date in (bookmark, self.run.start_date) if date), default=None)

    def _stored_bookmark(self) -> dict[str, Any]:
        # Not by `Bookmark`, which creates an entry in the state: it belongs there only once the stream is read.
        stored: dict[str, Any] = self.tap_state.get("bookmarks", {}).get(self.name, {})
        return stored

    def _decoder(self) -> RowDecoder:
        return RowDecoder(
            self.name,
            self._documented,
            deselected=self._documented["properties"].keys() - set(self._selected()) - KEY_FIELDS,
            includes=self._includes,
            unknown_fields=self.config["unknown_fields"],
            typed=self.writes_pages,
            logger=self.logger,
        )

    def _selected(self) -> list[str]:
        return [field for field in self._documented["properties"] if self.mask["properties", field]]

    def _projection(self) -> Projection:
        """The selected fields and those that the selected includes need. If all are selected, no list is sent."""
        documented = self._documented["properties"]
        selected = self._selected()
        includes = [
            include
            for include in self._includes
            if self.mask["properties", include.singular] or self.mask["properties", include.plural]
        ]
        attributes: list[str] = []
        if len(selected) < len(documented):
            needed = {*KEY_FIELDS, *(include.foreign_key for include in includes)}
            attributes = sorted({*selected, *(needed & documented.keys())})
        return Projection(attributes, [include.to_query() for include in includes])
