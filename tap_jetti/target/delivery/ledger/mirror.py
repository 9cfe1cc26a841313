"""The mirror: rows of inventory feeds as Jetti showed them. It may be thrown away at any time."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from tap_jetti.client.sqlite_transaction import writing
from tap_jetti.target.delivery.ledger.databases import Layout, close_with
from tap_jetti.target.delivery.ledger.values import Short

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

# Rows are kept by their ids: renames, moved rows, two rows of one external id, and rows without one do not upset the
# count.
LAYOUT = Layout(
    name="mirror of the feeds",
    version=1,
    tables="""
        CREATE TABLE rows (
            id INTEGER PRIMARY KEY, feed INTEGER NOT NULL, h INTEGER, u INTEGER NOT NULL, seen INTEGER NOT NULL,
            v BLOB NOT NULL
        );
        CREATE TABLE feeds (
            feed INTEGER PRIMARY KEY, generation INTEGER NOT NULL, mark INTEGER, safe_id INTEGER NOT NULL,
            full_from INTEGER, full_position INTEGER NOT NULL, full_started INTEGER, full_ended INTEGER,
            lag INTEGER NOT NULL, facts TEXT
        );
        CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID
    """,
    survives_power_loss=False,  # a power cut loses the last pages and their mark together
)

KEYS_PER_QUERY = 500
"""Keys bound in one SELECT: 1.7 times as fast as a SELECT each."""

AMBIGUOUS = -1
"""Instead of an id: several rows have the key."""

OUTDATED = -2
"""Instead of an id: the row was not read in this run, and it is not proven that it is still like that."""


class ShownRow(msgspec.Struct, gc=False):
    """A row as Jetti showed it.

    Attributes:
        id: Its id.
        key: The hash of what identifies it in its feed; None if it has no such value.
        updated: Its ``updatedAt`` in milliseconds since the epoch.
        values: The short forms of its fields, by field number; null ones are left out.
    """

    id: int
    key: int | None
    updated: int
    values: dict[int, Short]


@dataclass
class FeedState:
    """How far the rows of a feed are known.

    Attributes:
        feed: The feed.
        generation: The number of the last refresh. A refresh that is not the last one any more must not write.
        mark: All rows changed before this instant (ms) are known; None: a full read is due or under way.
        safe_id: Rows up to this id were all committed when they were counted.
        full_from: The generation in which the full read that is under way began; None: there is none.
        full_position: The largest id that the full read has given.
        full_started: The server's clock (ms) when the last full read began.
        full_ended: The same when it ended; None: never.
        lag: Milliseconds that the mark stays behind the server's clock.
        facts: What was learnt of the pages, as text.
    """

    feed: int
    generation: int = 0
    mark: int | None = None
    safe_id: int = 0
    full_from: int | None = None
    full_position: int = 0
    full_started: int | None = None
    full_ended: int | None = None
    lag: int = 600_000
    facts: str | None = None


class OvertakenError(Exception):
    """Another process has begun a refresh meanwhile, so this one must not write any more."""


class Mirror:
    """Rows and states in one SQLite file. The caller serialises calls.

    Args:
        connection: The file, or a temporary one.
        fields: The names of the fields that are kept, in the order of their numbers.
    """

    def __init__(self, connection: sqlite3.Connection, fields: Sequence[str]) -> None:
        self._connection = connection
        close_with(self, connection)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(dict[int, Short]).decode
        self._forget_if_other(" ".join(fields))

    def begin(self, feed: int) -> FeedState:
        """Begin a refresh of a feed; refreshes that began earlier can write no more."""
        with writing(self._connection):
            state = self.state(feed)
            state.generation += 1
            self._store(state)
        return state

    def state(self, feed: int) -> FeedState:
        """Return the state of a feed."""
        found = self._connection.execute("SELECT * FROM feeds WHERE feed = ?", (feed,)).fetchone()
        return FeedState(feed) if found is None else FeedState(*found)

    def save(self, state: FeedState, rows: Sequence[ShownRow] = ()) -> None:
        """Store rows and the state that they lead to, together.

        The row read last wins, not the one with the larger ``updatedAt``: writers commit out of order.

        Raises:
            OvertakenError: Another refresh of the feed has begun.
        """
        with writing(self._connection):
            self._check(state)
            self._connection.executemany(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (row.id, state.feed, row.key, row.updated, state.generation, self._encode(row.values))
                    for row in rows
                ],
            )
            self._store(state)

    def delete(self, state: FeedState, ids: Sequence[int]) -> None:
        """Delete rows that are gone."""
        with writing(self._connection):
            self._check(state)
            self._connection.executemany("DELETE FROM rows WHERE id = ?", [(row_id,) for row_id in ids])

    def delete_unseen(self, state: FeedState, *, seen_from: int, updated_from: int | None = None) -> int:
        """Delete the rows of a feed that no refresh since `seen_from` gave.

        Args:
            state: The state of the feed.
            seen_from: The first of those refreshes, by its generation.
            updated_from: Only rows changed at this instant (ms) or later; None: all.

        Returns:
            The number of rows deleted.
        """
        with writing(self._connection):
            self._check(state)
            return self._connection.execute(
                "DELETE FROM rows WHERE feed = ? AND seen < ? AND u >= ?",
                (state.feed, seen_from, -(2**62) if updated_from is None else updated_from),
            ).rowcount

    def has_unseen(self, state: FeedState, *, updated_from: int) -> bool:
        """Whether a row changed at an instant or later was not given by this refresh."""
        found = self._connection.execute(
            "SELECT 1 FROM rows WHERE feed = ? AND seen < ? AND u >= ? LIMIT 1",
            (state.feed, state.generation, updated_from),
        ).fetchone()
        return found is not None

    def count(self, feed: int, upto: int, *, beyond: int = 0) -> int:
        """Return the number of rows of a feed with ids greater than `beyond` and up to `upto`."""
        (number,) = self._connection.execute(
            "SELECT count(*) FROM rows WHERE id > ? AND id <= ? AND feed = ?", (beyond, upto, feed)
        ).fetchone()
        return int(number)

    def largest_id(self, feed: int, *, updated_upto: int) -> int:
        """Return the largest id of the rows of a feed that were changed at an instant (ms) or before; 0: none."""
        (row_id,) = self._connection.execute(
            "SELECT max(id) FROM rows WHERE feed = ? AND u <= ?", (feed, updated_upto)
        ).fetchone()
        return row_id or 0

    def ids(self, feed: int, upto: int, *, beyond: int) -> list[int]:
        """Return the ids of the rows of such a range."""
        found = self._connection.execute(
            "SELECT id FROM rows WHERE id > ? AND id <= ? AND feed = ? ORDER BY id", (beyond, upto, feed)
        )
        return [row_id for (row_id,) in found]

    def middle(self, feed: int, upto: int, *, beyond: int) -> int:
        """Return the id that halves the rows of such a range."""
        half = self.count(feed, upto, beyond=beyond) // 2
        (row_id,) = self._connection.execute(
            "SELECT id FROM rows WHERE id > ? AND id <= ? AND feed = ? ORDER BY id LIMIT 1 OFFSET ?",
            (beyond, upto, feed, max(0, half - 1)),
        ).fetchone()
        return int(row_id)

    def find(self, feed: int, keys: Sequence[int], *, seen_from: int = 0) -> dict[int, ShownRow]:
        """Return the rows of keys. Instead of its id a row has `AMBIGUOUS` or `OUTDATED` where that holds.

        Args:
            feed: The feed.
            keys: The hashes of the keys.
            seen_from: Rows that no refresh of this generation or later gave are outdated.
        """
        found: dict[int, ShownRow] = {}
        for start in range(0, len(keys), KEYS_PER_QUERY):
            chunk = keys[start : start + KEYS_PER_QUERY]
            marks = ",".join("?" * len(chunk))
            for row_id, h, updated, seen, values in self._connection.execute(
                f"SELECT id, h, u, seen, v FROM rows WHERE h IN ({marks}) AND feed = ?",  # noqa: S608 - marks only
                (*chunk, feed),
            ):
                row = ShownRow(row_id, h, updated, self._decode(values))
                if seen < seen_from:
                    row.id = OUTDATED
                if h in found:
                    row.id = AMBIGUOUS
                found[h] = row
        return found

    def sample(self, feed: int, upto: int, number: int) -> list[ShownRow]:
        """Return random rows with ids up to `upto`."""
        bounds = self._connection.execute(
            "SELECT min(id), max(id) FROM rows WHERE feed = ? AND id <= ?", (feed, upto)
        ).fetchone()
        if bounds[0] is None:
            return []
        rows: dict[int, ShownRow] = {}
        for _ in range(number):
            found = self._connection.execute(
                "SELECT id, h, u, v FROM rows WHERE id >= ? AND feed = ? ORDER BY id LIMIT 1",
                (random.randint(*bounds), feed),  # noqa: S311 - a sample, no secret
            ).fetchone()
            if found is not None and found[0] <= upto:
                rows[found[0]] = ShownRow(found[0], found[1], found[2], self._decode(found[3]))
        return list(rows.values())

    def rows(self, feed: int) -> Iterator[ShownRow]:
        """Return all rows of a feed by id, for tests and for what is overdue."""
        for row_id, h, updated, values in self._connection.execute(
            "SELECT id, h, u, v FROM rows WHERE feed = ? ORDER BY id", (feed,)
        ):
            yield ShownRow(row_id, h, updated, self._decode(values))

    def index(self) -> None:
        """Index the rows by their keys. It is made after the first full read: five times as fast as during it."""
        self._connection.execute("CREATE INDEX IF NOT EXISTS rows_by_key ON rows (h)")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _check(self, state: FeedState) -> None:
        if self.state(state.feed).generation != state.generation:
            raise OvertakenError

    def _store(self, state: FeedState) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO feeds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                state.feed,
                state.generation,
                state.mark,
                state.safe_id,
                state.full_from,
                state.full_position,
                state.full_started,
                state.full_ended,
                state.lag,
                state.facts,
            ),
        )

    def _forget_if_other(self, fields: str) -> None:
        """Forget all rows if other fields were kept: their numbers mean other fields."""
        with writing(self._connection):
            found = self._connection.execute("SELECT value FROM meta WHERE name = 'fields'").fetchone()
            if found is not None and found[0] != fields:
                self._connection.execute("DELETE FROM rows")
                self._connection.execute("UPDATE feeds SET mark = NULL, full_from = NULL, generation = generation + 1")
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('fields', ?)", (fields,))
