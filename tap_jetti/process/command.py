"""What the commands of tap and target share: files, validation of settings, signals, and the exit code.

====  =======================================================================
0     everything was done
1     something failed, or a record was rejected; standard error says what
2     the command line is invalid
130   interrupted from the keyboard (SIGINT)
143   terminated (SIGTERM)
====  =======================================================================
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.plugin_base import PluginBase, _ConfigInput
from typing_extensions import override

from tap_jetti.errors import Interrupted, JettiError, OutputError, SettingsError
from tap_jetti.process.settings import parse_numbers

if TYPE_CHECKING:
    from types import FrameType

    from tap_jetti.client.clock import SystemClock

SIGNAL_EXIT = 128
"""The exit code after a signal is this plus its number, as in shells."""

REPEATED_SIGNAL_SECONDS = 1.0
"""Seconds after a signal in which others are ignored: Ctrl-C comes twice if a parent process passes it on."""

MAX_MESSAGE_LENGTH = 200
"""Characters of a message about an invalid setting; of a longer one the middle is left out."""


def read_object(file: IO[str], what: str) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        file: An open file.
        what: What the file is, for the error: config, state or catalog.

    Raises:
        SettingsError: The file is not a JSON object.
    """
    try:
        found = json.load(file)
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

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        if not raise_errors:  # discovery needs no token, and does not warn about a missing one
            self.config_jsonschema = {**self.config_jsonschema, "required": []}  # type: ignore[misc]
        elif not self.config.get("api_token"):
            raise SettingsError("api_token is missing. Create a token in Jetti under Integrations > Api.")
        self._config = parse_numbers(self._config, self.config_jsonschema)
        try:
            return super()._validate_config(raise_errors=raise_errors)
        except ConfigValidationError as error:
            error.errors = [_shortened(message) for message in error.errors]
            raise

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
            SettingsError: A file is not a JSON object.
            OSError: A file cannot be read.
        """
        config: dict[str, Any] = {}
        for path in value:
            if path != "ENV":
                with Path(path).open(encoding="utf-8") as file:
                    config |= read_object(file, "config")
        return _ConfigInput(config=config, parse_env="ENV" in value)


def _shortened(message: str) -> str:
    """A message without its middle if it is long: some list all streams, and name the setting at the end."""
    if len(message) <= MAX_MESSAGE_LENGTH:
        return message
    half = MAX_MESSAGE_LENGTH // 2
    return f"{message[:half]} … {message[-half:]}"


def _announce(signum: int) -> None:
    """Write at once that a signal was received.

    A signal's handler can interrupt a log call in the same thread, so this bypasses the log and the buffer of stderr.
    """
    with contextlib.suppress(OSError):
        os.write(2, f"Received {signal.Signals(signum).name}; stopping.\n".encode())


def run_command(plugin: type[PluginBase]) -> NoReturn:
    """Run the command of a tap or target and end the process. An error is one line, without a traceback."""
    code = 1
    try:
        code = plugin.cli.main(standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Interrupted as interruption:
        for again in (signal.SIGINT, signal.SIGTERM):  # the process ends now, and its exit code is known
            signal.signal(again, signal.SIG_IGN)
        signum = interruption.signum or signal.SIGTERM
        plugin.logger.warning("Stopped by %s.", signal.Signals(signum).name)
        code = SIGNAL_EXIT + signum
    except OutputError as error:
        plugin.logger.error("%s", error)  # noqa: TRY400 - no traceback
        # The interpreter flushes standard output when it ends, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ConfigValidationError as error:
        for message in error.errors:
            plugin.logger.error("%s", message)  # noqa: TRY400 - no traceback
    except (JettiError, OSError) as error:
        plugin.logger.error("%s", error)  # noqa: TRY400 - no traceback
    sys.exit(code)
