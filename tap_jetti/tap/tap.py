"""The tap: its settings, its streams, and how a run ends."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from singer_sdk import Tap
from typing_extensions import override

from tap_jetti.client.clock import SystemClock
from tap_jetti.errors import (
    ClientError,
    DecodeError,
    ForbiddenError,
    Interrupted,
    JettiError,
    NotFoundError,
    OutputError,
    ServerError,
    SettingsError,
    TransportError,
    UnreliableResponseError,
)
from tap_jetti.facts import resources
from tap_jetti.facts.timestamps import normalise
from tap_jetti.process.command import CommandLine, read_object, run_command
from tap_jetti.process.settings import open_session, settings_schema
from tap_jetti.reading.prefetch import Prefetcher
from tap_jetti.reading.server_profile import ServerProfile
from tap_jetti.tap.progress.progress import Progress
from tap_jetti.tap.progress.terminal_line import TerminalLine, can_show_line
from tap_jetti.tap.settings import TAP_SETTINGS
from tap_jetti.tap.streams import STATE_SECONDS, BaseStream, JettiStream, SnapshotStream
from tap_jetti.tap.writer import MessageWriter

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping, Sequence
    from typing import IO

    from singer_sdk import Stream
    from singer_sdk.plugin_base import _ConfigInput

    from tap_jetti.client.session import JettiSession
    from tap_jetti.reading.pages import Decode, PageReader
    from tap_jetti.reading.prefetch import StreamRead

OF_ONE_STREAM = (
    ForbiddenError,
    NotFoundError,
    ClientError,
    ServerError,
    DecodeError,
    UnreliableResponseError,
)
"""Failures after which the other streams can still be read. An answer that was cut is one, a host out of reach none."""


class TapJetti(CommandLine, Tap):
    """Reads a Jetti (Onport) account: every row, incrementally, within the rate limit."""

    name = "tap-jetti"
    package_name = "tap-jetti"
    message_writer_class = MessageWriter
    message_writer: MessageWriter

    config_jsonschema = settings_schema(TAP_SETTINGS)

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401 - the SDK's own
        self.clock = SystemClock()
        self.profile = ServerProfile()
        self.failures: list[str] = []
        self._outage = False
        self._state_written = self.clock.monotonic()
        super().__init__(**arguments)
        self._check_catalog()

    @cached_property
    def session(self) -> JettiSession:
        """The session that all streams share. Nothing is opened before the first of them reads."""
        return open_session(self.config, clock=self.clock, logger=self.logger)

    @cached_property
    def progress(self) -> Progress:
        """What the user sees of the run."""
        wanted = self.config["progress"]
        # Where the messages go to a terminal, they would run through the line.
        is_seen = wanted != "never" and can_show_line(sys.stderr) and not sys.stdout.isatty()
        return Progress(
            TerminalLine(sys.stderr) if is_seen else None,
            is_logged=wanted == "always" and not is_seen,
            streams=len(self.streams),
            logger=self.logger,
            clock=self.clock,
            stats=self.session.stats,
            rate=self.session.reads_a_second,
        )

    @cached_property
    def prefetcher(self) -> Prefetcher:
        """What reads ahead of the streams."""
        return Prefetcher(self.session, concurrency=self.config["concurrency"], clock=self.clock, logger=self.logger)

    def open_pages(self, plan: StreamRead, decode: Decode) -> PageReader:
        """Where the reader of a stream reads from.

        Args:
            plan: How the stream is read.
            decode: Makes pages of the bytes of answers.
        """
        if self.config["concurrency"] == 1:
            return plan.pages_from(self.session, decode)
        return self.prefetcher.open(plan, decode)

    @cached_property
    def start_date(self) -> str | None:
        """Where streams without a later bookmark begin, in the normal form."""
        return _date_setting(self.config, "start_date")

    @cached_property
    def end_date(self) -> str | None:
        """The exclusive end of what is read, in the normal form."""
        return _date_setting(self.config, "end_date")

    @override
    def discover_streams(self) -> Sequence[Stream]:
        streams = (JettiStream(self, name) for name in resources.names())
        snapshots = (SnapshotStream(self, name) for name in self.config["id_snapshots"])
        return [*streams, *snapshots]

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        check_state(state)
        super().load_state(state)
        for stream, bookmark in self.state.get("bookmarks", {}).items():
            value = bookmark.get("replication_key_value")
            if value is not None:
                try:
                    bookmark["replication_key_value"] = normalise(str(value))
                except ValueError as error:
                    raise SettingsError(
                        f"The bookmark of {stream} is no date: {error}. Mend the state, or remove it to read all again."
                    ) from error

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        errors = super()._validate_config(raise_errors=raise_errors)
        start, end = (_date_setting(self.config, name) for name in ("start_date", "end_date"))
        if start and end and start >= end:
            raise SettingsError(f"start_date {start} must be before end_date {end}.")
        unknown = sorted(set(self.config.get("include", ())) - set(resources.names()))
        if unknown:
            raise SettingsError(f"include names unknown streams: {', '.join(unknown)}. See tap-jetti --discover.")
        return errors

    def write_rows(self, stream: str, rows: list[Any], *, version: int | None) -> None:
        """Write rows as RECORD messages, with one write for all."""
        self.message_writer.write_rows(stream, rows, extracted=self.clock.time(), version=version)

    def write_state_if_due(self, stream: Stream) -> None:
        """Write a STATE message if the last one was too long ago."""
        now = self.clock.monotonic()
        if now - self._state_written >= STATE_SECONDS:
            self._state_written = now
            stream._write_state_message()  # noqa: SLF001 - the SDK has no public way

    def note_success(self) -> None:
        """Take note that a stream was read to its end."""
        self._outage = False

    def set_aside(self, stream: Stream, error: JettiError) -> None:
        """Report that a stream cannot be read to its end, and go on with the others.

        Raises:
            JettiError: The same error, if it is not of this stream alone: the token, the
                settings, the connection, or a server that fails stream after stream.
        """
        is_cut = isinstance(error, TransportError) and error.may_have_arrived
        is_outage = is_cut or isinstance(error, (ServerError, DecodeError))
        if not (is_cut or isinstance(error, OF_ONE_STREAM)) or (is_outage and self._outage):
            raise error
        self._outage = is_outage
        self.failures.append(stream.name)
        self.logger.error("%s is left as it is, the other streams go on. %s", stream.name, error)

    def run(self) -> None:
        """Sync all selected streams and end the process accordingly.

        Raises:
            SystemExit: Some stream could not be read.
            Interrupted: The process was asked to end; the state was written.
            JettiError: No stream can be read.
        """
        outcome = "failed"
        try:
            self.session  # noqa: B018 - a wrong setting is an error of the run, not of a stream
            self._streams = {name: stream for name, stream in self.streams.items() if stream.selected}
            if not self._streams:
                self.logger.warning("No stream is selected: nothing is read. See the metadata of the catalog.")
            self.progress  # noqa: B018 - the run begins here
            if self.config["concurrency"] > 1:
                self.prefetcher.follow(
                    stream.plan for stream in self._streams.values() if isinstance(stream, BaseStream)
                )
            self.sync_all()
            outcome = "incomplete" if self.failures else "complete"
        except OutputError:
            raise
        except (Interrupted, JettiError) as error:
            outcome = "interrupted" if isinstance(error, Interrupted) else "failed"
            self.state_writer.write_state(self.state)
            raise
        finally:
            self.clock.stop()
            if "prefetcher" in self.__dict__:
                self.prefetcher.close()
            if "session" in self.__dict__:
                self.progress.summarise(outcome)
                self.session.close()
        if self.failures:
            self.logger.error("Not read to the end: %s.", ", ".join(self.failures))
            raise SystemExit(1)

    @classmethod
    @override
    def invoke(  # type: ignore[override]  # the SDK's own taps narrow it, too
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
    ) -> None:
        super(Tap, cls).invoke(about=about, about_format=about_format)
        cls.print_version(print_fn=cls.logger.info)
        cls(
            config=config.config if config else {},
            parse_env_config=bool(config and config.parse_env),
            state=read_object(state, "state") if state else None,
            catalog=check_catalog(read_object(catalog, "catalog")) if catalog else None,
        ).run()

    @override
    def interrupt(self, interruption: Interrupted) -> None:
        self.message_writer.interrupt(interruption)

    def _check_catalog(self) -> None:
        """Refuse a catalog that selects what does not exist: its rows would be missed silently.

        Raises:
            SettingsError: The catalog selects an unknown stream or field.
        """
        if self.input_catalog is None:
            return
        for name, entry in self.input_catalog.items():
            is_selected = entry.metadata.root.selected is not False
            stream = self.streams.get(name)
            if stream is None:
                _refuse(self.logger, f"stream {name}", refused=is_selected)
                continue
            breadcrumbs = [("properties", field) for field in entry.schema.properties or {}]
            for breadcrumb in {*breadcrumbs, *(path[:2] for path in entry.metadata if path)}:
                if breadcrumb[1] not in stream.schema["properties"]:
                    selected = entry.metadata[breadcrumb].selected if breadcrumb in entry.metadata else None
                    _refuse(self.logger, f"field {name}.{breadcrumb[1]}", refused=is_selected and selected is not False)


def _refuse(logger: logging.Logger, what: str, *, refused: bool) -> None:
    if refused:
        raise SettingsError(f"The catalog selects the unknown {what}. Make a new one with tap-jetti --discover.")
    logger.warning("The catalog lists the unknown %s, which is not selected.", what)


def check_state(state: dict[str, Any]) -> None:
    """Refuse a state whose bookmarks are no objects: reading everything again would surprise.

    Raises:
        SettingsError: It is none.
    """
    bookmarks = state.get("bookmarks", {})
    if not isinstance(bookmarks, dict) or not all(isinstance(bookmark, dict) for bookmark in bookmarks.values()):
        raise SettingsError('The state must be of the form {"bookmarks": {"sales": {…}}}. Mend it, or remove it.')


def check_catalog(catalog: dict[str, Any]) -> dict[str, Any]:
    """Refuse what is no catalog.

    Raises:
        SettingsError: It is none.
    """
    streams = catalog.get("streams")
    if not isinstance(streams, list) or not all(
        isinstance(entry, dict)
        and isinstance(entry.get("tap_stream_id"), str)
        and isinstance(entry.get("schema"), dict)
        for entry in streams
    ):
        raise SettingsError("The catalog is none: make one with tap-jetti --discover.")
    return catalog


def _date_setting(config: Mapping[str, Any], name: str) -> str | None:
    value = config.get(name)
    if value is None:
        return None
    try:
        return normalise(str(value))
    except ValueError as error:
        raise SettingsError(f"{name} is no date: {error}.") from error


def main() -> NoReturn:
    """Run ``tap-jetti``."""
    run_command(TapJetti)
