"""A bucket for the processes of one machine, in a SQLite file."""

from __future__ import annotations

import logging
import os
import sqlite3
import weakref
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tap_jetti.client.rate_limit.bucket import Bucket, ProcessLock
from tap_jetti.client.sqlite_transaction import writing
from tap_jetti.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.rate_limit.bucket import Level, Reservation

_T = TypeVar("_T")

SOURCE = "sqlite"

LOCK_SECONDS = 60.0
"""Longest time to wait for a lock. A reservation holds one for much less than a millisecond, but a backup or a virus
scanner may hold one for longer, and without the file nobody knows what others send."""

LOST_LOCK_SECONDS = 0.5
"""The same after a lock was not released in that time, until the file can be used again."""

REPORTED_SECONDS = 2.0
"""Seconds of waiting for a lock after which it is reported."""

FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.1
"""Seconds between two attempts to get a lock: each pause is twice as long as the one before it."""

KEEP_SECONDS = 7 * 86_400.0
"""Seconds after its last use until a bucket is deleted from the file."""

# The columns keep the names that they have had since version 0.1.0, because an older version on the same machine may
# share the file: `empty_at` is the TAT, `pushed` the total delay, and `seen` the time of the last write on the clock of
# the bucket. `used` is that time on the wall clock.

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
    """Return the id of this boot of the machine, or None if the operating system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


class SqliteStore:
    """Keeps the bucket in a file that only its owner can read. The file is created on the first use.

    Processes can share a bucket only on a clock that they share. On Linux that is the monotonic clock, which counts
    from the boot. Nobody can set it, but it means nothing after the next boot, or on another machine that mounts the
    same home directory. So each boot has a bucket of its own. Elsewhere it is the wall clock. If that is set back, the
    reserved slots stay reserved (`Bucket.at`). If it is set forward, callers may once overtake those that wait.

    A process that dies loses only the slots that it was waiting for. A forked child does not touch the connection of
    its parent, as SQLite demands, and opens its own. If another thread of the parent was writing during the fork,
    SQLite considers the file locked until the child ends.

    Args:
        path: The file.
        account: The key of the bucket in it.
        clock: The clock of the bucket.
        boot: The id of this boot, to use the monotonic clock; None to use the wall clock.
        logger: Where a lock that is held for long is reported.
    """

    def __init__(
        self, path: Path, account: str, clock: Clock, *, boot: str | None, logger: logging.Logger | None = None
    ) -> None:
        self._path = path
        self._account = account
        self._boot = boot or ""
        self._clock = clock
        self._now = clock.monotonic if boot else clock.time
        self._logger = logger or logging.getLogger(__name__)
        self._patience = LOCK_SECONDS
        self._lock = ProcessLock()
        self._connections: dict[int, sqlite3.Connection] = {}
        weakref.finalize(self, _close_own, self._connections)  # without a reference to this object

    def reserve(self, increment: float, start_offset: float) -> Reservation:
        """Reserve the next slot."""

        def reserve(connection: sqlite3.Connection) -> Reservation:
            with writing(connection):
                now, bucket = self._read(connection)
                bucket, wait = bucket.reserve(now, increment, start_offset)
                self._write(connection, bucket)
            return bucket.reservation(wait, SOURCE)

        return self._run(reserve)

    def block(self, seconds: float, capacity: float) -> None:
        """Let nobody go for `seconds`, and count the bucket as full."""
        self._change(lambda now, bucket: bucket.blocked(now, seconds, capacity))

    def delay(self, reservation: Reservation, seconds: float) -> None:
        """Move all reserved slots back, until they have moved by `seconds` since `reservation` was made."""
        self._change(lambda now, bucket: bucket.delayed(now, reservation.total_delay, seconds))

    def peek(self) -> Level:
        """Read the level."""

        def peek(connection: sqlite3.Connection) -> Level:
            now, bucket = self._read(connection)
            return bucket.level(now, SOURCE)

        return self._run(peek)

    def close(self) -> None:
        """Close the connection of this process."""
        with self._lock.current():
            _close_own(self._connections)

    def _read(self, connection: sqlite3.Connection) -> tuple[float, Bucket]:
        with closing(connection.execute(READ, (self._account, self._boot))) as rows:
            row = rows.fetchone()
        # The clock is read after the lock was taken: no other caller can then have written a later time.
        now = self._now()
        return now, Bucket.empty(now) if row is None else Bucket(*map(float, row))

    def _write(self, connection: sqlite3.Connection, bucket: Bucket) -> None:
        times = (bucket.tat, bucket.blocked_until, bucket.total_delay, bucket.written_at)
        connection.execute(WRITE, (self._account, self._boot, *times, self._clock.time()))

    def _change(self, change: Callable[[float, Bucket], Bucket]) -> None:
        """Replace the bucket by another one, which `change` makes of the time and the bucket."""

        def write(connection: sqlite3.Connection) -> None:
            with writing(connection):
                self._write(connection, change(*self._read(connection)))

        self._run(write)

    def _run(self, action: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run an action with the connection of this process, one thread at a time. A connection that fails is closed.

        Raises:
            StoreError: The file cannot be used, or is still locked after `LOCK_SECONDS`.
            Interrupted: The clock was stopped while the file was locked.
        """
        lock = self._lock.current()
        if not lock.acquire(timeout=LOCK_SECONDS):
            raise self._error("database is locked")
        try:
            return self._run_unlocked(action)
        except (sqlite3.Error, OSError, TypeError, ValueError) as error:
            with suppress(sqlite3.Error):
                _close_own(self._connections)
            raise self._error(error) from error
        finally:
            lock.release()

    def _run_unlocked(self, action: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run an action as soon as no other program holds the lock of the file."""
        began, pause, is_reported = self._clock.monotonic(), FIRST_PAUSE, False
        while True:
            try:
                result = action(self._connections.get(os.getpid()) or self._connect())
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                waited = self._clock.monotonic() - began
                if waited >= self._patience:
                    self._patience = LOST_LOCK_SECONDS
                    raise
                if waited >= REPORTED_SECONDS and not is_reported:
                    is_reported = True
                    self._logger.warning(
                        "The rate limit's file %s is locked by another program; waiting for up to %g s.",
                        self._path,
                        self._patience,
                    )
            else:
                self._patience = LOCK_SECONDS
                return result
            # Not SQLite's own timeout: no signal could interrupt that.
            self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite would create a file that all can read. Its journal gets the mode of the file.
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            # The file must stay intact if a process is killed, but not if the machine loses power: the buckets of a
            # boot end with it.
            connection.execute("PRAGMA journal_mode = TRUNCATE").close()
            connection.execute("PRAGMA synchronous = OFF")
            with writing(connection):
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
            "damaged, or set rate_limit_store to a file that can be written."
        )


def _close_own(connections: dict[int, sqlite3.Connection]) -> None:
    """Close the connection of this process, never one that a parent opened."""
    connection = connections.pop(os.getpid(), None)
    if connection is not None:
        connection.close()
