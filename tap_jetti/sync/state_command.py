"""The command ``jetti state``: shows a state and replaces it."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import closing
from typing import IO

import click

from tap_jetti.errors import JettiError, SettingsError
from tap_jetti.facts import resources
from tap_jetti.sync.states.file import parse_state
from tap_jetti.sync.states.store import reserved
from tap_jetti.sync.states.urls import open_state
from tap_jetti.tap.state_input import OWNER, read_state
from tap_jetti.tap.streams import stream_names


@click.group()
def state() -> None:
    """Show or replace the state of `jetti sync`."""


@state.command()
@click.argument("url")
def show(url: str) -> None:
    """Print the state at URL as JSON: as it is given to tap-jetti with --state."""
    with _Errors():
        with closing(open_state(url)) as store:
            found = store.read()
        if found is None:
            raise SettingsError(f"There is no state at {url}.")
        found.pop(OWNER, None)
        click.echo(json.dumps(found, indent=2))


@state.command(name="set")
@click.argument("url")
@click.argument("file", type=click.File(encoding="utf-8-sig"), default="-")
def set_(url: str, file: IO[str]) -> None:
    """Replace the state at URL by the one in FILE, or on standard input.

    The next sync takes it for the state of its own account.
    """
    with _Errors():
        given = parse_state(file.read(), getattr(file, "name", "standard input"))
        if given is None:
            raise SettingsError("The state is empty. An empty object {} lets the next sync read everything again.")
        given.pop(OWNER, None)
        checked = read_state(given, stream_names(list(resources.names())), logging.getLogger("jetti"))
        store = open_state(url)
        with reserved(store):
            store.write(checked)


class _Errors:
    """Ends the command with the message and the exit code of an error."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Report the error."""
        if isinstance(error, JettiError):
            click.echo(str(error), err=True)
            sys.exit(error.exit_code)
