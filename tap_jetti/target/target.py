"""The Singer target: its settings, its streams, and how a run ends."""

from __future__ import annotations

import gc
import sys
from typing import IO, TYPE_CHECKING, Any, ClassVar, NoReturn

from singer_sdk import Target
from singer_sdk.about import AboutFormatter
from singer_sdk.helpers.capabilities import PluginCapabilities
from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform
from typing_extensions import override

from tap_jetti.client.clock import SystemClock
from tap_jetti.errors import InputError, Interrupted, RecordError, SettingsError
from tap_jetti.process.command import CommandLine, run_command
from tap_jetti.process.settings import open_session, settings_schema
from tap_jetti.target.actions import ACTIONS, action_named, is_action, without_prefix
from tap_jetti.target.actions.routes import FILE
from tap_jetti.target.columns import two_columns
from tap_jetti.target.delivery.operations import InputStream, Replay
from tap_jetti.target.delivery.record_errors import MissingSchemaError
from tap_jetti.target.pipeline import Pipeline
from tap_jetti.target.settings import TARGET_SETTINGS, check_settings
from tap_jetti.target.singer_input import SingerInput, UnreadableRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.plugin_base import _ConfigInput

    from tap_jetti.target.actions.action import Action
    from tap_jetti.target.delivery.operations import Record

    # What a stream map makes of a record, or None if it leaves records as they are; and the stream it makes.
    _MappedStream = tuple[Callable[[Record], Record | None] | None, InputStream]


class TargetJetti(CommandLine, Target):
    """Writes to a Jetti (Onport) account: in batches, only what changed, nothing dropped silently.

    It uses the SDK's settings, stream maps and flattening, but not its sinks: these drain in threads that do not keep
    the order of keys, and they emit no STATE after a batch that failed, nor while the tap is silent. Records go
    through a `Pipeline` instead.
    """

    name = "target-jetti"
    package_name = "tap-jetti"
    message_reader_class = SingerInput
    message_reader: SingerInput
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    config_jsonschema = settings_schema(TARGET_SETTINGS)

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401 - the SDK's own
        self.clock = SystemClock()
        super().__init__(**arguments)
        self.pipeline = Pipeline(
            self.config,
            session=open_session(self.config, clock=self.clock, logger=self.logger, redactor=self.redactor),
            clock=self.clock,
            logger=self.logger,
        )
        self.message_reader.redactor = self.redactor
        self._actions: dict[str, Action] = {}
        self._streams: dict[str, list[_MappedStream]] = {}
        self._has_warned_of_versions = False

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        errors = super()._validate_config(raise_errors=raise_errors)
        if raise_errors:
            check_settings(self.config)
        return errors

    @classmethod
    @override
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        # The SDK's settings for sinks are left out, since there are no sinks.
        super(Target, cls).append_builtin_config(config_jsonschema)

    @classmethod
    @override
    def print_about(cls, output_format: str | None = None) -> None:
        from tap_jetti.target.actions.about import add_actions  # noqa: PLC0415 - it reads schemas that a run does not need

        text = AboutFormatter.get_formatter(output_format or "text").format_about(cls._get_about_info())
        sys.stdout.write(add_actions(text, output_format) + "\n")

    @override
    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        stream, schema = message_dict.get("stream"), message_dict.get("schema")
        if not isinstance(stream, str) or not isinstance(schema, dict):
            raise InputError(f"Line {self._line} is a SCHEMA without stream or schema. Correct the tap.")
        if not isinstance(schema.get("properties"), dict):
            raise InputError(f"Line {self._line}: the SCHEMA of {stream} has no properties. Correct the tap.")
        keys = message_dict.get("key_properties") or []
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise InputError(
                f"Line {self._line}: the key_properties of {stream} must be a list of names. Correct the tap."
            )
        try:
            self.mapper.register_raw_stream_schema(stream, schema, keys)
        except Exception as error:  # the SDK raises various exceptions, some of them about the settings
            raise InputError(
                f"Line {self._line}: the SCHEMA of {stream} is invalid, or does not fit the settings stream_maps and"
                f" flattening: {error}"
            ) from error
        mapped: list[_MappedStream] = []
        for stream_map in self.mapper.stream_maps[stream]:
            if isinstance(stream_map, RemoveRecordTransform):
                continue
            action = self._action_of(stream_map.stream_alias)
            listed = stream_map.transformed_schema.get("properties", ())
            columns = action.columns(listed)
            shared = columns.shared()
            if shared is not None:
                raise InputError(f"Line {self._line}: in the SCHEMA of {stream} {two_columns(shared)}.")
            input_stream = InputStream(
                stream,
                message_dict,
                tuple(stream_map.transformed_key_properties or ()),
                action,
                self.pipeline.summary.of(action.name),
                columns,
                frozenset(map(columns.field_of, listed)),
            )
            self.pipeline.add_stream()
            is_same = isinstance(stream_map, SameRecordTransform) and not stream_map.flattening_enabled
            mapped.append((None if is_same else stream_map.transform, input_stream))
        self._streams[stream] = mapped

    @override
    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        stream, record = message_dict.get("stream"), message_dict.get("record")
        if type(stream) is not str or not isinstance(record, dict):
            raise InputError(f"Line {self._line} is a RECORD without stream or record. Correct the tap.")
        mapped = self._streams.get(stream)
        if mapped is None:
            raise MissingSchemaError(
                f"Line {self._line}: the tap must send the SCHEMA of {stream} before its records. Correct the tap."
            )
        reader, processor = self.message_reader, self.pipeline.processor
        replay = Replay.of(message_dict["rejection"]) if "rejection" in message_dict else None
        for transform, input_stream in mapped:
            if type(record) is UnreadableRecord:
                processor.reject(input_stream, record, record.fault, line=reader.line, replay=replay)
                continue
            try:
                transformed = record if transform is None else transform(record if len(mapped) == 1 else dict(record))
            except Exception as error:  # noqa: BLE001 - an expression may raise anything; only this record fails
                rejection = RecordError(
                    "stream_maps.failed", f"stream_maps failed on this record ({type(error).__name__})"
                )
                processor.reject(input_stream, record, rejection, line=reader.line, replay=replay)
                continue
            if transformed is not None:
                processor.process(input_stream, transformed, record, line=reader.line, size=reader.size, replay=replay)

    @override
    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        if "value" not in message_dict:
            raise InputError(f"Line {self._line} is a STATE without value. Correct the tap.")
        self.pipeline.checkpoints.add_state(message_dict["value"], size=self.message_reader.size)

    @override
    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        if not self._has_warned_of_versions:
            self._has_warned_of_versions = True
            self.logger.warning("ACTIVATE_VERSION is ignored: Jetti has no versions of tables. Nothing is deleted.")

    @override
    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        raise InputError(
            f"Line {self._line} is a BATCH message, which is not supported. Remove batch_config from the tap."
        )

    @override
    def process_endofpipe(self) -> None:
        self.pipeline.finish()

    def run(self, file_input: IO[str] | None = None) -> None:
        """Deliver the input.

        Args:
            file_input: The input; None for standard input.

        Raises:
            SystemExit: A record was rejected and set aside.
            Interrupted: A signal ended the run; the calls that were in flight are done.
            JettiError: The input is invalid, or the delivery failed.
        """
        try:
            self.pipeline.prepare(_descriptor(file_input))
            self.listen(file_input)
        except (InputError, RecordError):
            self.pipeline.deliver_received()
            raise
        finally:
            self.pipeline.close()
            self.clock.stop()
        if self.pipeline.has_failures:
            raise SystemExit(1)

    @classmethod
    @override
    def invoke(  # type: ignore[override]  # the SDK's own targets narrow it, too
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        file_input: IO[str] | None = None,
    ) -> None:
        super(Target, cls).invoke(about=about, about_format=about_format)
        cls.print_version(print_fn=cls.logger.debug)
        cls(config=config.config if config else {}, parse_env_config=bool(config and config.parse_env)).run(file_input)

    @override
    def interrupt(self, interruption: Interrupted) -> None:
        if not hasattr(self, "pipeline"):  # the signal came while the target was being built
            raise interruption
        self.pipeline.output.interrupt(interruption)

    @property
    def _line(self) -> int:
        return self.message_reader.line

    def _action_of(self, stream: str) -> Action:
        """The action of a stream: the one in the setting stream_actions, or else the one that it is named after.

        Raises:
            SettingsError: There is no such action, or it cannot write a file.
        """
        name = self.config["stream_actions"].get(stream) or without_prefix(stream)
        if not is_action(name):
            raise SettingsError(
                f"No action for stream {stream}. Map it in stream_actions to one of: {', '.join(ACTIONS)};"
                " or to the updates of one resource, such as sales_updates."
            )
        if self.config["delivery"] == FILE and (name not in ACTIONS or not ACTIONS[name].has_feed_file):
            supported = ", ".join(action.name for action in ACTIONS.values() if action.has_feed_file)
            raise SettingsError(
                f"delivery file writes {supported} only, but the action of stream {stream} is {name}."
                " Set delivery to inbound or api."
            )
        if name not in self._actions:
            self._actions[name] = action_named(name)(self.pipeline.context)
        return self._actions[name]


def _descriptor(file_input: IO[str] | None) -> int | None:
    try:
        return 0 if file_input is None else file_input.fileno()
    except (OSError, ValueError):
        return None


def main() -> NoReturn:
    """Run ``target-jetti``."""
    gc.freeze()  # imported objects stay: scanning them in every collection takes a tenth of the time
    run_command(TargetJetti)
