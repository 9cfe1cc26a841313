"""The store of the inventory: the rows of one feed file, in a SQLite file that only its owner can read."""

from __future__ import annotations

import os
import sqlite3
import weakref
from contextlib import contextmanager
from enum import Enum, auto
from typing import TYPE_CHECKING

from tap_jetti.errors import DamagedStoreError, StoreError
from tap_jetti.facts.json_codec import decode_json, encode_json

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from tap_jetti.target.delivery.operations import Record

CACHE_KIB = 16_384
"""The largest amount of memory for the rows; the rest of them is on disk."""

LOCK_SECONDS = 2.0
"""Seconds to wait for another run that has the same store open."""

APPLICATION_ID = 0x4A464944
SCHEMA_VERSION = 1

_TABLES = (
    # `run`: the number of the last run that wrote the row or found it as it is.
    "CREATE TABLE rows (external_id TEXT PRIMARY KEY, body BLOB NOT NULL, run INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE columns (name TEXT PRIMARY KEY) WITHOUT ROWID",
    # The file at feed_path is one of these: the one before a run that was killed, or the one that it was to write.
    "CREATE TABLE files (digest TEXT PRIMARY KEY, rows INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE runs (last INTEGER NOT NULL)",
    "INSERT INTO runs VALUES (0)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


_DAMAGED = (
    "The store of the feed file {} is damaged: {}. Run once with feed_mode replace and the whole inventory as input."
)


class Change(Enum):
    """What a record changed."""

    ADDED = auto()
    CHANGED = auto()
    UNCHANGED = auto()
    MERGED = auto()
    """The row was written in this run before."""


class InventoryStore:
    """The rows by external id. One transaction holds all changes of a run, so a run that ends early leaves no trace.

    The file stays locked until it is closed: two runs never write one feed file at once.

    Args:
        path: The SQLite file; it is created. None keeps the rows in a temporary file.

    Raises:
        DamagedStoreError: It is no store of this version.
        StoreError: It cannot be opened, or another run has it open.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.columns: set[str] = set()
        """The fields that the rows have or had."""
        self._keeps_rows = False
        with self._translated():
            if path is not None:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            # Any thread may be the one that collects it, if nobody closes it.
            self._db = sqlite3.connect(path or "", isolation_level=None, timeout=LOCK_SECONDS, check_same_thread=False)
            weakref.finalize(self, self._db.close)
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise

    def begin(self, *, keep_rows: bool) -> None:
        """Begin a run.

        Args:
            keep_rows: Whether rows that the run does not mention stay, and fields that its records do not have.
        """
        self._keeps_rows = keep_rows
        if keep_rows:
            self.columns = {name for (name,) in self._db.execute("SELECT name FROM columns")}

    def rows_of_file(self, digest: str) -> int | None:
        """The number of rows of the file with this digest; None if this store did not write it."""
        found = self._db.execute("SELECT rows FROM files WHERE digest = ?", (digest,)).fetchone()
        return None if found is None else int(found[0])

    @property
    def rows_of_last_file(self) -> int:
        """The number of rows of the file last written; 0 if there is none."""
        return int(self._db.execute("SELECT ifnull(max(rows), 0) FROM files").fetchone()[0])

    def put(self, external_id: str, fields: Record) -> Change:
        """Add a row, or set fields of the one that is there.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._translated():
            found = self._db.execute("SELECT body, run FROM rows WHERE external_id = ?", (external_id,)).fetchone()
            before, run = found or (b"", None)
            if run == self._run or (self._keeps_rows and found):
                fields = {**decode_json(before), **fields}
            self.columns.update(fields)
            body = encode_json(dict(sorted(fields.items())))
            self._db.execute("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", (external_id, body, self._run))
        if run == self._run:
            return Change.MERGED
        if found is None:
            return Change.ADDED
        return Change.UNCHANGED if body == before else Change.CHANGED

    def remove(self, external_id: str) -> bool:
        """Remove a row; returns False if there is none.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._translated():
            return self._db.execute("DELETE FROM rows WHERE external_id = ?", (external_id,)).rowcount > 0

    def drop_unmentioned(self) -> int:
        """Remove the rows that the run did not mention, unless they are to stay; returns their number."""
        if self._keeps_rows:
            return 0
        with self._translated():
            return self._db.execute("DELETE FROM rows WHERE run != ?", (self._run,)).rowcount

    def count(self) -> int:
        """The number of rows."""
        with self._translated():
            return int(self._db.execute("SELECT count(*) FROM rows").fetchone()[0])

    def rows(self) -> Generator[Record]:
        """The rows in the order of their external ids."""
        for (body,) in self._db.execute("SELECT body FROM rows ORDER BY external_id"):
            yield decode_json(body)

    def announce(self, digest: str, rows: int, *, before: str | None) -> None:
        """Commit the rows, before a file with this digest takes the place of the one before.

        Args:
            digest: The digest of the new file.
            rows: The number of its rows.
            before: The digest of the file that is there now; None if there is none.
        """
        with self._translated():
            self._db.execute("DELETE FROM files WHERE digest IS NOT ?", (before,))
            self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?)", (digest, rows))
            self._db.execute("DELETE FROM columns")
            self._db.executemany("INSERT INTO columns VALUES (?)", [(name,) for name in self.columns])
            self._db.execute("UPDATE runs SET last = ?", (self._run,))
            self._db.execute("COMMIT")

    def settle(self, digest: str) -> None:
        """Note that the file with this digest is in its place."""
        with self._translated():
            self._db.execute("DELETE FROM files WHERE digest != ?", (digest,))

    def close(self) -> None:
        """Close the file. What was not committed is undone."""
        self._db.close()

    def _open(self) -> None:
        execute = self._db.execute
        execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA locking_mode = EXCLUSIVE")  # the lock outlives the transaction
        execute("BEGIN EXCLUSIVE")
        if not execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _TABLES:
                execute(statement)
        found = [execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version", "quick_check")]
        if found != [APPLICATION_ID, SCHEMA_VERSION, "ok"]:
            raise DamagedStoreError(_DAMAGED.format(self.path, "it is incomplete, or of another version"))
        self._run = int(execute("SELECT last FROM runs").fetchone()[0]) + 1

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StoreError(
                    f"Another run is writing the same feed file: {self.path} is locked. Run again when it has ended."
                ) from error
            raise StoreError(f"The store of the feed file {self.path} cannot be used: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise DamagedStoreError(_DAMAGED.format(self.path, error)) from error
        except OSError as error:
            raise StoreError(
                f"The store of the feed file {self.path} cannot be opened: {error.strerror}."
                " Set XDG_STATE_HOME to a folder that can be written."
            ) from error
