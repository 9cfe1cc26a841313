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

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import click
import simplejson
from singer_sdk.exceptions import ConfigValidationError

from tap_jetti.client.problems import JettiError

if TYPE_CHECKING:
    from singer_sdk.plugin_base import PluginBase

SIGNAL_EXIT = 128
"""What a signal's number is added to for the exit code, as shells do."""


class Interruption(BaseException):
    """The process was asked to end. Raised where the main thread is, so that nothing is torn.

    Args:
        signum: The signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


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
    except Interruption as interruption:
        plugin.logger.warning("Stopped by %s.", signal.Signals(interruption.signum).name)
        code = SIGNAL_EXIT + interruption.signum
    except BrokenPipeError:
        plugin.logger.error("Whatever read the output went away before its end.")  # noqa: TRY400 - no traceback
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ConfigValidationError as error:
        for message in error.errors:
            plugin.logger.error("%s", message)  # noqa: TRY400 - no traceback
    except (json.JSONDecodeError, simplejson.JSONDecodeError) as error:
        plugin.logger.error("A file given to %s is no JSON: %s.", plugin.name, error)  # noqa: TRY400 - no traceback
    except (JettiError, OSError) as error:
        plugin.logger.error("%s", error)  # noqa: TRY400 - no traceback
    sys.exit(code)
