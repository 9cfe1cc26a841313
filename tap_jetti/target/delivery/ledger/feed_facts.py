"""What is known of the rows of one feed during a run, and how it is found out: by look-ups or from the mirror."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from tap_jetti.errors import StoreError
from tap_jetti.target.delivery.ledger.mirror import AMBIGUOUS, OvertakenError, ShownRow
from tap_jetti.target.delivery.ledger.price import (
    FEW_LOOKUPS,
    FREE_LOOKUPS,
    KEYS_PER_LOOKUP,
    RefreshPrice,
    is_lookup_cheaper,
    lookups_for,
)
from tap_jetti.target.delivery.ledger.refresh import Refresh

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence

    from tap_jetti.client.clock import Clock
    from tap_jetti.target.delivery.ledger.feed_reader import JettiFeedReader
    from tap_jetti.target.delivery.ledger.locks import FileLock
    from tap_jetti.target.delivery.ledger.mirror import Mirror

FRESH_SECONDS = 300.0
"""A record counts as unchanged only by what Jetti has shown in this time before it came."""

LOCK_SECONDS = 600.0
"""Longest wait for another process that refreshes the mirror; then this run reads for itself."""

_PAUSE = 0.5


class FeedFacts:
    """The rows of one feed, as Jetti has shown them in this run.

    Args:
        feed: The feed.
        reader: Reads it.
        mirror: Where rows are kept.
        lock: Held while the mirror is refreshed; None if no other process can use it.
        make_temporary: Makes a mirror for this run alone, if the lock cannot be had.
        clock: For the age of facts, and for waits.
        logger: For messages.
    """

    def __init__(
        self,
        feed: int,
        reader: JettiFeedReader,
        mirror: Mirror,
        lock: FileLock | None,
        *,
        make_temporary: Callable[[], Mirror],
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        self.is_proven = False
        self._feed = feed
        self._reader = reader
        self._mirror = mirror
        self._lock = lock
        self._is_temporary = lock is None
        self._make_temporary = make_temporary
        self._clock = clock
        self._logger = logger
        self._refreshed_at: float | None = None
        self._seen_from = 0
        self._looked_up = 0
        self._is_priced = False
        self._price: RefreshPrice | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether the mirror was refreshed in this run, not long ago."""
        return self._refreshed_at is not None and self._clock.monotonic() - self._refreshed_at < FRESH_SECONDS

    @property
    def was_refreshed(self) -> bool:
        """Whether the mirror was refreshed in this run at all."""
        return self._refreshed_at is not None

    def known(self, keys: Sequence[int]) -> dict[int, ShownRow]:
        """Return the rows of keys as the mirror has them; it was refreshed in this run."""
        try:
            return self._find(keys)
        except sqlite3.Error as error:
            self._give_up_file(error)
            self.refresh()
            return self._find(keys)

    def fresh(self, keys: Mapping[int, str], *, is_end: bool) -> dict[int, ShownRow]:
        """Return the rows of keys, from facts that are fresh. Of a key that has several rows, the id is `AMBIGUOUS`.

        Args:
            keys: The values of the keys by their hashes.
            is_end: Whether the input has ended.

        Raises:
            RequestError: A request failed.
        """
        if not self.is_fresh and self._is_lookup_cheaper(len(keys), is_end=is_end):
            rows = self._reader.look_up(keys.values())
            self._looked_up += len(keys)
            if rows is not None:
                return _by_key(rows)
        if not self.is_fresh:
            self.refresh()
        return self.known(list(keys))

    def refresh(self) -> None:
        """Bring the mirror up to date.

        Raises:
            RequestError: A request failed.
        """
        self._wait_for_lock()
        try:
            refresh = self._refreshed()
        except OvertakenError:
            self._use_temporary()
            refresh = self._refreshed()
        except sqlite3.Error as error:
            self._give_up_file(error)
            refresh = self._refreshed()
        finally:
            if self._lock is not None:
                self._lock.release()
        self.is_proven, self._seen_from = refresh.is_proven, refresh.seen_from
        self._refreshed_at = self._clock.monotonic()
        self._is_priced, self._looked_up = False, 0

    def _find(self, keys: Sequence[int]) -> dict[int, ShownRow]:
        return self._mirror.find(self._feed, keys, seen_from=0 if self.is_proven else self._seen_from)

    def _refreshed(self) -> Refresh:
        refresh = Refresh(self._mirror, self._reader, self._feed, logger=self._logger)
        refresh.run()
        return refresh

    def _wait_for_lock(self) -> None:
        if self._lock is None:
            return
        deadline = self._clock.monotonic() + LOCK_SECONDS
        is_said = False
        while not self._lock.acquire():
            if self._clock.monotonic() >= deadline:
                self._use_temporary()
                return
            if not is_said:
                is_said = True
                self._logger.info("Another process reads inventory feed %d; waiting for it.", self._feed)
            self._clock.sleep(_PAUSE)

    def _use_temporary(self) -> None:
        self._logger.warning(
            "Another process keeps refreshing the mirror of inventory feed %d, so this run reads the feed for itself.",
            self._feed,
        )
        self._replace()

    def _give_up_file(self, error: sqlite3.Error) -> None:
        """Go on without the file, unless there is none any more.

        Raises:
            StoreError: The temporary file cannot be used, either.
        """
        if self._is_temporary:
            raise StoreError(
                f"The temporary file with the rows of inventory feed {self._feed} cannot be used: {error}. Make room"
                " for temporary files, or set TMPDIR."
            ) from error
        self._logger.warning(
            "The mirror of inventory feed %d cannot be used: %s. This run reads the feed for itself.", self._feed, error
        )
        self._replace()

    def _replace(self) -> None:
        self._mirror = self._make_temporary()
        self._is_temporary = True
        if self._lock is not None:
            self._lock.release()
        self._lock = None

    def _is_lookup_cheaper(self, keys: int, *, is_end: bool) -> bool:
        if lookups_for(keys + self._looked_up) <= FREE_LOOKUPS:
            return True
        if not self._is_priced:
            self._is_priced, self._price = True, self._ask_price()
        if self._price is None:  # Jetti does not count: the mirror cannot be proven, nor is a price known
            return is_end and lookups_for(keys + self._looked_up) <= FEW_LOOKUPS
        return is_lookup_cheaper(keys, self._price, is_end=is_end, earlier=self._looked_up)

    def _ask_price(self) -> RefreshPrice | None:
        state = self._mirror.state(self._feed)
        rows = self._reader.count_since(state.mark)
        if rows is None:
            return None
        return RefreshPrice.of(rows, self._reader.page_rows, is_full=state.mark is None)


class IdFacts:
    """Rows that are looked up by their ids, whatever their feed. See `FeedFacts` for the methods.

    Args:
        reader: Looks them up.
    """

    is_proven = False
    is_fresh = False
    was_refreshed = False

    def __init__(self, reader: JettiFeedReader) -> None:
        self._reader = reader

    def known(self, keys: Sequence[int]) -> dict[int, ShownRow]:  # noqa: ARG002 - nothing is kept
        """Return no row: nothing is kept."""
        return {}

    def fresh(self, keys: Mapping[int, str], *, is_end: bool) -> dict[int, ShownRow]:  # noqa: ARG002 - always the same
        """Return the rows with these ids. Those that do not come need not be missing: the server may cut any page."""
        hashes = {int(value): h for h, value in keys.items()}
        ids = sorted(hashes)
        found: dict[int, ShownRow] = {}
        for start in range(0, len(ids), KEYS_PER_LOOKUP):
            rows = self._reader.rows(ids[start : start + KEYS_PER_LOOKUP]) or ()
            found |= {hashes[row.id]: row for row in rows if row.id in hashes}
        return found


def _by_key(rows: Sequence[ShownRow]) -> dict[int, ShownRow]:
    found: dict[int, ShownRow] = {}
    for row in rows:
        if row.key is None:
            continue
        if row.key in found and found[row.key].id != row.id:
            row.id = AMBIGUOUS
        found[row.key] = row
    return found
