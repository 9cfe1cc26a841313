"""The loader as a command: ``python -m tap_jetti.sync.warehouse --path jetti.duckdb``, with Singer on standard input.

Rows and the STATE behind them are committed in one transaction, then the STATE goes to standard output. A transaction
takes at least `COMMIT_SECONDS` or `COMMIT_ROWS`, so that many small STATE messages cost nothing. The rows of an id
snapshot are committed together: half a snapshot would make the other half look deleted.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
import duckdb

from tap_jetti.errors import EXIT_RETRY, InputError, JettiError, OutputError, SettingsError
from tap_jetti.facts.json_codec import encode_json
from tap_jetti.facts.redaction import Redactor
from tap_jetti.process.command import read_object
from tap_jetti.process.logs import configure_logs
from tap_jetti.sync.warehouse.end import END
from tap_jetti.sync.warehouse.table import Table
from tap_jetti.sync.warehouse.warehouse import Warehouse, first_line
from tap_jetti.tap.snapshot_stream import SNAPSHOT_SUFFIX
from tap_jetti.target.singer_input import SingerInput

if TYPE_CHECKING:
    from collections.abc import Callable

COMMIT_SECONDS = 3.0
"""Seconds between two commits, if there are STATE messages."""

COMMIT_ROWS = 20_000
"""Rows after which the next STATE is committed in any case."""

FLUSH_BYTES = 8 * 1024 * 1024
"""Rows that take more than this are written into the transaction."""

_NO_ROOM = "Could not write"
"""What an error of DuckDB says if a disk is full, of whatever class it is."""

_LOGGER = logging.getLogger("jetti.duckdb")
_SNAPSHOT_TIMES = {"snapshotAt", "snapshot_at"}


class Loader:
    """Loads messages into a DuckDB file.

    Args:
        warehouse: The file.
        write_state: Receives each STATE whose rows are committed.
        keep_state: Whether the state is kept in the file.
        account: What tells whose state that is.
        expects_end: Whether a message of type END follows the last one, unless the input is cut off.
        clock: A clock that never goes back, in seconds.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        write_state: Callable[[dict[str, Any]], None],
        *,
        keep_state: bool = False,
        account: str | None = None,
        expects_end: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._warehouse = warehouse
        self._write_state = write_state
        self._keep_state = keep_state
        self._owner = {"account": account} if account else {}
        self._complete: set[str] | None = set() if expects_end else None
        self._clock = clock
        self._tables: dict[str, Table] = {}
        self._state: dict[str, Any] | None = None
        self._input = SingerInput()
        self._rows = 0
        self._committed_at = clock()
        self._snapshot: str | None = None

    def run(self, lines: Any = None) -> None:  # noqa: ANN401 - whatever has lines
        """Load all messages.

        Args:
            lines: Lines of bytes; None for standard input.

        Raises:
            InputError: A message is not valid Singer, or a record does not fit its SCHEMA.
        """
        self._input.process_lines(
            lines,
            {
                "SCHEMA": self._on_schema,
                "RECORD": self._on_record,
                "STATE": self._on_state,
                "ACTIVATE_VERSION": self._on_version,
                "BATCH": self._on_batch,
                END: self._on_end,
            },
        )
        if self._snapshot is not None and self._complete is not None and self._snapshot not in self._complete:
            _LOGGER.warning("%s was cut off: none of it is loaded.", self._snapshot)
            self._warehouse.roll_back()
            return
        self._commit()

    def _on_schema(self, message: dict[str, Any]) -> None:
        name, schema = message.get("stream"), message.get("schema")
        if not isinstance(name, str) or not isinstance(schema, dict):
            raise InputError(f"Line {self._input.line} is a SCHEMA without a stream or a schema.")
        self._follow(name)
        if name in self._tables:
            self._tables[name].flush()
        keys = message.get("key_properties") or []
        table = Table(self._warehouse.database, name, schema=schema, keys=keys, logger=_LOGGER)
        table.prepare()
        self._tables[name] = table
        if name.endswith(SNAPSHOT_SUFFIX) and _SNAPSHOT_TIMES & set(schema.get("properties", {})):
            self._begin_snapshot(name)

    def _on_record(self, message: dict[str, Any]) -> None:
        table, record = self._table(message), message.get("record")
        if not isinstance(record, dict):
            raise InputError(f"Line {self._input.line} is a RECORD of stream {table.name} without a record.")
        self._follow(table.name)
        table.add(record, size=self._input.size, version=message.get("version"))
        self._rows += 1
        if table.size >= FLUSH_BYTES or len(table) >= COMMIT_ROWS:
            table.flush()

    def _on_version(self, message: dict[str, Any]) -> None:
        table, version = self._table(message), message.get("version")
        if not isinstance(version, int):
            raise InputError(
                f"Line {self._input.line} is an ACTIVATE_VERSION of stream {table.name} without a version."
            )
        table.activate(version)

    def _on_state(self, message: dict[str, Any]) -> None:
        state = message.get("value")
        if not isinstance(state, dict):
            raise InputError(f"Line {self._input.line} is a STATE whose value is not an object.")
        self._state = state
        is_due = self._rows >= COMMIT_ROWS or self._clock() - self._committed_at >= COMMIT_SECONDS
        if is_due and self._snapshot is None:  # a snapshot is committed at its end
            self._commit()

    def _on_batch(self, message: dict[str, Any]) -> None:
        raise InputError(
            f"Stream {message.get('stream')} comes in files (BATCH), which this loader does not read."
            " Remove batch_config from the settings of the tap."
        )

    def _on_end(self, message: dict[str, Any]) -> None:
        if self._complete is not None:
            self._complete.update(message.get("complete", ()))

    def _table(self, message: dict[str, Any]) -> Table:
        name = message.get("stream")
        if name not in self._tables:
            raise InputError(f"Line {self._input.line} is for stream {name} and came before its SCHEMA.")
        return self._tables[name]

    def _begin_snapshot(self, name: str) -> None:
        if self._snapshot is None:
            self._commit()
        self._snapshot = name

    def _follow(self, name: str) -> None:
        """Commit a snapshot as soon as a message of another stream shows that it is whole."""
        if self._snapshot is not None and name != self._snapshot:
            self._commit()
            self._snapshot = None

    def _commit(self) -> None:
        for table in self._tables.values():
            table.flush()
        state, self._state = self._state, None
        if state is not None and self._keep_state:
            self._warehouse.write_state({**state, **self._owner})
        self._warehouse.commit()
        self._rows, self._committed_at = 0, self._clock()
        if state is not None:
            self._write_state(state)


def _write_line(value: object) -> None:
    try:
        sys.stdout.buffer.write(encode_json(value) + b"\n")
        sys.stdout.buffer.flush()
    except OSError as error:
        raise OutputError(f"Cannot write the state to standard output: {error.strerror}.") from error


@click.command()
@click.option("--config", type=click.File(encoding="utf-8"), help='A file with {"path": "…"}, instead of --path.')
@click.option("--path", type=click.Path(dir_okay=False, path_type=Path), help="The DuckDB file.")
@click.option("--keep-state", is_flag=True, help="Keep the state in the file. It is the first line of the output.")
@click.option("--account", help="What tells whose state that is.")
@click.option("--expects-end", is_flag=True, help="Take an input without an END message for one that is cut off.")
def main(
    config: IO[str] | None, path: Path | None, *, keep_state: bool, account: str | None, expects_end: bool
) -> None:
    """Load Singer messages from standard input into a DuckDB file."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s | %(levelname)-8s | %(name)s | %(message)s")
    try:
        configure_logs(_LOGGER, Redactor())
        _load(_path(config, path), keep_state=keep_state, account=account, expects_end=expects_end)
    except JettiError as error:
        _LOGGER.error("%s", error)  # noqa: TRY400 - no traceback
        if isinstance(
            error, OutputError
        ):  # the interpreter flushes standard output when it ends, which would fail again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = error.exit_code
    except duckdb.Error as error:
        # Full disk and out of memory: the same rows may fit later. Nothing but whole transactions is in the file.
        is_passing = isinstance(error, (duckdb.IOException, duckdb.OutOfMemoryException)) or _NO_ROOM in str(error)
        _LOGGER.error("DuckDB failed: %s", first_line(error))  # noqa: TRY400 - no traceback
        code = EXIT_RETRY if is_passing else 1
    except OSError as error:
        place = tempfile.gettempdir()
        _LOGGER.error("Cannot write rows to a temporary file in %s: %s.", place, error.strerror)  # noqa: TRY400
        code = EXIT_RETRY
    else:
        code = 0
    sys.exit(code)


def _path(config: IO[str] | None, path: Path | None) -> Path:
    given = str(path) if path else read_object(config, "config").get("path") if config else None
    if not isinstance(given, str) or not given:
        raise SettingsError("The loader needs the path of a DuckDB file: --path, or path in the file of --config.")
    return Path(given)


def _load(path: Path, *, keep_state: bool, **more: Any) -> None:  # noqa: ANN401 - see `Loader`
    with Warehouse(path) as warehouse:
        if keep_state:
            _write_line(warehouse.read_state())
        Loader(warehouse, _write_line, keep_state=keep_state, **more).run()
