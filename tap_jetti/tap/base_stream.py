"""What all streams share: how rows and STATE are written, and how a failure of one stream is kept from the others.

This module and `tap_jetti.tap.tap` are the only ones of the tap that use private names of the SDK. Review both when
the SDK is upgraded.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.helpers._catalog import get_selected_schema
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from typing_extensions import override

from tap_jetti.errors import Interrupted, JettiError, RequestError, SettingsError
from tap_jetti.facts.resources import PRIMARY_KEY, REPLICATION_KEY
from tap_jetti.facts.secret_fields import mask_credentials
from tap_jetti.reading.proof import Proof
from tap_jetti.tap.invalid_values import InvalidValues
from tap_jetti.tap.replication_method import requested_method
from tap_jetti.tap.state_cadence import STATE_ROWS
from tap_jetti.tap.stream_maps import map_errors

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from singer_sdk import Tap
    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.mapper import StreamMap
    from singer_sdk.singerlib import Catalog, RecordMessage

    from tap_jetti.reading.page import Decode, Page
    from tap_jetti.reading.prefetch import StreamRead
    from tap_jetti.reading.prefetch.stream_read import Reader
    from tap_jetti.tap.run_context import RunContext


class BaseStream(Stream):
    """A stream whose rows are read and written in pages.

    Args:
        tap: The tap, for the SDK.
        run: What the streams of this run share.
        name: The name of the stream.
        schema: The JSON Schema of its rows, by column.

    Attributes:
        invalid_values: The values in this run that did not fit the schema.
    """

    STATE_MSG_FREQUENCY = STATE_ROWS
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # `RowDecoder` has converted the values already
    primary_keys = (PRIMARY_KEY,)

    def __init__(self, tap: Tap, run: RunContext, *, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, name=name, schema=schema)
        self.run = run
        self.invalid_values = InvalidValues(name, run.settings["invalid_values"], self.logger)
        self._reader: Reader | None = None
        self._is_complete = False

    def make_read(self) -> StreamRead:
        """Choose how the stream is read."""
        raise NotImplementedError

    def read_pages(self) -> Iterator[Page]:
        """Read the pages to emit, of rows that may be emitted as they are."""
        raise NotImplementedError

    def advance_bookmark(self, key: str | None) -> None:
        """Record that all rows up to this `updatedAt` were written. Streams without a bookmark ignore it."""

    def hold_bookmark(self) -> None:
        """Keep the bookmark where it is until `release_bookmark`. Streams without a bookmark ignore it."""

    def release_bookmark(self) -> None:
        """Let the bookmark pass the rows of a batch that was announced. Streams without a bookmark ignore it."""

    @cached_property
    def stream_read(self) -> StreamRead:
        """How the stream is read. It is made once: the prefetcher knows the stream by this object."""
        return self.make_read()

    @property
    @override
    def stream_maps(self) -> list[StreamMap]:
        mapper = self._tap.mapper  # private: the SDK has no public way to the tap of a stream
        if self.name not in mapper.stream_maps:
            schema = get_selected_schema(self.name, self.effective_schema, self.mask)
            with map_errors(self.name):
                mapper.register_raw_stream_schema(self.name, schema, self.primary_keys)
        return mapper.stream_maps[self.name]

    @property
    def writes_pages(self) -> bool:
        """Whether rows can be written a page at a time.

        Otherwise they go through the SDK one by one: for stream maps, flattening, batch files and dry runs.
        """
        maps = self.stream_maps
        return (
            self.ABORT_AT_RECORD_COUNT is None
            and self.get_batch_config(self.config) is None
            and len(maps) == 1
            and type(maps[0]) is SameRecordTransform
            and not maps[0].flattening_enabled
        )

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        own_key = self.replication_key
        super().apply_catalog(catalog)
        entry = catalog.get_stream(self.name)
        if entry is not None:
            # The SDK takes over whatever the catalog says of these, and what it does not say.
            self.primary_keys = (PRIMARY_KEY,)
            self.forced_replication_method = requested_method(entry, own_key)
            self.replication_key = own_key
            # Private: of the catalog's schema only the columns count, and no other promise, such as `required`.
            self._input_schema = {**self.schema, "properties": entry.schema.to_dict().get("properties", {})}

    def open_pages(self, decode: Decode) -> Iterator[Page]:
        """Begin to read.

        Args:
            decode: Decodes the body of a response into a page.
        """
        self._reader, pages = self.run.open_read(self.stream_read, decode)
        return pages

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        for page in self._supervised_pages():
            yield from page.rows

    def _supervised_pages(self) -> Iterator[Page]:
        """The pages of the stream, with progress reports, a STATE when time is up, and failures kept in the stream."""
        progress = self.run.progress
        progress.begin(self.name, self._count_rows)
        outcome = "failed"
        try:
            for page in self.read_pages():
                yield page
                # The caller has written the page before it asks for the next one.
                progress.advance(len(page))
                if self.run.state_cadence.is_due():
                    self._write_state_message()
            outcome = "complete"
            self._is_complete = True
            self.run.failed_streams.note_success()
        except JettiError as error:
            self.run.failed_streams.add(self.name, error)
        except (Interrupted, GeneratorExit):
            outcome = "interrupted"
            raise
        finally:
            self.invalid_values.report()
            progress.end(
                outcome,
                self._reader.proof.value if self._reader and outcome == "complete" else None,
                invalid_values=self.invalid_values.count,
            )

    def _count_rows(self) -> int | None:
        """Ask the server how many rows the stream will have, for the progress. None: unknown; errors are ignored."""
        try:
            return self._reader.total() if self._reader else None
        except RequestError as error:
            self.logger.debug("Cannot estimate the time left for stream %s: %s", self.name, error)
            return None

    @override
    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        """Log a message, but not the SDK's own one of a failure: the command says more, once and at its end."""
        if level < logging.ERROR:
            super().log(message, *args, level=level, **kwargs)

    # From here on: private names of the SDK, which has no public way to do the same.

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """Write whole pages, because the SDK's loop takes several times as long per row as reading them.

        A STATE is written as soon as the next rows would make more than `STATE_ROWS` since the last one. Larger pages
        are written in parts.
        """
        if not (write_messages and self.writes_pages):
            records = super()._sync_records(context, write_messages=write_messages)
            yield from records if write_messages else self._mapped(records)
            self._activate_version()
            return
        with self.get_record_counter() as counter, self.get_sync_timer():
            rows_since_state = 0
            for page in self._supervised_pages():
                for start in range(0, len(page), STATE_ROWS):
                    part = page.only(range(start, min(start + STATE_ROWS, len(page))))
                    rows_since_state += len(part)
                    if rows_since_state > STATE_ROWS:
                        self._write_state_message()
                        rows_since_state = len(part)
                    # _stream_version: set by the SDK if it writes ACTIVATE_VERSION messages.
                    self.run.write_rows(self.name, part.rows, version=self._stream_version)
                    self.advance_bookmark(part.keys[-1])
                    counter.increment(len(part))
        self._activate_version()
        # As the SDK's loop ends: the entry of the stream in the state is complete, and it is written.
        self._finalize_state(self.stream_state)
        self._write_state_message()

    @override
    def _write_activate_version_message(self, full_table_version: int) -> None:
        """Do nothing before the rows, where the SDK calls this: a target deletes all rows of other versions then."""

    def _mapped(self, records: Iterator[Record]) -> Iterator[Record]:
        """The records as they are written to batches. The SDK maps and flattens only those of RECORD messages."""
        for record in records:
            with map_errors(self.name, record.get(PRIMARY_KEY)):
                mapped = self.stream_maps[0].transform(record)
            if mapped is not None:
                yield mapped

    @override
    def _generate_record_messages(self, record: Record) -> Generator[RecordMessage, None, None]:
        with map_errors(self.name, record.get(PRIMARY_KEY)):
            messages = list(super()._generate_record_messages(record))
        yield from messages

    def _activate_version(self) -> None:
        """Let the rows of this run replace all others, if all were written and are proven to be all.

        The proof alone does not tell: the reader may have reached the end ahead of a page that could not be written.
        """
        if self._stream_version is None or self._reader is None:
            return
        if self._is_complete and self._reader.proof is Proof.PROVEN:
            super()._write_activate_version_message(self._stream_version)
        else:
            self.logger.warning(
                "%s failed or is not proven complete, so no ACTIVATE_VERSION was sent:"
                " rows deleted in Jetti stay loaded.",
                self.name,
            )

    @override
    def _increment_stream_state(self, latest_record: Record, *, context: Context | None = None) -> None:
        """Advance the bookmark after a row that went through the SDK: not by the SDK's rules, but as after a page."""
        self.advance_bookmark(latest_record.get(self.run.column_names.of(REPLICATION_KEY)))

    @override
    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Do nothing: only bookmarks belong in the state. The tap itself finds out where to start."""

    @override
    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        """Write batches. The bookmark passes the rows of a batch only after its message, see `Bookmark`."""
        if len(self.stream_maps) > 1:
            raise SettingsError(
                f"stream_maps make several streams of {self.name}, which is not possible with batch_config."
                " Remove one of these settings."
            )
        self.hold_bookmark()
        with self._storage_errors(batch_config):
            super()._sync_batches(batch_config, context)
        self._activate_version()
        self.release_bookmark()
        self._write_state_message()

    @contextmanager
    def _storage_errors(self, batch_config: BatchConfig) -> Iterator[None]:
        """While this lasts, an error that is not the tap's own is one of the place for batches."""
        try:
            yield
        except JettiError:
            raise
        except (ImportError, ValueError) as error:
            raise SettingsError(f"batch_config cannot be used: {error}.") from error
        except Exception as error:  # those of a cloud's package are its own
            root, reason = mask_credentials(batch_config.storage.root), getattr(error, "strerror", None) or error
            raise JettiError(f"A batch of {self.name} cannot be written to {root}: {reason}.") from error

    @override
    def _write_batch_message(self, encoding: BaseBatchFileEncoding, manifest: list[str]) -> None:
        """Announce a batch. The SDK calls this between its file and its STATE."""
        super()._write_batch_message(encoding, manifest)
        self.release_bookmark()
