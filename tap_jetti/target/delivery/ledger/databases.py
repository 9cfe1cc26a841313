"""Opens the two SQLite files of an account. A file that cannot be used is put aside, never trusted."""

from __future__ import annotations

import os
import sqlite3
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_state_path

from tap_jetti.client.sqlite_transaction import writing

if TYPE_CHECKING:
    import logging

APPLICATION_ID = 0x6A657474  # "jett"
LOCK_SECONDS = 60.0
"""Longest wait for another process that writes to the same file. Its transactions take milliseconds."""

CACHE_KIB = 8_192
"""Memory for pages of a file: both are open, and a feed of a million variants must fit into 96 MB in all."""


@dataclass(frozen=True)
class Layout:
    """How a file is laid out, and how safe it must be.

    Attributes:
        name: What it is, for messages and for the name of the file.
        version: Changes whenever the tables do, or what they mean.
        tables: The statements that create them, with semicolons between them.
        survives_power_loss: Whether each transaction must be on disk before it counts.
        names_account: Whether its table ``meta`` says whose file it is: what one account has accepted must not count
            as accepted by another one to which the file was copied.
    """

    name: str
    version: int
    tables: str
    survives_power_loss: bool
    names_account: bool = False


class UnusableFileError(Exception):
    """A file is not one of this layout, or is damaged."""


def folder_of(setting: str) -> Path | None:
    """Return the folder that the setting ``ledger`` means; None: nothing is remembered.

    Raises:
        RuntimeError: The user has no home directory.
    """
    if setting == "none":
        return None
    return user_state_path("tap-jetti", appauthor=False) if setting == "auto" else Path(setting).expanduser()


def open_file(path: Path, layout: Layout, account: str, logger: logging.Logger) -> sqlite3.Connection:
    """Open a file, and create it if it is missing. One that is damaged, foreign or of another version is put aside.

    Args:
        path: The file.
        layout: How it must be laid out.
        account: Whose file it must be, if the layout says whose it is.
        logger: For messages.

    Raises:
        OSError: The folder or the file cannot be written.
        sqlite3.Error: The same.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _open(path, layout, account)
    except (UnusableFileError, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        reason = error
    set_aside(path)
    logger.warning(
        "The %s %s cannot be used (%s). It was renamed, and a new one is made: this costs requests and repeated writes,"
        " nothing is lost.",
        layout.name,
        path,
        reason,
    )
    return _open(path, layout, account)


def open_temporary(layout: Layout) -> sqlite3.Connection:
    """Open a file that disappears with the process."""
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    for statement in layout.tables.split(";"):
        connection.execute(statement)
    return connection


def set_aside(path: Path) -> None:
    """Rename a file that cannot be used; of several only the last one is kept."""
    for suffix in ("-wal", "-shm"):
        with suppress(OSError):
            path.with_name(path.name + suffix).unlink()
    with suppress(OSError):
        path.replace(path.with_name(path.name + ".unusable"))


def close_with(owner: object, connection: sqlite3.Connection) -> None:
    """Close a connection when its owner is collected, if nobody did before."""
    weakref.finalize(owner, connection.close)


def _open(path: Path, layout: Layout, account: str) -> sqlite3.Connection:
    # SQLite would create a file that all can read. Its log gets the mode of the file.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA journal_mode = WAL").close()
        connection.execute(f"PRAGMA synchronous = {'FULL' if layout.survives_power_loss else 'NORMAL'}")
        with writing(connection):
            _check(connection, layout)
            if layout.names_account:
                _check_account(connection, account)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, layout: Layout) -> None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not tables and not version:
        for statement in layout.tables.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {layout.version}")
        return
    if application != APPLICATION_ID:
        raise UnusableFileError("it belongs to another program")
    if version != layout.version:
        raise UnusableFileError(f"it has version {version}, expected {layout.version}")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise UnusableFileError("it is damaged")


def _check_account(connection: sqlite3.Connection, account: str) -> None:
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('account', ?)", (account,))
    (found,) = connection.execute("SELECT value FROM meta WHERE name = 'account'").fetchone()
    if found != account:
        raise UnusableFileError("it belongs to another account")
