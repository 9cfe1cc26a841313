"""A state in PostgreSQL."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import psycopg

from tap_jetti.errors import SettingsError, StoreError
from tap_jetti.sync.states.local_lock import BusyError, of_machine

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    State = dict[str, Any]
    T = TypeVar("T")

TABLE = "tap_jetti_state"
"""The table, in the first schema of the search path."""

_LOCK_SPACE = zlib.crc32(TABLE.encode()) - 2**31
_CONNECT_SECONDS = 15


class PostgresStore:
    """Keeps the state in a row, under an advisory lock that ends with the connection.

    Args:
        url: The URL of the database.
        name: The name of the state.
        place: The URL without a password.
    """

    def __init__(self, url: str, *, name: str, place: str) -> None:
        self.place = place
        self.local_lock = of_machine(place)
        self._url = url
        self._name = name
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._is_locked = False

    def lock(self) -> None:
        """Take the advisory lock, and create the table if there is none."""
        self._run(self._lock)
        self._is_locked = True

    def read(self) -> State | None:
        """The state, or None if there is none."""
        found = self._run(self._read)
        state: State | None = found[0] if found else None
        if state is not None and not isinstance(state, dict):
            raise SettingsError(f"The state at {self.place} must be a JSON object, not {type(state).__name__}.")
        return state

    def write(self, state: State) -> None:
        """Replace the state. If the connection was lost, the lock is taken again first."""
        text = json.dumps(state)
        self._run(
            lambda database: database.execute(
                f"INSERT INTO {TABLE} (name, state) VALUES (%s, %s::jsonb) ON CONFLICT (name)"  # noqa: S608 - a constant
                " DO UPDATE SET state = excluded.state, written_at = now()",
                [self._name, text],
            )
        )

    def close(self) -> None:
        """Give the lock up."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _lock(self, database: psycopg.Connection[tuple[Any, ...]]) -> None:
        key = zlib.crc32(self._name.encode()) - 2**31
        if database.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK_SPACE, key]).fetchone() != (True,):
            raise BusyError(self.place)
        if not self._has_table(database):
            database.execute(
                f"CREATE TABLE IF NOT EXISTS {TABLE}"
                " (name text PRIMARY KEY, state jsonb NOT NULL, written_at timestamptz NOT NULL DEFAULT now())"
            )

    def _read(self, database: psycopg.Connection[tuple[Any, ...]]) -> tuple[Any, ...] | None:
        if not self._has_table(database):
            return None
        return database.execute(f"SELECT state FROM {TABLE} WHERE name = %s", [self._name]).fetchone()  # noqa: S608

    @staticmethod
    def _has_table(database: psycopg.Connection[tuple[Any, ...]]) -> bool:
        return bool(database.execute("SELECT to_regclass(%s) IS NOT NULL", [TABLE]).fetchone() == (True,))

    def _run(self, call: Callable[[psycopg.Connection[tuple[Any, ...]]], T]) -> T:
        """Make a call; once more, with a new connection, if the old one was lost."""
        for is_last in (False, True):
            try:
                return call(self._open())
            except BusyError:
                self.close()
                raise
            except psycopg.OperationalError as error:
                was_open = self._connection is not None
                self.close()
                if is_last or not was_open:
                    raise StoreError(f"The state at {self.place} cannot be used: {_reason(error)}") from error
            except psycopg.Error as error:
                self.close()
                raise StoreError(f"The state at {self.place} cannot be used: {_reason(error)}") from error
        raise AssertionError

    def _open(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._url, autocommit=True, connect_timeout=_CONNECT_SECONDS, keepalives_idle=60
            )
            if self._is_locked:
                self._lock(self._connection)
        return self._connection


def _reason(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
