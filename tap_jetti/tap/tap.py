"""The tap: its settings, its streams, and how a run begins and ends.

This module and `tap_jetti.tap.base_stream` are the only ones of the tap that use private names of the SDK. Review
both when the SDK is upgraded.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import click
from singer_sdk import Tap
from singer_sdk.singerlib import Catalog
from typing_extensions import override

from tap_jetti.client.clock import SystemClock
from tap_jetti.errors import Interrupted, JettiError, OutputError, SettingsError
from tap_jetti.process.command import CONFIG_FILES, CommandLine, read_object, run_command
from tap_jetti.process.settings import settings_schema
from tap_jetti.process.settings_gate import read_environment
from tap_jetti.tap.base_stream import BaseStream
from tap_jetti.tap.catalog_checks import check_selection
from tap_jetti.tap.catalog_form import check_catalog
from tap_jetti.tap.run_context import RunContext
from tap_jetti.tap.run_summary import RunSummary, StreamFigures, closing_summary, summary_file
from tap_jetti.tap.selection import apply_selection, report_overlooked
from tap_jetti.tap.settings import TAP_SETTINGS, check_settings, rename_old_values
from tap_jetti.tap.state_input import VALUE, read_state
from tap_jetti.tap.stream_maps import check_maps, map_errors
from tap_jetti.tap.streams import all_streams, stream_names
from tap_jetti.tap.writer import MessageWriter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from singer_sdk import Stream
    from singer_sdk.plugin_base import _ConfigInput


class TapJetti(CommandLine, Tap):
    """Reads a Jetti (Onport) account: every row, incrementally, within the rate limit.

    Args:
        clock: The clock of everything that waits or measures time. Default: the machine's own.
        summary: Where the figures of the run are kept.
        catalog: The catalog, as JSON.
        **arguments: Those of `singer_sdk.Tap`.
    """

    name = "tap-jetti"
    package_name = "tap-jetti"
    message_writer_class = MessageWriter
    message_writer: MessageWriter
    run_context_class: type[RunContext] = RunContext

    config_jsonschema = settings_schema(TAP_SETTINGS)

    def __init__(
        self,
        *,
        clock: SystemClock | None = None,
        summary: RunSummary | None = None,
        catalog: dict[str, Any] | None = None,
        **arguments: Any,  # noqa: ANN401 - the SDK's own
    ) -> None:
        self.clock = clock or SystemClock()
        self.summary = summary or RunSummary()
        if catalog is not None and not isinstance(catalog, Catalog):
            catalog = Catalog.from_dict(check_catalog(catalog))
        super().__init__(catalog=catalog, **arguments)
        if self.input_catalog is not None:
            check_selection(self.input_catalog, self.streams, self.logger)

    @cached_property
    def run_context(self) -> RunContext:
        """What the streams share."""
        return self.run_context_class(
            self.config,
            writer=self.message_writer,
            clock=self.clock,
            redactor=self.redactor,
            started_at=self.initialized_at / 1000,
            logger=self.logger,
            summary=self.summary,
        )

    @override
    def discover_streams(self) -> Sequence[Stream]:
        streams = all_streams(self, self.run_context)
        select = self.config["select"]
        if select and self.input_catalog is not None:
            raise SettingsError(
                "select and --catalog exclude each other. Remove the setting select, or run without a catalog."
                " With Meltano, which always passes a catalog, use the select of the plug-in."
            )
        if select:
            apply_selection(select, {stream.name: stream for stream in streams}, self.logger)
        return streams

    @override
    def setup_mapper(self) -> None:
        _ = self.streams  # first, because streams add their keys to the catalog, which SCHEMA messages are made from
        # Not the SDK's own `Tap.setup_mapper`, which prepares the maps of all streams, selected or not: `BaseStream`
        # does it when they are needed.
        with map_errors(""):
            super(Tap, self).setup_mapper()
        check_maps(self.config.get("stream_maps") or {}, self.streams, self.logger)
        for stream in self.streams.values():
            if stream.selected:
                _ = stream.stream_maps

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        names = stream_names(self.config["id_snapshots"])
        super().load_state(read_state(state, names, self.logger))
        self.run_context.recall(self.state.get("bookmarks", {}))

    def run(self) -> None:
        """Sync all selected streams.

        Raises:
            SystemExit: A stream failed while others were read.
            Interrupted: A signal ended the run. The state was written.
            JettiError: The run failed.
        """
        outcome = "failed"
        try:
            self._sync_selected()
            self._check_all_ended()
            outcome = "incomplete" if self.run_context.failed_streams.names else "complete"
        except OutputError:  # the state cannot be written either
            raise
        except (Interrupted, JettiError) as error:
            outcome = "interrupted" if isinstance(error, Interrupted) else "failed"
            self.state_writer.write_state(self.state)
            raise
        finally:
            self.clock.stop()
            self.run_context.close(outcome)
        failed = self.run_context.failed_streams.names
        if failed:
            self.logger.error("Streams not read completely: %s. See the errors above.", ", ".join(failed))
            raise SystemExit(self.run_context.failed_streams.exit_code)

    def _check_all_ended(self) -> None:
        """Check that every stream was read, whatever the SDK did with it.

        Raises:
            JettiError: A stream was not.
        """
        ended = {"complete", "failed"}
        skipped = [name for name, stream in self.summary.streams.items() if stream.outcome not in ended]
        if skipped:
            raise JettiError(f"Streams not read: {', '.join(skipped)}. Please report it: tap-jetti must not skip them.")

    def _sync_selected(self) -> None:
        selected = {name: stream for name, stream in self.streams.items() if stream.selected}
        # Private: `sync_all` reads it, and logs a line for each stream in it that is not selected, more than a hundred.
        self._streams = selected
        self.summary.streams.update({name: StreamFigures() for name in selected})
        self.run_context.open()
        report_overlooked(
            selected,
            self.config,
            {name: bookmark[VALUE] for name, bookmark in self.state.get("bookmarks", {}).items() if VALUE in bookmark},
            start_date=self.run_context.start_date,
            logger=self.logger,
        )
        if not selected:
            self.logger.warning("No stream is selected, so nothing is synced. Select streams in the catalog.")
        self.run_context.prefetch(stream.stream_read for stream in selected.values() if isinstance(stream, BaseStream))
        self.sync_all()

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # Private: the SDK calls it before it creates anything, and has no public hook there.
        self._config = rename_old_values(self._config)
        errors = super()._validate_config(raise_errors=raise_errors)
        check_settings(self.config)
        return errors

    @classmethod
    @override
    def invoke(  # type: ignore[override]  # the SDK's own taps narrow it, too
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,  # private: the type of what the SDK's command line gives
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
    ) -> None:
        # Not the SDK's own `Tap.invoke`, which calls `sync_all`: a run has to end as `run` does it.
        super(Tap, cls).invoke(about=about, about_format=about_format)
        cls.print_version(print_fn=cls.logger.debug)
        given = cls._given_settings(config)
        command = click.get_current_context(silent=True)
        inputs = [
            *(command.meta.get(CONFIG_FILES, ()) if command else ()),
            *(file.name for file in (state, catalog) if file),
        ]
        with closing_summary(summary_file(given.get("summary_path"), inputs), cls.logger) as summary:
            summary.redactor.learn(*cls.known_secrets(given))
            cls(
                config=config.config if config else {},
                parse_env_config=bool(config and config.parse_env),
                state=read_object(state, "state") if state else None,
                catalog=read_object(catalog, "catalog") if catalog else None,
                summary=summary,
            ).run()

    @classmethod
    def _given_settings(cls, config: _ConfigInput | None) -> dict[str, Any]:
        """What the run is given, before any of it is checked: an error of the settings is in the summary, too."""
        given = dict(config.config) if config else {}
        if config and config.parse_env:
            given |= read_environment(cls.full_schema(), cls.environment_prefix())
        return given

    @override
    def interrupt(self, interruption: Interrupted) -> None:
        self.message_writer.interrupt(interruption)


def main() -> NoReturn:
    """Run ``tap-jetti``."""
    run_command(TapJetti)
