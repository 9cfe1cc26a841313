"""The lock of a state on this machine: a file that the process, and the loader that it starts, hold open."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import tempfile
import time
from pathlib import Path

from platformdirs import user_state_path

from tap_jetti.errors import StoreError

HOST = socket.gethostname()
"""The name of this machine, by which the owner of a lock is told."""

SUFFIX = ".lock"
"""What the name of a lock ends with."""

ORPHAN_SECONDS = 60.0
"""How long to wait for the loader of a sync that was killed: it stores what it has, then it ends."""

_POLL_SECONDS = 0.1


class BusyError(StoreError):
    """Another process uses the state."""

    def __init__(self, place: str, owner: str = "") -> None:
        who = f" ({owner})" if owner else ""
        super().__init__(f"Another sync uses the state at {place}{who}. Run again when it has ended.")


class LocalLock:
    """A lock that ends with the processes that hold it, however they end.

    The loader inherits it. So if a sync is killed, the next one begins only after the loader has ended, and cannot be
    overtaken by rows that are older than its own.

    Args:
        path: The file of the lock. It stays: to remove it would let two processes lock two files of one name.
        place: The state that is locked, for messages.
    """

    def __init__(self, path: Path, place: str) -> None:
        self.path = path
        self._place = place
        self._file: int | None = None

    @property
    def descriptor(self) -> int:
        """The open file, for the loader to inherit."""
        assert self._file is not None  # noqa: S101 - it is locked
        return self._file

    def acquire(self) -> None:
        """Lock it.

        Raises:
            BusyError: Another sync holds it.
            StoreError: The file cannot be opened.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"Cannot open {self.path}, the lock of the state: {error.strerror}.") from error
        give_up = time.monotonic() + ORPHAN_SECONDS
        while not self._try():
            owner = self._owner()
            if owner is None or time.monotonic() > give_up:
                busy = BusyError(self._place, owner or self._described())
                self.release()
                raise busy
            time.sleep(_POLL_SECONDS)
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps({"host": HOST, "pid": os.getpid()}).encode(), 0)

    def release(self) -> None:
        """Give it up. It stays locked while a loader that inherited it runs."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _try(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise StoreError(f"Cannot lock {self.path}: {error.strerror}.") from error
        return True

    def _content(self) -> dict[str, object]:
        try:
            found = json.loads(os.pread(self.descriptor, 4096, 0))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _owner(self) -> str | None:
        """The loader whose sync has gone, or None if that sync lives or is on another machine."""
        pid = self._content().get("pid")
        if self._content().get("host") != HOST or not isinstance(pid, int):
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return f"the loader of process {pid}, which was killed"
        except PermissionError:
            return None
        return None

    def _described(self) -> str:
        content = self._content()
        return f"process {content['pid']} on {content['host']}" if content.keys() >= {"pid", "host"} else ""


def beside(path: Path, place: str) -> LocalLock:
    """The lock of a state that is a file."""
    return LocalLock(path.with_name(path.name + SUFFIX), place)


def of_machine(place: str) -> LocalLock:
    """The lock of a state elsewhere: in the user's state directory, or where there is none, among temporary files."""
    try:
        folder = user_state_path("tap-jetti", appauthor=False) / "locks"
    except RuntimeError:  # as for a user of a container who is in no passwd file
        folder = Path(tempfile.gettempdir()) / f"tap-jetti-{os.getuid()}"
    return LocalLock(folder / (hashlib.sha256(place.encode()).hexdigest()[:32] + SUFFIX), place)
