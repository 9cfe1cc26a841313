"""A state in a DuckDB file, for `jetti state`. During a sync the loader itself keeps it there, with the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.errors import SettingsError
from tap_jetti.sync.states.local_lock import beside
from tap_jetti.sync.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    from pathlib import Path

    State = dict[str, Any]


class DuckdbStore:
    """The state in a table of the file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self.local_lock = beside(path.resolve(), self.place)
        self._path = path

    def lock(self) -> None:
        """Do nothing: only one process can write to the file."""

    def read(self) -> State | None:
        """The state, or None if there is none."""
        if not self._path.exists():
            return None
        with Warehouse(self._path, read_only=True) as warehouse:
            return warehouse.read_state()

    def write(self, state: State) -> None:
        """Replace the state."""
        if not self._path.exists():
            raise SettingsError(f"{self._path} does not exist.")
        with Warehouse(self._path) as warehouse:
            warehouse.write_state(state)
            warehouse.commit()

    def close(self) -> None:
        """Do nothing."""
