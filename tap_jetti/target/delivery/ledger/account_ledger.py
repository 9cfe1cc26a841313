"""The files that this machine keeps for an account, opened as the setting ``ledger`` says."""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_jetti.target.delivery.ledger import mirror, sent_write
from tap_jetti.target.delivery.ledger.databases import folder_of, open_file, open_temporary
from tap_jetti.target.delivery.ledger.locks import FileLock
from tap_jetti.target.delivery.ledger.sent_writes import SentWrites

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tap_jetti.target.delivery.ledger.databases import Layout
    from tap_jetti.target.delivery.ledger.mirror import Mirror


@dataclass(frozen=True)
class AccountFiles:
    """Where the files of an account are.

    Attributes:
        folder: The folder.
        account: What the files are named by.
    """

    folder: Path
    account: str

    @property
    def mirror(self) -> Path:
        """The file of the mirror."""
        return self.folder / f"mirror-{self.account}.db"

    @property
    def ledger(self) -> Path:
        """The file of the ledger."""
        return self.folder / f"ledger-{self.account}.db"

    @property
    def mirror_lock(self) -> Path:
        """The file that is locked while the mirror is refreshed."""
        return self.folder / f"mirror-{self.account}.lock"

    def owner(self, name: str) -> Path:
        """The file that a process keeps locked while it lives."""
        return self.folder / f"owner-{self.account}-{name}.lock"


class AccountLedger:
    """The mirror and the ledger of an account. What cannot be opened is replaced by a file of this run alone.

    Args:
        setting: The setting ``ledger``: ``auto``, a folder or ``none``.
        account: What the files of the account are named by.
        now: The server's clock in milliseconds.
        logger: For messages.
        is_read_only: Whether what is sent is only pretended, as in a dry run: it is forgotten with the process.

    Attributes:
        files: Where the files are; None: nothing outlives the run.
        now: The server's clock in milliseconds.
    """

    def __init__(
        self,
        setting: str,
        account: str,
        *,
        now: Callable[[], int],
        logger: logging.Logger,
        is_read_only: bool = False,
    ) -> None:
        self.files: AccountFiles | None = None
        self.now = now
        self._logger = logger
        self._is_read_only = is_read_only
        self._owner: str | None = None
        self._owner_lock: FileLock | None = None
        self._sent: SentWrites | None = None
        self._lock = threading.RLock()
        try:
            folder = folder_of(setting)
        except RuntimeError:
            folder = None
            logger.warning(
                "There is no home directory for the ledger, so nothing is remembered from run to run. Set"
                " XDG_STATE_HOME, or set ledger to a folder, or to none."
            )
        if folder is not None:
            self.files = AccountFiles(folder, account)

    @property
    def sent(self) -> SentWrites:
        """What was sent. The file is opened when it is needed first."""
        with self._lock:
            if self._sent is None:
                connection = self._open(self.files.ledger, sent_write.LAYOUT) if self.files is not None else None
                is_kept = connection is not None and not self._is_read_only
                if connection is None:
                    connection = open_temporary(sent_write.LAYOUT)
                elif self._is_read_only:
                    connection = _copy(connection)
                self._sent = SentWrites(connection, self.now, self._logger)
                self._sent.is_kept = is_kept
            return self._sent

    def open_mirror(self, fields: Sequence[str]) -> tuple[Mirror, FileLock | None]:
        """Open the mirror.

        Args:
            fields: The fields that it keeps.

        Returns:
            The mirror, and the lock of its refreshes; None if it is of this run alone.
        """
        if self.files is not None:
            connection = self._open(self.files.mirror, mirror.LAYOUT)
            if connection is not None:
                return mirror.Mirror(connection, fields), FileLock(self.files.mirror_lock)
        return self.open_temporary_mirror(fields), None

    def open_temporary_mirror(self, fields: Sequence[str]) -> Mirror:
        """Open a mirror that disappears with the process."""
        return mirror.Mirror(open_temporary(mirror.LAYOUT), fields)

    def owner(self) -> str:
        """Return a name of this process, whose lock it keeps while it lives."""
        with self._lock:
            if self._owner is None:
                self._owner = f"{os.getpid()}-{uuid.uuid4().hex}"
                if self.files is not None and self.sent.is_kept:
                    self._owner_lock = FileLock(self.files.owner(self._owner))
                    self._owner_lock.acquire()
            return self._owner

    def close(self) -> None:
        """Write what was noted, and close the files."""
        try:
            if self._sent is not None:
                self._sent.close()
        except sqlite3.Error as error:
            self._logger.warning("The ledger could not be written: %s. Some records may be sent again.", error)
        if self._owner_lock is not None:
            self._owner_lock.release(delete=True)

    def _open(self, path: Path, layout: Layout) -> sqlite3.Connection | None:
        account = self.files.account if self.files is not None else ""
        try:
            return open_file(path, layout, account, self._logger)
        except (OSError, sqlite3.Error) as error:
            self._logger.warning(
                "The %s %s cannot be used: %s. This run goes on without it, which costs requests and repeated writes."
                " Set ledger to a folder that can be written, or to none.",
                layout.name,
                path,
                error,
            )
            return None


def _copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a temporary copy of a file, and close the file."""
    copy = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.backup(copy)
    connection.close()
    return copy
