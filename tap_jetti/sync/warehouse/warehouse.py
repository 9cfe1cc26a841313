"""The DuckDB file: its connection, its transaction, and the state that is kept in it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import duckdb

from tap_jetti.errors import SettingsError, StoreError
from tap_jetti.facts.json_codec import encode_json

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

_HOLDER = re.compile(r"\(PID (\d+)\)")
_SCHEMA = "tap_jetti"


class Warehouse:
    """An open DuckDB file. Nothing that is written is seen by others before `commit`.

    Args:
        path: The file. It is created if it does not exist.
        read_only: Whether it is only looked at.

    Raises:
        SettingsError: It is not a DuckDB file, is one of a newer version, or may not be opened.
        StoreError: Another process has opened it.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        try:
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
            self.database = duckdb.connect(str(path), read_only=read_only)
            if not read_only:
                self.database.execute("BEGIN")
        except OSError as error:
            raise SettingsError(f"Cannot create the folder of {path}: {error.strerror}.") from error
        except duckdb.IOException as error:
            raise opening_error(path, error) from error
        except duckdb.Error as error:
            raise SettingsError(f"Cannot open {path}: {first_line(error)}") from error

    def __enter__(self) -> Self:
        """Use it until the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file. What was not committed is gone."""
        self.database.close()

    def read_state(self) -> dict[str, Any] | None:
        """The state of what was committed last, or None if there is none."""
        found = self.database.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE schema_name = ? AND table_name = 'state'"
            " AND database_name = current_database()",
            [_SCHEMA],
        ).fetchone()
        if found == (0,):
            return None
        row = self.database.execute(f"SELECT state FROM {_SCHEMA}.state").fetchone()  # noqa: S608 - a constant
        state: dict[str, Any] | None = json.loads(row[0]) if row else None
        return state

    def write_state(self, state: dict[str, Any]) -> None:
        """Put the state into the transaction, so that it is committed together with its rows."""
        self.database.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
        self.database.execute(
            f"CREATE TABLE IF NOT EXISTS {_SCHEMA}.state (state JSON NOT NULL, written_at TIMESTAMPTZ NOT NULL)"
        )
        self.database.execute(f"DELETE FROM {_SCHEMA}.state")  # noqa: S608 - a constant
        self.database.execute(f"INSERT INTO {_SCHEMA}.state VALUES (?, now())", [encode_json(state).decode()])  # noqa: S608

    def commit(self) -> None:
        """End the transaction and begin the next one."""
        self.database.execute("COMMIT")
        self.database.execute("BEGIN")

    def roll_back(self) -> None:
        """Undo what was not committed and begin the next transaction."""
        self.database.execute("ROLLBACK")
        self.database.execute("BEGIN")


def opening_error(path: Path, error: Exception) -> SettingsError | StoreError:
    """Why a file cannot be opened."""
    text = first_line(error)
    if "lock" in text.lower():
        holder = _HOLDER.search(text)
        who = f"the process {holder[1]}" if holder else "another process"
        return StoreError(f"{path} is open in {who}. Close it there, then run again.")
    return SettingsError(f"Cannot open {path}: {text}")


def first_line(error: Exception) -> str:
    """The first line of an error of DuckDB, without its kind."""
    return str(error).strip().partition("\n")[0].partition(" Error: ")[2] or str(error).partition("\n")[0]
