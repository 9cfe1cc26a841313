"""A state in a file of this machine."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import SettingsError, StoreError
from tap_jetti.sync.states.local_lock import beside

if TYPE_CHECKING:
    from pathlib import Path

    State = dict[str, Any]


class FileStore:
    """Replaces the file in one step: whoever reads it sees the old state or the new one.

    Args:
        path: The file. A link stays, and what it leads to is replaced.

    Raises:
        SettingsError: It is a folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.place = str(path)
        self.local_lock = beside(self.path, self.place)
        if self.path.is_dir():
            raise SettingsError(f"The state {path} is a folder. Name a file in it.")

    def lock(self) -> None:
        """Do nothing: the lock on this machine is beside the file, and reaches as far as the file does."""

    def read(self) -> State | None:
        """The state, or None if the file does not exist or is empty."""
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeError) as error:
            raise StoreError(f"Cannot read the state {self.place}: {error}.") from error
        return parse_state(text, self.place)

    def write(self, state: State) -> None:
        """Write beside, flush to the disk, rename."""
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with os.fdopen(
                os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, self._mode()), "w", encoding="utf-8"
            ) as file:
                json.dump(state, file)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            raise StoreError(f"Cannot write the state {self.place}: {error.strerror}.") from error

    def close(self) -> None:
        """Do nothing."""

    def _mode(self) -> int:
        try:
            return self.path.stat().st_mode & 0o777
        except OSError:
            return 0o600


def parse_state(text: str | bytes, place: str) -> State | None:
    """The state in a text; None if that is empty.

    Raises:
        SettingsError: It is not a JSON object.
    """
    if not text.strip():
        return None
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"The state at {place} is not valid JSON: {error}. Correct it, or remove it.") from error
    if not isinstance(state, dict):
        raise SettingsError(f"The state at {place} must be a JSON object, not {type(state).__name__}.")
    return state
