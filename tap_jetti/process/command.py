"""How the commands end: one line for the user instead of a traceback, and an exit code that says what happened.

====  ==========================================================
0     everything was done
1     something failed or was set aside; standard error says what
2     the command line is wrong
130   interrupted from the keyboard (SIGINT)
143   terminated (SIGTERM)
====  ==========================================================
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
from singer_sdk.plugin_base import _ConfigInput

from tap_jetti.errors import Interrupted, JettiError, OutputError, SettingsError

if TYPE_CHECKING:
    from types import FrameType

    from singer_sdk.plugin_base import PluginBase

    from tap_jetti.client.clock import SystemClock

SIGNAL_EXIT = 128
"""What a signal's number is added to for the exit code, as shells do."""

SECONDS_TO_END = 1.0
"""After a signal, others are ignored for so long: Ctrl-C comes twice where whatever runs the command passes it on."""


def read_object(file: IO[str], what: str) -> dict[str, Any]:
    """The JSON object that a file holds.

    Args:
        file: An open file.
        what: What it is meant to be, for the error.

    Raises:
        SettingsError: It holds none.
    """
    try:
        found = json.load(file)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"The {what} {file.name} is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise SettingsError(f"The {what} {file.name} must be a JSON object, not {type(found).__name__}.")
    return found


class CommandLine:
    """What tap and target share: the files of ``--config``, the later ones winning, and how a signal ends them."""

    clock: SystemClock
    _asked_to_end: float | None = None

    def interrupt(self, interruption: Interrupted) -> None:
        """Raise this where nothing is torn by it."""
        raise NotImplementedError

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal's handler
        if self._asked_to_end is None:
            self._asked_to_end = self.clock.monotonic()
            self.clock.stop()
            _announce(signum)
            self.interrupt(Interrupted(signum))
        elif self.clock.monotonic() - self._asked_to_end > SECONDS_TO_END:
            signal.signal(signum, signal.SIG_DFL)  # it hangs, as where nobody reads its output
            signal.raise_signal(signum)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> _ConfigInput:  # noqa: ARG003
        """Read the settings.

        Raises:
            SettingsError: A file is missing or holds no JSON object.
        """
        config: dict[str, Any] = {}
        for path in value:
            if path != "ENV":
                with Path(path).open(encoding="utf-8") as file:
                    config |= read_object(file, "config")
        return _ConfigInput(config=config, parse_env="ENV" in value)


def _announce(signum: int) -> None:
    """Write at once that a signal was received.

    A signal's handler can interrupt a log call in the same thread, so this bypasses the log and the buffer of stderr.
    """
    with contextlib.suppress(OSError):
        os.write(2, f"Received {signal.Signals(signum).name}; stopping.\n".encode())


def run_command(plugin: type[PluginBase]) -> NoReturn:
    """Run a plug-in's command line and end the process."""
    code = 1
    try:
        code = plugin.cli.main(standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Interrupted as interruption:
        for again in (signal.SIGINT, signal.SIGTERM):  # the end is near, and its exit code is known
            signal.signal(again, signal.SIG_IGN)
        signum = interruption.signum or signal.SIGTERM
        plugin.logger.warning("Stopped by %s.", signal.Signals(signum).name)
        code = SIGNAL_EXIT + signum
    except OutputError as error:
        plugin.logger.error("%s", error)  # noqa: TRY400 - no traceback
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ConfigValidationError as error:
        for message in error.errors:
            plugin.logger.error("%s", message)  # noqa: TRY400 - no traceback
    except (JettiError, OSError) as error:
        plugin.logger.error("%s", error)  # noqa: TRY400 - no traceback
    sys.exit(code)
