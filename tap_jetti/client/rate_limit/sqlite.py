"""A bucket for the processes of one machine, in a SQLite file."""

from __future__ import annotations

import os
import sqlite3
import weakref
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tap_jetti.client.rate_limit.bucket import Bucket, ProcessLock
from tap_jetti.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.rate_limit.bucket import Level, Reservation

SOURCE = "sqlite"

BUSY_SECONDS = 2.0
"""How long to wait for whoever holds the lock; a reservation holds it for well under a millisecond."""

KEEP_SECONDS = 7 * 86_400.0
"""How long a bucket that nobody uses stays in the file."""

CREATE = """
CREATE TABLE IF NOT EXISTS buckets (
    account TEXT NOT NULL,
    boot TEXT NOT NULL,
    empty_at REAL NOT NULL,
    blocked_until REAL NOT NULL,
    pushed REAL NOT NULL,
    seen REAL NOT NULL,
    used REAL NOT NULL,
    PRIMARY KEY (account, boot)
) WITHOUT ROWID
"""
EXPIRE = "DELETE FROM buckets WHERE abs(used - ?) > ?"
READ = "SELECT empty_at, blocked_until, pushed, seen FROM buckets WHERE account = ? AND boot = ?"
WRITE = "INSERT OR REPLACE INTO buckets VALUES (?, ?, ?, ?, ?, ?, ?)"


def boot_id() -> str | None:
    """Return what tells this boot of the machine from all others, None where there is no such thing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


class SqliteStore:
    """Keeps the bucket in a file, which it makes, readable by its owner only.

    Processes can share a bucket only on a clock that they share. On Linux that is the monotonic
    clock, which counts from the boot: nobody can set it, but it means nothing after the next boot
    or on another machine that mounts the same home directory, so each boot has a bucket of its own.
    Elsewhere it is the wall clock: when that is set back, the slots taken stay taken
    (`Bucket.settled`); when it is set forward, callers may overtake those already waiting, once.

    A process that dies loses the slots it was waiting for, no more. A forked child leaves its
    parent's connection alone and opens another: SQLite forbids to carry one over. If another thread
    of the parent was just writing, SQLite takes the file for locked for as long as the child lives.

    Args:
        path: The file.
        account: Which bucket in it.
        clock: The time.
        boot: This boot of the machine, for the monotonic clock; None for the wall clock.
    """

    def __init__(self, path: Path, account: str, clock: Clock, *, boot: str | None) -> None:
        self._path = path
        self._account = account
        self._boot = boot or ""
        self._clock = clock
        self._now = clock.monotonic if boot else clock.time
        self._lock = ProcessLock()
        self._connections: dict[int, sqlite3.Connection] = {}
        weakref.finalize(self, _close_own, self._connections)

    def reserve(self, charge: float, lead: float) -> Reservation:
        """Take the next slot."""
        with self._connected() as connection, _writing(connection):
            now, bucket = self._read(connection)
            bucket, wait = bucket.reserve(now, charge, lead)
            self._write(connection, bucket)
        return bucket.reservation(wait, SOURCE)

    def block(self, seconds: float, fill: float) -> None:
        """Let nobody go for `seconds`, and count the bucket as full."""
        with self._connected() as connection, _writing(connection):
            now, bucket = self._read(connection)
            self._write(connection, bucket.blocked(now, seconds, fill))

    def delay(self, reservation: Reservation, seconds: float) -> None:
        """Move all who wait back until that is `seconds` since a slot was taken."""
        with self._connected() as connection, _writing(connection):
            now, bucket = self._read(connection)
            self._write(connection, bucket.delayed(now, reservation.pushed, seconds))

    def peek(self) -> Level:
        """Read the bucket."""
        with self._connected() as connection:
            now, bucket = self._read(connection)
            return bucket.level(now, SOURCE)

    def close(self) -> None:
        """Close this process's connection."""
        with self._lock.current():
            _close_own(self._connections)

    def _read(self, connection: sqlite3.Connection) -> tuple[float, Bucket]:
        with closing(connection.execute(READ, (self._account, self._boot))) as rows:
            row = rows.fetchone()
        # Read behind the lock, so that no other's time is later.
        now = self._now()
        return now, Bucket.fresh(now) if row is None else Bucket(*map(float, row))

    def _write(self, connection: sqlite3.Connection, bucket: Bucket) -> None:
        times = (bucket.tat, bucket.blocked_until, bucket.pushed, bucket.seen)
        connection.execute(WRITE, (self._account, self._boot, *times, self._clock.time()))

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Yield this process's connection, one thread at a time; it is given up when it fails."""
        lock = self._lock.current()
        if not lock.acquire(timeout=BUSY_SECONDS):
            raise self._error("database is locked")
        try:
            yield self._connections.get(os.getpid()) or self._connect()
        except (sqlite3.Error, OSError, TypeError, ValueError) as error:
            with suppress(sqlite3.Error):
                _close_own(self._connections)
            raise self._error(error) from error
        finally:
            lock.release()

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite would make it readable by all; its journal takes the mode of the file.
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            # A killed process must leave the file whole, a power cut need not: nothing outlives it.
            connection.execute("PRAGMA journal_mode = TRUNCATE").close()
            connection.execute("PRAGMA synchronous = OFF")
            with _writing(connection):
                connection.execute(CREATE)
                connection.execute(EXPIRE, (self._clock.time(), KEEP_SECONDS))
        except BaseException:
            connection.close()
            raise
        self._connections[os.getpid()] = connection
        return connection

    def _error(self, reason: object) -> StoreError:
        return StoreError(
            f"The rate limit's file {self._path} cannot be used: {reason}. Delete it if it is "
            "damaged, or let rate_limit_store name a file that can be written."
        )


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the file's write lock, and keep what was written unless something is raised."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _close_own(connections: dict[int, sqlite3.Connection]) -> None:
    """Close this process's connection, never one that a parent opened."""
    connection = connections.pop(os.getpid(), None)
    if connection is not None:
        connection.close()
