"""What the commands of tap and target share: files, validation of settings, signals, and the exit code.

The exit code says what a retry can do; each error class carries its own (`tap_jetti.errors`).

====  =======================================================================
0     everything that was asked for was done
1     something failed or was left out, and no other code says it better
2     the command line is invalid
75    a retry may help: host, network, 5xx, 429, a rate limit store
77    the token or its permissions must be corrected: no retry helps
78    settings, catalog, state or input must be corrected first
130   interrupted from the keyboard (SIGINT)
143   terminated (SIGTERM)
====  =======================================================================
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click
from singer_sdk.plugin_base import PluginBase, _ConfigInput
from typing_extensions import override

from tap_jetti.errors import Interrupted, JettiError, OutputError, SettingsError
from tap_jetti.facts.redaction import Redactor, secrets_in, secrets_of_environment
from tap_jetti.process.allocator import return_freed_memory
from tap_jetti.process.logs import configure_logs, redact_logs, report
from tap_jetti.process.sdk_settings import check_sdk_settings, tighten, with_compression
from tap_jetti.process.settings_gate import (
    check_environment,
    check_names,
    parse_settings,
    read_environment,
    validate_settings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from tap_jetti.client.clock import SystemClock

SIGNAL_EXIT = 128
"""The exit code after a signal is this plus its number, as in shells."""

CONFIG_FILES = "tap_jetti.config_files"
"""Where the command line keeps the paths of the config files."""

REPEATED_SIGNAL_SECONDS = 1.0
"""Seconds after a signal in which others are ignored: Ctrl-C comes twice if a parent process passes it on."""


def read_object(file: IO[str], what: str) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        file: An open file.
        what: What the file is, for the error: config, state or catalog.

    Raises:
        SettingsError: The file is not a JSON object.
    """
    try:
        # As bytes, of which JSON tells the encoding: Windows writes UTF-16, or a byte order mark.
        content = getattr(file, "buffer", file).read()
        if not content.strip():
            raise SettingsError(f"The {what} file {file.name} is empty. Correct it, or run without it.")
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"The {what} file {file.name} is not valid JSON: {error}.") from error
    if not isinstance(found, dict):
        raise SettingsError(f"The {what} file {file.name} must be a JSON object, not {type(found).__name__}.")
    return found


class CommandLine(PluginBase):
    """How tap and target read and check their settings, and how a signal ends them."""

    clock: SystemClock
    _signalled_at: float | None = None

    def interrupt(self, interruption: Interrupted) -> None:
        """Raise `interruption` as soon as no line of the output is incomplete."""
        raise NotImplementedError

    def __init__(self, *, config: Any = None, parse_env_config: bool = False, **arguments: Any) -> None:  # noqa: ANN401
        if parse_env_config:
            # Not by the SDK, which takes an empty variable for a value, and the text "auto" for false.
            prefix, schema = self.environment_prefix(), self.full_schema()
            check_environment(schema, prefix, logger=self.logger)
            config = {**(config or {}), **read_environment(schema, prefix)}
        self.redactor = Redactor()
        redact_logs(self.redactor)
        super().__init__(config=config, **arguments)

    @classmethod
    def environment_prefix(cls) -> str:
        """What the environment variables of the settings begin with."""
        return f"{cls.name.upper().replace('-', '_')}_"

    @classmethod
    def full_schema(cls) -> dict[str, Any]:
        """The JSON Schema of the settings, with those that the SDK reads itself."""
        schema = {**cls.config_jsonschema, "properties": dict(cls.config_jsonschema["properties"])}
        cls.append_builtin_config(schema)
        tighten(schema["properties"])
        return schema

    @classmethod
    def known_secrets(cls, settings: Mapping[str, Any]) -> Iterator[str]:
        """All secrets that the settings, valid or not, and the environment hold."""
        names = [name for name, facts in cls.config_jsonschema["properties"].items() if facts.get("secret")]
        yield from secrets_in(settings, names)
        yield from secrets_of_environment(os.environ)

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        schema = self.full_schema()
        self.redactor.learn(*self.known_secrets(self._config))
        check_names(self._config, schema["properties"], where="", logger=self.logger)
        self._config = parse_settings(self._config, schema)
        if not raise_errors:  # discovery needs no token, and does not warn about a missing one
            self.config_jsonschema = {**self.config_jsonschema, "required": []}  # type: ignore[misc]
            schema["required"] = []
        elif not self.config.get("api_token"):
            raise SettingsError("api_token is missing. Create a token in Jetti under Integrations > Api.")
        if "batch_config" in self._config:
            self._config["batch_config"] = with_compression(self._config["batch_config"])
        validate_settings(self._config, schema)
        check_sdk_settings(self._config)
        return super()._validate_config(raise_errors=raise_errors)  # fills in the defaults

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        if self._signalled_at is None:
            self._signalled_at = self.clock.monotonic()
            self.clock.stop()
            _announce(signum)
            self.interrupt(Interrupted(signum))
        elif self.clock.monotonic() - self._signalled_at > REPEATED_SIGNAL_SECONDS:
            # It did not end in time, perhaps because nobody reads its output. Now the signal kills it.
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)

    @classmethod
    @override
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> _ConfigInput:
        """Read the files of ``--config``. A later file overrides an earlier one.

        Raises:
            SettingsError: A file cannot be read, or is not a JSON object.
        """
        config: dict[str, Any] = {}
        ctx.meta[CONFIG_FILES] = [path for path in value if path != "ENV"]
        for path in value:
            if path != "ENV":
                try:
                    with Path(path).open(encoding="utf-8") as file:
                        config |= read_object(file, "config")
                except OSError as error:
                    raise SettingsError(f"Cannot read the config file {path}: {error.strerror}.") from error
        return _ConfigInput(config=config, parse_env="ENV" in value)


def _announce(signum: int) -> None:
    """Write at once that a signal was received.

    A signal's handler can interrupt a log call in the same thread, so this bypasses the log and the buffer of stderr.
    """
    with contextlib.suppress(OSError):
        os.write(2, f"Received {signal.Signals(signum).name}; stopping.\n".encode())


def exit_code_of(error: BaseException | None) -> int:
    """The exit code of a command that ends with this error, or without one."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, Interrupted):
        return SIGNAL_EXIT + (error.signum or signal.SIGTERM)
    if isinstance(error, (click.ClickException, JettiError)):
        return error.exit_code
    return int(error is not None)


def run_command(plugin: type[PluginBase]) -> NoReturn:
    """Run the command of a tap or target and end the process. An error is one line, without a traceback."""
    return_freed_memory()
    code = 1
    redactor = Redactor(secrets_of_environment(os.environ))
    if sys.stderr is None:  # closed, which must not decide about the run
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    try:
        command = plugin.cli
        configure_logs(plugin.logger, redactor)
        code = command.main(standalone_mode=False) or 0
    except click.ClickException as error:
        usage = io.StringIO()
        error.show(usage)
        click.echo(redactor.clean_lines(usage.getvalue()), nl=False, err=True)
        code = exit_code_of(error)
    except SystemExit as end:
        code = exit_code_of(end)
    except Interrupted as interruption:
        for again in (signal.SIGINT, signal.SIGTERM):  # the process ends now, and its exit code is known
            signal.signal(again, signal.SIG_IGN)
        code = exit_code_of(interruption)
        plugin.logger.warning("Stopped by %s.", signal.Signals(code - SIGNAL_EXIT).name)
    except Exception as error:  # noqa: BLE001 - the last resort: nothing ends in a traceback
        report(plugin.logger, error)
        code = exit_code_of(error)
        if isinstance(error, OutputError) and sys.stdout is not None:
            # The interpreter flushes standard output when it ends, which would fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
