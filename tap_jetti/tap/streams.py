"""The streams: every resource of Jetti is one, told apart by its schema file alone."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL
from typing_extensions import override

from tap_jetti.errors import IncompleteReadError, Interrupted, JettiError, RequestError, SettingsError
from tap_jetti.facts import resources
from tap_jetti.facts.resources import PRIMARY_KEY, REPLICATION_KEY
from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.reading.keyset import EARLIEST, FullRead, IncrementalRead, all_by_id, all_from
from tap_jetti.reading.pages import Page, Projection, ResourcePages, decode_objects
from tap_jetti.reading.prefetch import StreamRead
from tap_jetti.tap.includes import parse_includes
from tap_jetti.tap.row_decoder import NEEDED, UNMAPPED, RowDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog

    from tap_jetti.reading.pages import Decode, PageReader, Reads
    from tap_jetti.reading.prefetch.stream_read import Reader
    from tap_jetti.tap.tap import TapJetti

SNAPSHOT_SUFFIX = "_ids"

STATE_SECONDS = 30.0
"""Seconds between two STATE messages at most, while rows arrive."""


class BaseStream(Stream):
    """What all streams share: how rows leave, and how a failure of one stream is kept from the others."""

    STATE_MSG_FREQUENCY = 1000
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # values are brought to their types here
    primary_keys = (PRIMARY_KEY,)

    _tap: TapJetti
    _read: Reader | None = None

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        for page in self._pages():
            yield from page.rows

    def read_pages(self) -> Iterator[Page]:
        """The pages to emit, of rows that are fit to leave."""
        raise NotImplementedError

    def advance_bookmark(self, key: str) -> None:
        """Take note that all rows up to a key were written; nothing where there is no bookmark."""

    @property
    def writes_pages(self) -> bool:
        """Whether rows can leave as they are, a page at a time, rather than through the SDK one by one."""
        maps = self.stream_maps
        return (
            self.ABORT_AT_RECORD_COUNT is None
            and self.get_batch_config(self.config) is None
            and len(maps) == 1
            and type(maps[0]) is SameRecordTransform
            and not maps[0].flattening_enabled
        )

    def _pages(self) -> Iterator[Page]:
        progress = self._tap.progress
        progress.begin(self.name, self._count)
        outcome = "failed"
        try:
            for page in self.read_pages():
                yield page
                progress.advance(len(page))
                self._tap.write_state_if_due(self)
            outcome = "complete"
            self._tap.note_success()
        except JettiError as error:
            self._tap.set_aside(self, error)
        except (Interrupted, GeneratorExit):
            outcome = "interrupted"
            raise
        finally:
            progress.end(outcome)

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        if not (write_messages and self.writes_pages):
            yield from super()._sync_records(context, write_messages=write_messages)
            return
        with self.get_record_counter() as counter, self.get_sync_timer():
            unstated = 0
            for page in self._pages():
                for start in range(0, len(page), self.STATE_MSG_FREQUENCY):
                    chunk = page.only(range(start, min(start + self.STATE_MSG_FREQUENCY, len(page))))
                    unstated += len(chunk)
                    if unstated > self.STATE_MSG_FREQUENCY:
                        self._write_state_message()
                        unstated = len(chunk)
                    self._tap.write_rows(self.name, chunk.rows, version=self._stream_version)
                    self.advance_bookmark(chunk.keys[-1])
                    counter.increment(len(chunk))
        self._finalize_state(self.stream_state)
        self._write_state_message()

    @cached_property
    def plan(self) -> StreamRead:
        """How it is read, as far as threads may know it."""
        raise NotImplementedError

    def _open(self, decode: Decode) -> Reader:
        """Begin to read."""
        self._read = self.plan.reader(self._tap.open_pages(self.plan, decode))
        return self._read

    def _count(self) -> int | None:
        """The rows that the read under way will have, for those who look on; a failure is no matter of theirs."""
        try:
            return self._read.total() if self._read else None
        except RequestError as error:
            self.logger.debug("No estimate: %s", error)
            return None

    def _full_plan(self, resource: str, projection: Projection) -> StreamRead:
        return StreamRead(
            self._pages_from(resource, projection),
            all_by_id(),
            lambda source: FullRead(source, verify_counts=self.config["verify_counts"], logger=self.logger),
        )

    def _pages_from(self, resource: str, projection: Projection) -> Callable[[Reads, Decode | None], ResourcePages]:
        return lambda session, decode: ResourcePages(
            session,
            resource,
            page_size=self.config["page_size"],
            projection=projection,
            profile=self._tap.profile,
            logger=self.logger,
            decode=decode,
        )


class JettiStream(BaseStream):
    """The rows of one resource, by ``updatedAt`` where it is never null and by ``id`` elsewhere.

    Args:
        tap: The tap.
        name: The resource in snake_case.
    """

    def __init__(self, tap: TapJetti, name: str) -> None:
        self.selected_by_default = resources.is_selected(name)
        self._includes = parse_includes(name, tap.config["include"].get(name, ()))
        documented = resources.schema(name)
        properties = dict(documented["properties"])
        any_json = {"type": ["object", "array", "null"]}
        for include in self._includes:
            properties[include.singular] = properties[include.plural] = any_json
        if tap.config["unknown_fields"] == "keep":
            properties[UNMAPPED] = any_json
        super().__init__(tap, name=name, schema={**documented, "properties": properties})
        self.replication_key = resources.replication_key(name)
        self._documented = documented
        self._held: str | None = None

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
        self.primary_keys = (PRIMARY_KEY,)
        if self.forced_replication_method != REPLICATION_FULL_TABLE:
            if self.replication_key not in {None, own_key} or self.forced_replication_method not in {
                None,
                REPLICATION_INCREMENTAL if own_key else REPLICATION_FULL_TABLE,
            }:
                raise SettingsError(
                    f"The catalog asks for {self.name} by {self.replication_key or self.forced_replication_method}:"
                    f" it can be read {f'INCREMENTAL by {own_key} or ' if own_key else ''}FULL_TABLE."
                )
            self.replication_key = own_key

    @override
    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Nothing: only bookmarks belong in the state, see `_start`."""

    def _start(self) -> str | None:
        """Where to read from: the bookmark or `start_date`, whichever is later."""
        # Looked up where the SDK would make an entry, which belongs in the state only once the stream is read.
        bookmark: str | None = self._tap.state.get("bookmarks", {}).get(self.name, {}).get("replication_key_value")
        return max((date for date in (bookmark, self._tap.start_date) if date), default=None)

    @cached_property
    @override
    def plan(self) -> StreamRead:
        if self.replication_method != REPLICATION_INCREMENTAL:
            return self._full_plan(self.name, self._projection())
        start = self._start()

        def reader(source: PageReader) -> IncrementalRead:
            return IncrementalRead(
                source,
                start=start,
                end=self._tap.end_date,
                bookmark_lag=self.config["bookmark_lag"],
                verify_counts=self.config["verify_counts"],
                clock=self._tap.clock,
                logger=self.logger,
            )

        all_rows = all_from(start or EARLIEST, self._tap.end_date)
        return StreamRead(self._pages_from(self.name, self._projection()), all_rows, reader)

    @override
    def read_pages(self) -> Iterator[Page]:
        bookmark = self.stream_state.get("replication_key_value")
        read = self._open(self._decoder())
        if not isinstance(read, IncrementalRead):
            yield from read.pages()
            return
        try:
            yield from read.pages()
        except IncompleteReadError:
            self._put_bookmark_back(bookmark)
            raise
        self._set_bookmark(read.final_bookmark)

    def _decoder(self) -> RowDecoder:
        return RowDecoder(
            self.name,
            self._documented,
            deselected=self._documented["properties"].keys() - set(self._selected()) - NEEDED,
            includes=self._includes,
            unknown_fields=self.config["unknown_fields"],
            typed=self.writes_pages,
            logger=self.logger,
        )

    def _selected(self) -> list[str]:
        return [field for field in self._documented["properties"] if self.mask["properties", field]]

    def _projection(self) -> Projection:
        """The selected fields, unless that is all of them, and what the includes need."""
        documented = self._documented["properties"]
        selected = self._selected()
        includes = [
            include
            for include in self._includes
            if self.mask["properties", include.singular] or self.mask["properties", include.plural]
        ]
        attributes: list[str] = []
        if len(selected) < len(documented):
            needed = {*NEEDED, *(include.foreign_key for include in includes)}
            attributes = sorted({*selected, *(needed & documented.keys())})
        return Projection(attributes, [include.to_query() for include in includes])

    @override
    def _increment_stream_state(self, latest_record: Record, *, context: Context | None = None) -> None:
        if isinstance(self._read, IncrementalRead):
            self.advance_bookmark(latest_record[REPLICATION_KEY])

    @override
    def advance_bookmark(self, key: str) -> None:
        if isinstance(self._read, IncrementalRead):
            self._set_bookmark(min(key, self._read.ceiling))

    @override
    def _write_batch_message(self, encoding: BaseBatchFileEncoding, manifest: list[str]) -> None:
        super()._write_batch_message(encoding, manifest)
        self._release_bookmark()

    @override
    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        self._held = ""
        super()._sync_batches(batch_config, context)
        self._release_bookmark()
        self._write_state_message()

    def _release_bookmark(self) -> None:
        """Let the bookmark pass the rows of a batch, now that it was announced."""
        held, self._held = self._held, None
        self._set_bookmark(held)
        self._held = ""

    def _set_bookmark(self, instant: str | None) -> None:
        """Move the bookmark on, never back. Rows of a batch that is not announced yet hold it."""
        if self._held is not None:
            self._held = max(self._held, instant or "")
        elif instant is not None and instant > self.stream_state.get("replication_key_value", ""):
            self.stream_state.update(replication_key=REPLICATION_KEY, replication_key_value=instant)
            self.state_manager.is_flushed = False

    def _put_bookmark_back(self, bookmark: str | None) -> None:
        """Undo what an incomplete read moved on: its missing rows lie behind that."""
        for key in ("replication_key", "replication_key_value"):
            self.stream_state.pop(key, None)
        self._set_bookmark(bookmark)
        self.state_manager.is_flushed = False


class SnapshotStream(BaseStream):
    """The ids that a resource has now, so that a warehouse can find rows deleted for good.

    Each row carries the time of its run: a row of the resource is deleted if its id is not
    among those of the newest ``snapshotAt``.

    Args:
        tap: The tap.
        resource: The resource in snake_case.
    """

    def __init__(self, tap: TapJetti, resource: str) -> None:
        self._resource = resource
        properties: Mapping[str, Any] = {
            PRIMARY_KEY: {"type": ["integer"], "description": "Primary key."},
            "snapshotAt": {
                "type": ["string", "null"],
                "format": "date-time",
                "description": "When the run that saw this id began.",
            },
        }
        super().__init__(
            tap, name=resource + SNAPSHOT_SUFFIX, schema={"type": "object", "properties": dict(properties)}
        )

    @cached_property
    @override
    def plan(self) -> StreamRead:
        return self._full_plan(self._resource, Projection([PRIMARY_KEY]))

    @override
    def read_pages(self) -> Iterator[Page]:
        snapshot_at = from_epoch(self._tap.initialized_at / 1000)
        for page in self._open(decode_objects).pages():
            rows = [{PRIMARY_KEY: id_, "snapshotAt": snapshot_at} for id_ in page.ids]
            yield Page(rows, page.ids, page.keys)
