"""Brings the mirror of a feed up to date, and proves that it is what Jetti has.

1. *Walk.* Read all rows changed since the mark. The mark stays `LAG_MS` behind the server's clock: transactions commit
   late, and clocks differ.
2. *Tail.* A row changed since the mark that the walk did not give is gone.
3. *Proof.* Rows up to `safe_id` were all committed when they were read, so the server's set of them can only shrink:
   a subset with as many rows is the same set. Updates do not move a row out of it.
4. *Deleted rows* are found by counts of id ranges, each of which is a subset, too; many of them cost a full read.
5. *Full read*, by id, resumable by page: first, every 7 days, and whenever the mirror was refuted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Sequence

    from tap_jetti.target.delivery.ledger.mirror import FeedState, Mirror, ShownRow

LAG_MS = 600_000
"""Milliseconds that the mark stays behind the server's clock."""

FULL_DAYS = 7
"""Days after which a feed is read anew: an update might not have moved ``updatedAt``."""

SAMPLE_ROWS = 100
"""Rows that are looked up to see whether the mirror shows what Jetti has: one page."""

RESUME_MS = 24 * 3_600_000
"""A full read that was interrupted longer ago begins again."""

_DAY_MS = 24 * 3_600_000


class FeedReader(Protocol):
    """Reads one feed."""

    def now(self) -> int:
        """Return the server's clock, in milliseconds since the epoch; it is a lower bound."""
        ...

    def walk(self, state: FeedState, since: int) -> Iterator[Sequence[ShownRow]]:
        """Read all rows changed at an instant (ms) or later, in that order, to a proven end.

        Raises:
            RequestError: The rows cannot be read, or not all of them.
        """
        ...

    def by_id(self, first_id: int) -> Iterator[Sequence[ShownRow]]:
        """Read all rows from an id on, in the order of their ids."""
        ...

    def count(self, upto: int, *, beyond: int = 0) -> int | None:
        """Return how many rows have an id greater than `beyond` and up to `upto`; None: Jetti does not count."""
        ...

    def rows(self, ids: Sequence[int]) -> Sequence[ShownRow] | None:
        """Return the rows with these ids, at most `SAMPLE_ROWS` of them, as far as one page shows them.

        None: Jetti does not answer such a question.
        """
        ...

    @property
    def page_rows(self) -> int:
        """The rows of a page."""
        ...


class Refresh:
    """One refresh of one feed. The caller holds the lock of the mirror.

    Args:
        mirror: What is refreshed.
        reader: Reads the feed.
        feed: Its id.
        logger: For messages.

    Attributes:
        is_proven: Whether the mirror holds exactly Jetti's rows. Otherwise only rows that were read since the refresh
            began may be relied upon.
        seen_from: The generation from which on rows may be relied upon.
    """

    def __init__(self, mirror: Mirror, reader: FeedReader, feed: int, *, logger: logging.Logger) -> None:
        self.is_proven = False
        self._mirror = mirror
        self._reader = reader
        self._logger = logger
        self._state = mirror.begin(feed)
        self.seen_from = self._state.generation
        self._has_read_fully = False

    def run(self) -> None:
        """Refresh the feed.

        Raises:
            OvertakenError: Another process refreshes it, too.
            RequestError: The feed cannot be read.
        """
        state = self._state
        if state.mark is None or state.mark > self._reader.now() or self._is_old():
            self._read_fully()
        self._walk()
        if not self._has_read_fully and not self._shows_the_sample():
            self._logger.warning(
                "Inventory feed %d has changed in a way that its updatedAt does not show; reading all of it.",
                state.feed,
            )
            self._read_fully()
            self._walk()
        self.is_proven = self._prove()
        self._mirror.index()

    def _is_old(self) -> bool:
        ended, now = self._state.full_ended, self._reader.now()
        return ended is None or not 0 <= now - ended + _DAY_MS < (FULL_DAYS + 1) * _DAY_MS

    def _read_fully(self) -> None:
        """Read the whole feed by id. The mark is taken away before the rows are touched."""
        state, now = self._state, self._reader.now()
        self._has_read_fully = True
        started = state.full_started
        is_resumed = state.mark is None and state.full_from is not None and started is not None
        if not (is_resumed and started is not None and abs(now - started) < RESUME_MS):
            state.mark, state.full_from, state.full_position, state.full_started = None, state.generation, 0, now
            self._mirror.save(state)
        for rows in self._reader.by_id(state.full_position + 1):
            state.full_position = max(state.full_position, max((row.id for row in rows), default=0))
            self._mirror.save(state, rows)
        self._mirror.delete_unseen(state, seen_from=state.full_from or 0)
        state.mark = (state.full_started or now) - state.lag
        state.full_ended, state.full_from, state.full_position, state.safe_id = now, None, 0, 0
        state.safe_id = self._mirror.largest_id(state.feed, updated_upto=state.mark)
        self._mirror.save(state)

    def _walk(self) -> None:
        """Read what changed since the mark, and delete what is gone of it; then move the mark."""
        state = self._state
        since = state.mark or 0
        now = self._reader.now()
        self._save_all(self._reader.walk(state, since))
        if self._mirror.has_unseen(state, updated_from=since):
            # A row that was changed during the walk is behind its end: it is gone only if it is not there, either.
            self._save_all(self._reader.walk(state, now))
            self._mirror.delete_unseen(state, seen_from=state.generation, updated_from=since)
        state.mark = max(since, now - state.lag)
        self._mirror.save(state)

    def _save_all(self, pages: Iterator[Sequence[ShownRow]]) -> None:
        settled = self._reader.now() - self._state.lag
        for rows in pages:
            for row in rows:
                self._note_safe(row, settled)
            self._mirror.save(self._state, rows)

    def _note_safe(self, row: ShownRow, settled: int) -> None:
        if row.updated <= settled:
            self._state.safe_id = max(self._state.safe_id, row.id)

    def _shows_the_sample(self) -> bool:
        """Whether random rows that no walk can have missed are as the mirror has them."""
        state = self._state
        known = {row.id: row for row in self._mirror.sample(state.feed, state.safe_id, SAMPLE_ROWS)}
        if not known:
            return True
        shown = self._reader.rows(sorted(known)) or self._reader.rows(sorted(known))
        if shown is None:
            return True
        return bool(shown) and all(
            row.id not in known or row.updated >= (state.mark or 0) or row == known[row.id] for row in shown
        )

    def _prove(self) -> bool:
        for attempt in range(2):
            state = self._state
            counted = self._reader.count(state.safe_id) if state.safe_id else 0
            if counted is None:
                break
            known = self._mirror.count(state.feed, state.safe_id)
            if counted == known:
                return True
            if attempt == 0:
                if counted < known and self._delete_gone(state.safe_id, known - counted):
                    return True
                self._walk()
        if self._has_read_fully:
            return False
        self._read_fully()
        self._walk()
        state = self._state
        counted = self._reader.count(state.safe_id) if state.safe_id else 0
        return counted == self._mirror.count(state.feed, state.safe_id)

    def _delete_gone(self, upto: int, gone: int) -> bool:
        """Find deleted rows by halving ranges of ids, where that is cheaper than a full read.

        Returns:
            Whether all of them were found.
        """
        state, page = self._state, self._reader.page_rows
        known = self._mirror.count(state.feed, upto)
        if gone * (math.log2(max(2.0, known / (page * gone))) + 2) >= known / page:
            return False
        ranges = [(0, upto, gone)]
        while ranges:
            beyond, upto, gone = ranges.pop()
            known = self._mirror.count(state.feed, upto, beyond=beyond)
            if known <= page or gone == known:
                self._delete_missing(self._mirror.ids(state.feed, upto, beyond=beyond), gone)
                continue
            middle = self._mirror.middle(state.feed, upto, beyond=beyond)
            left = self._reader.count(middle, beyond=beyond)
            if left is None:
                return False
            gone_left = self._mirror.count(state.feed, middle, beyond=beyond) - left
            if not 0 <= gone_left <= gone:
                return False  # rows came or went meanwhile: walk again
            if gone_left:
                ranges.append((beyond, middle, gone_left))
            if gone - gone_left:
                ranges.append((middle, upto, gone - gone_left))
        counted = self._reader.count(state.safe_id)
        return counted == self._mirror.count(state.feed, state.safe_id)

    def _delete_missing(self, ids: Sequence[int], gone: int) -> None:
        if gone == len(ids):
            self._mirror.delete(self._state, ids)
            return
        shown = {row.id for row in self._reader.rows(ids) or ()}
        missing = [row_id for row_id in ids if row_id not in shown]
        if len(missing) == gone:  # otherwise the page was cut, and says nothing
            self._mirror.delete(self._state, missing)
