"""The stream of the rows of one resource."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL
from typing_extensions import override

from tap_jetti.errors import IncompleteReadError
from tap_jetti.facts import resources
from tap_jetti.facts.resources import PRIMARY_KEY, REPLICATION_KEY
from tap_jetti.reading.keyset import IncrementalRead
from tap_jetti.reading.pages import Projection
from tap_jetti.reading.resource_facts import ResourceFacts
from tap_jetti.tap.base_stream import BaseStream
from tap_jetti.tap.bookmark import Bookmark
from tap_jetti.tap.catalog_columns import check_style, overridden_types, require_columns
from tap_jetti.tap.includes import parse_includes
from tap_jetti.tap.row_decoder import UNMAPPED, RowDecoder
from tap_jetti.tap.stream_reads import full_read, incremental_read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context
    from singer_sdk.singerlib import Catalog

    from tap_jetti.reading.page import Page
    from tap_jetti.reading.prefetch import StreamRead
    from tap_jetti.tap.run_context import RunContext


KEY_FIELDS = frozenset({PRIMARY_KEY, REPLICATION_KEY})
"""Fields that reading itself needs. They are requested even if they are not selected."""

_ANY_JSON = {"type": ["object", "array", "null"]}


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
        documented = resources.schema(name)
        self._documented: Mapping[str, Any] = documented["properties"]
        self._includes = parse_includes(name, run.settings["include"].get(name, ()))
        # Whether a row belongs to one such model or has many is not known before the first row.
        self._included = [key for include in self._includes for key in (include.singular, include.plural)]
        self._columns = run.column_names.of_documented(name, [*self._documented, *self._included])
        properties = {self._columns[field]: schema for field, schema in self._documented.items()}
        self._unchecked = dict.fromkeys(self._included, _ANY_JSON)
        if run.settings["unknown_fields"] == "keep":
            self._unchecked[UNMAPPED] = _ANY_JSON
        super().__init__(tap, run, name=name, schema={**documented, "properties": properties | self._unchecked})
        self._overridden: dict[str, Any] = {}
        self.replication_key = replication_key and self._columns[replication_key]
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
        self._apply_columns(catalog)
        super().apply_catalog(catalog)

    def _apply_columns(self, catalog: Catalog) -> None:
        entry = catalog.get_stream(self.name)
        if entry is None:
            return
        own = self.schema["properties"]
        listed = entry.schema.to_dict().get("properties", {})
        check_style(self.name, listed, self._documented, self.run.column_names)
        fixed = {*self._unchecked, *map(self.run.column_names.of, KEY_FIELDS)}
        self._overridden = overridden_types(self.name, own, listed, fixed=fixed)
        keys = [PRIMARY_KEY, *([self.replication_key] if self.replication_key else [])]
        require_columns(entry, {column: own[column] for column in keys})

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
        properties = {
            field: self._overridden.get(self._columns[field], schema) for field, schema in self._documented.items()
        }
        unknown_fields = self.config["unknown_fields"]
        if unknown_fields == "keep" and not self._emits(UNMAPPED):
            unknown_fields = "warn"
        return RowDecoder(
            self.name,
            {"properties": properties},
            deselected={field for field in self._columns if not self._emits(self._columns[field])},
            includes=self._includes,
            unknown_fields=unknown_fields,
            invalid_values=self.invalid_values,
            names=self.run.column_names,
            typed=self.writes_pages,
            logger=self.logger,
        )

    def _emits(self, column: str) -> bool:
        """Whether a column is in the SCHEMA: the catalog lists and selects it."""
        return column in self.effective_schema.get("properties", ()) and self.mask["properties", column]

    def _projection(self) -> Projection:
        """The selected fields and those that the selected includes need. If all are selected, no list is sent."""
        selected = [field for field in self._documented if self._emits(self._columns[field])]
        includes = [
            include for include in self._includes if self._emits(include.singular) or self._emits(include.plural)
        ]
        attributes: list[str] = []
        if len(selected) < len(self._documented):
            needed = {*KEY_FIELDS, *(include.foreign_key for include in includes)}
            attributes = sorted({*selected, *(needed & self._documented.keys())})
        return Projection(attributes, [include.to_query() for include in includes])
