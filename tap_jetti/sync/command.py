"""The command ``jetti sync``: from an account into a warehouse, with one process to start and to stop."""

from __future__ import annotations

import io
import json
import logging
import os
import shlex
import signal
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from tap_jetti.errors import Interrupted, JettiError, OutputError, SettingsError
from tap_jetti.facts.redaction import Redactor, secrets_in, secrets_of_environment
from tap_jetti.process.command import exit_code_of
from tap_jetti.process.logs import CommandFilter, configure_logs, redact_logs, report
from tap_jetti.sync.children import own_python
from tap_jetti.sync.outcome import failure_summary
from tap_jetti.sync.runner import LOGGER, LoaderCommand, Runner
from tap_jetti.sync.states.urls import duckdb_path, open_state
from tap_jetti.sync.tap_run import ENVIRONMENT, TapRun
from tap_jetti.tap.progress.terminal_line import can_show_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_jetti.sync.states.store import StateStore

_LOG_FORMAT = "%(asctime)s | %(levelname)-8s | %(name)s | %(message)s"


@click.command()
@click.option(
    "--config",
    "configs",
    multiple=True,
    default=[ENVIRONMENT],
    help="Settings of the tap: a JSON file, or ENV for variables TAP_JETTI_*; may be repeated.  [default: ENV]",
)
@click.option("--select", help="What to read: streams and fields, separated by commas: sales,purchases.*")
@click.option("--to", "to", help="Load into a DuckDB file: duckdb:///relative or duckdb:////absolute.")
@click.option("--loader", help="Load with a Singer target: 'target-postgres --config loader.json'.")
@click.option(
    "--state",
    "state_url",
    help="Where the state is kept: a path, redis://…, postgresql://…, s3://… or another URL of fsspec."
    " Required with --loader; with --to it is kept in the DuckDB file.",
)
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="Write a summary in JSON here.")
@click.option(
    "--loader-timeout",
    default=1800.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds after which a loader that does not read on is ended.",
)
def sync(  # noqa: PLR0917 - click passes them by name
    configs: tuple[str, ...],
    select: str | None,
    to: str | None,
    loader: str | None,
    state_url: str | None,
    summary: Path | None,
    loader_timeout: float,
) -> None:
    """Read what changed in Jetti since the last run, and load it.

    The exit code says what a retry can do: 0 done, 75 may help, 77 permission, 78 correct settings or state first.
    """
    if (to is None) == (loader is None):
        raise click.UsageError("Name either a DuckDB file with --to, or a loader with --loader.")
    if loader is not None and not state_url:
        raise click.UsageError("With --loader, --state is required: a loader does not keep it.")
    _open_standard_streams()
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT)
    given = {"to": to, "state": state_url, "loader": loader}
    redactor = Redactor([*secrets_of_environment(os.environ), *secrets_in(given)])
    redact_logs(redactor)
    written: dict[str, Any] = {}
    try:
        if summary is not None:
            _prepare_summary(summary)
        with tempfile.TemporaryDirectory(prefix="jetti-sync-", ignore_cleanup_errors=True) as folder:
            tap = TapRun(configs, select=_listed(select), folder=Path(folder))
            configure_logs(LOGGER, tap.redactor)
            written = _sync(tap, to, loader, state_url, loader_timeout)
    except (JettiError, Interrupted) as error:
        cause = redactor.clean(str(error))
        if isinstance(error, Interrupted):
            cause = f"Stopped by {signal.Signals(error.signum or signal.SIGTERM).name}."
        written = failure_summary(exit_code_of(error), cause)
        LOGGER.error("%s", cause)
    except OSError as error:  # temporary files: a full disk
        written = failure_summary(75, f"Cannot write temporary files: {error.strerror}.")
        LOGGER.error("%s", written["cause"])
    except Exception as error:  # noqa: BLE001 - a bug has an exit code and a summary, too
        report(LOGGER, error)
        written = failure_summary(1, f"Unexpected error: {type(error).__name__}.")
    if summary is not None and summary.parent.is_dir():
        try:
            _write_summary(summary, written)
        except OutputError as error:
            LOGGER.error("%s", error)
            written["exit_code"] = written["exit_code"] or error.exit_code
    sys.exit(written["exit_code"])


def _sync(tap: TapRun, to: str | None, loader: str | None, state_url: str | None, timeout: float) -> dict[str, Any]:
    """Run the sync. Returns its summary."""
    command = _loader_command(tap, to, loader, keeps_state=not state_url, timeout=timeout)
    store = open_state(state_url or to or "")
    with ExitStack() as stack:
        log, reports = None, None
        if tap.is_progress_shown and can_show_line(sys.stderr):
            from tap_jetti.sync.screen import Screen  # noqa: PLC0415 - only a terminal needs it

            log = stack.enter_context(_log_file(store, tap.redactor))
            screen = stack.enter_context(Screen(log.name))
            reports = screen.pipe
        ending = Runner(tap, command, store, log=log, reports=reports).run()
    summary = ending.summary()
    for text in ending.all_causes():
        LOGGER.error("%s", text)
    LOGGER.info(
        "outcome=%s exit_code=%d rows=%d state=%s",
        summary["outcome"],
        summary["exit_code"],
        sum(ending.rows.values()),
        store.place,
    )
    return summary


def _loader_command(
    tap: TapRun, to: str | None, loader: str | None, *, keeps_state: bool, timeout: float
) -> LoaderCommand:
    if to is None:
        try:
            command = shlex.split(loader or "")
        except ValueError as error:
            raise SettingsError(f"The command of --loader is invalid: {error}.") from error
        if not command:
            raise SettingsError("The command of --loader is empty.")
        return LoaderCommand(command, timeout=timeout)
    file = duckdb_path(to)
    arguments = ["--path", str(file), "--expects-end"]
    if keeps_state:
        arguments += ["--keep-state", "--account", tap.owner]
    try:
        import duckdb  # noqa: F401, PLC0415 - an extra; the loader is another process
    except ModuleNotFoundError as error:
        raise SettingsError(
            "--to needs the package duckdb. Install it with: pip install 'tap-jetti[duckdb]'"
        ) from error
    return LoaderCommand(
        own_python("tap_jetti.sync.warehouse.loader", *arguments),
        keeps_state=keeps_state,
        file=file,
        timeout=timeout,
    )


@contextmanager
def _log_file(store: StateStore, redactor: Redactor) -> Iterator[IO[bytes]]:
    """The file for all messages while a terminal shows the screen. It lies beside the state."""
    path = store.local_lock.path.with_suffix(".log")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise SettingsError(f"Cannot write the log {path}: {error.strerror}.") from error
    root = logging.getLogger()
    on_terminal = root.handlers[:]
    with io.TextIOWrapper(file, encoding="utf-8", write_through=True) as text:
        handler = logging.StreamHandler(text)
        handler.setFormatter(logging.Formatter(_LOG_FORMAT))
        handler.addFilter(CommandFilter(redactor))
        root.handlers[:] = [handler]
        try:
            yield file
        finally:
            root.handlers[:] = on_terminal


def _listed(select: str | None) -> list[str] | None:
    return None if select is None else [part.strip() for part in select.split(",") if part.strip()]


def _prepare_summary(path: Path) -> None:
    """Remove the summary of an earlier run: a run that is killed must not be mistaken for that one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"Cannot write the summary {path}: {error.strerror}.") from error


def _write_summary(path: Path, summary: dict[str, Any]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"Cannot write the summary {path}: {error.strerror}.") from error


def _open_standard_streams() -> None:
    """Give descriptors 0 to 2 a meaning if they were closed: pipes would get their numbers, and messages go there."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
    if sys.stderr is None:  # as it is if it was closed when Python started
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the whole process
