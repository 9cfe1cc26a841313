"""The entry points of the commands ``tap-jetti``, ``target-jetti`` and ``jetti``. Each imports only what it needs."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib import import_module
from typing import Any, NoReturn

import click
from typing_extensions import override

from tap_jetti.errors import JettiError, message_of

SUBCOMMANDS = {
    "demo": ("tap_jetti.demo.command", "Load a sandbox into a warehouse twice, and compare all counts.", "sandbox"),
    "state": ("tap_jetti.sync.state_command", "Show or replace the state of a sync.", ""),
    "sync": ("tap_jetti.sync.command", "Read what changed in Jetti and load it.", ""),
    "doctor": ("tap_jetti.doctor.command", "Check what this account's Jetti does, without writing anything.", ""),
    "sandbox": ("tap_jetti.sandbox.command", "Run a Jetti server with made-up data on this machine.", "sandbox"),
}
"""Module, summary and extra of each subcommand. In the module, the command has the name of the subcommand."""


class Subcommands(click.Group):
    """A group that imports a subcommand only when it is called."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(SUBCOMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        module, _, extra = SUBCOMMANDS[cmd_name]
        if cmd_name == "sync":  # until it handles signals itself, Ctrl-C must not end in an exit code of its own
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            command = getattr(import_module(module), cmd_name)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("tap_jetti"):
                raise
            click.echo(
                f"`jetti {cmd_name}` needs {error.name}. Install it with: pip install 'tap-jetti[{extra}]'",
                err=True,
            )
            sys.exit(1)
        return command if isinstance(command, click.Command) else None

    @override
    def main(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().main(*arguments, **options)
        except Exception as error:  # noqa: BLE001 - the last resort: nothing ends in a traceback
            _report(error)
            sys.exit(error.exit_code if isinstance(error, JettiError) else 1)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUBCOMMANDS[name][1]) for name in sorted(SUBCOMMANDS)])


def _report(error: Exception) -> None:
    """Write what ended a subcommand, in one line without secrets."""
    from tap_jetti.facts.redaction import Redactor, secrets_of_environment  # noqa: PLC0415 - only a failure needs it

    redactor = Redactor(secrets_of_environment(os.environ))
    click.echo(redactor.clean(message_of(error)), err=True)
    if os.environ.get("LOGLEVEL", "").upper() == "DEBUG":
        click.echo(redactor.clean_lines("".join(traceback.format_exception(error))), nl=False, err=True)


def tap() -> NoReturn:
    """Run ``tap-jetti``."""
    _run("tap_jetti.tap.tap")


def target() -> NoReturn:
    """Run ``target-jetti``."""
    _run("tap_jetti.target.target")


def _run(module: str) -> NoReturn:
    # The import takes half a second. Until the plug-in handles signals, one must not end in a traceback.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda received, _frame: os._exit(128 + received))
    try:
        run = import_module(module).main
    except Exception as error:  # noqa: BLE001 - a package that is missing or broken
        _report(error)
        sys.exit(1)
    sys.exit(run())


@click.group(cls=Subcommands)
@click.version_option(package_name="tap-jetti")
def main() -> None:
    """Tools for tap-jetti and target-jetti."""


if __name__ == "__main__":
    main()
