"""The target: its settings, its streams, and how a run ends."""

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
from tap_jetti.target.actions import ACTIONS
from tap_jetti.target.delivery.operations import InputStream
from tap_jetti.target.delivery.record_errors import MissingSchemaError
from tap_jetti.target.pipeline import Pipeline
from tap_jetti.target.settings import TARGET_SETTINGS, check_settings
from tap_jetti.target.singer_input import SingerInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.plugin_base import _ConfigInput

    from tap_jetti.target.actions.action import Action
    from tap_jetti.target.delivery.operations import Record

    _Way = tuple[Callable[[Record], Record | None] | None, InputStream]

_SECRETS = ("api_token", "inventory_feed_hash", "channel_hash")


class TargetJetti(CommandLine, Target):
    """Writes to a Jetti (Onport) account: in batches, only what changed, nothing dropped silently.

    Of the SDK's target it uses settings, stream maps and flattening, not the sinks: those drain in
    threads that know nothing of the order of keys, emit no STATE at all after a batch that raised,
    and none while a tap is silent. Records go to `tap_jetti.target.delivery` instead.
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
        self.delivery = Pipeline(
            self.config,
            session=open_session(self.config, clock=self.clock, logger=self.logger),
            clock=self.clock,
            logger=self.logger,
        )
        self.message_reader.secrets = tuple(str(self.config[name]) for name in _SECRETS if self.config.get(name))
        self._actions: dict[str, Action] = {}
        self._ways: dict[str, list[_Way]] = {}
        self._ignored: set[str] = set()

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        errors = super()._validate_config(raise_errors=raise_errors)
        if raise_errors:
            check_settings(self.config)
        return errors

    @classmethod
    @override
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        # Not the SDK's settings for sinks, which there are none of.
        super(Target, cls).append_builtin_config(config_jsonschema)

    @classmethod
    @override
    def print_about(cls, output_format: str | None = None) -> None:
        from tap_jetti.target.actions.about import added_to  # noqa: PLC0415 - reads schemas that a run can do without

        text = AboutFormatter.get_formatter(output_format or "text").format_about(cls._get_about_info())
        sys.stdout.write(added_to(text, output_format) + "\n")

    @override
    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        stream, schema = message_dict.get("stream"), message_dict.get("schema")
        if not isinstance(stream, str) or not isinstance(schema, dict):
            raise InputError(f"Line {self._line} is a SCHEMA without stream or schema.")
        if not isinstance(schema.get("properties"), dict):
            raise InputError(f"Line {self._line}: the SCHEMA of {stream} has no properties.")
        keys = message_dict.get("key_properties") or []
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise InputError(f"Line {self._line}: the key_properties of {stream} are no list of names.")
        try:
            self.mapper.register_raw_stream_schema(stream, schema, keys)
        except Exception as error:  # the SDK raises many things, some of them about the settings
            raise InputError(
                f"Line {self._line}: the SCHEMA of {stream} cannot be used as it is, or not with stream_maps"
                f" and flattening as they are set: {error}"
            ) from error
        ways: list[_Way] = []
        for stream_map in self.mapper.stream_maps[stream]:
            if isinstance(stream_map, RemoveRecordTransform):
                continue
            action = self._action_of(stream_map.stream_alias)
            input_stream = InputStream(
                stream,
                message_dict,
                tuple(stream_map.transformed_key_properties or ()),
                action,
                self.delivery.summary.of(action.name),
                frozenset(stream_map.transformed_schema.get("properties", ())),
            )
            self.delivery.intake.announce(input_stream)
            is_same = isinstance(stream_map, SameRecordTransform) and not stream_map.flattening_enabled
            ways.append((None if is_same else stream_map.transform, input_stream))
        self._ways[stream] = ways

    @override
    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        stream, record = message_dict.get("stream"), message_dict.get("record")
        if type(stream) is not str or type(record) is not dict:
            raise InputError(f"Line {self._line} is a RECORD without stream or record.")
        ways = self._ways.get(stream)
        if ways is None:
            raise MissingSchemaError(f"Line {self._line}: a record of {stream} came before its SCHEMA. Mend the tap.")
        reader = self.message_reader
        for transform, input_stream in ways:
            try:
                transformed = record if transform is None else transform(record if len(ways) == 1 else dict(record))
            except Exception as error:  # noqa: BLE001 - an expression may raise anything, about this record alone
                refusal = RecordError("stream_maps.failed", f"stream_maps cannot be evaluated ({type(error).__name__})")
                self.delivery.intake.refuse(input_stream, record, refusal, line=reader.line)
                continue
            if transformed is not None:
                self.delivery.intake.take(input_stream, transformed, record, line=reader.line, size=reader.size)

    @override
    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        if "value" not in message_dict:
            raise InputError(f"Line {self._line} is a STATE without value.")
        self.delivery.checkpoints.state(message_dict["value"])

    @override
    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        if "ACTIVATE_VERSION" not in self._ignored:
            self._ignored.add("ACTIVATE_VERSION")
            self.logger.warning(
                "ACTIVATE_VERSION is ignored: Jetti has no versions of a table, and nothing is deleted."
            )

    @override
    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        raise InputError(f"Line {self._line} is a BATCH message, which is not read. Take batch_config from the tap.")

    @override
    def process_endofpipe(self) -> None:
        self.delivery.finish()

    def run(self, file_input: IO[str] | None = None) -> None:
        """Deliver the input and end the process accordingly.

        Raises:
            SystemExit: Some record was set aside.
            Interrupted: The process was asked to end; what was in flight is done.
            JettiError: The input or Jetti failed.
        """
        try:
            self.delivery.check_rejects(_descriptor(file_input))
            self.listen(file_input)
        except InputError:
            self.delivery.deliver_received()
            raise
        finally:
            self.delivery.close()
            self.clock.stop()
        if self.delivery.summary.total("rejected"):
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
        cls.print_version(print_fn=cls.logger.info)
        cls(config=config.config if config else {}, parse_env_config=bool(config and config.parse_env)).run(file_input)

    @override
    def interrupt(self, interruption: Interrupted) -> None:
        self.delivery.output.interrupt(interruption)

    @property
    def _line(self) -> int:
        return self.message_reader.line

    def _action_of(self, stream: str) -> Action:
        """The action of a stream, by its name or the setting stream_actions.

        Raises:
            SettingsError: There is none.
        """
        name = self.config["stream_actions"].get(stream, stream)
        if name not in ACTIONS:
            raise SettingsError(
                f"Nothing is known to be done with stream {stream}; nothing of it is sent. Map it by stream_actions"
                f" to one of: {', '.join(ACTIONS)}."
            )
        if self.config["delivery"] == "file" and name != next(iter(ACTIONS)):
            raise SettingsError(f"delivery file writes {next(iter(ACTIONS))} only, and stream {stream} is {name}.")
        if name not in self._actions:
            self._actions[name] = ACTIONS[name](self.delivery.context)
        return self._actions[name]


def _descriptor(file_input: IO[str] | None) -> int | None:
    try:
        return 0 if file_input is None else file_input.fileno()
    except (OSError, ValueError):
        return None


def main() -> NoReturn:
    """Run ``target-jetti``."""
    gc.freeze()  # what is imported stays: looking it through again and again takes a tenth of the time of a record
    run_command(TargetJetti)
