"""Reads one resource completely and in order, while it changes.

Numbered pages lose rows as soon as a row that was read is updated: those behind it move
up a place and are never seen. A keyset read asks for *what comes after the last row*
instead, and no update can hide a row from that. The rules, each of which was needed:

1.  Ask for the rows from the last key on, ``$gte``, and drop what was seen there. Keys may
    be stored with more digits than shown, so ``$gte`` of a shown key is safe; equal keys may
    come in another order each time.
2.  Ask for nothing later than the server's clock at the start, U. Rows that change
    later belong to the next run. Only the pages asked for before a process's first answer cannot
    know U yet: they are cut.
3.  A page of one single instant may be a part of it only: such an instant is read by id.
4.  A page of fewer than ten rows is the end, if the server has given a larger one. If none has
    come, such a page of a stream that is read for the first time is taken for the end once the
    count has shown one that is no smaller to be whole; the bookmark does not pass it then, for
    that may be chance, and the next run does without this. Any other page that is shorter than
    asked, and than others of any resource were, may be the end: the server's count decides. It
    counts beyond U, too, for rows that moved on there must not hide as many unread ones. A page
    that is the largest so far may be as large as the server gives, so it is read on from, until
    that has once shown that it was the end.
5.  A page that breaks bounds or order is asked once more; then the read stops.
6.  The bookmark stays `bookmark_lag` behind U, for transactions commit late.
7.  At the end the server's count proves that nothing is missing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_jetti.errors import IncompleteReadError
from tap_jetti.facts.resources import PRIMARY_KEY, REPLICATION_KEY
from tap_jetti.facts.timestamps import from_epoch, later
from tap_jetti.reading.pages import KeyRange
from tap_jetti.reading.server_profile import FEW

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from tap_jetti.client.clock import Clock
    from tap_jetti.reading.pages import Page, PageReader

EARLIEST = "1970-01-01T00:00:00.000Z"
"""Where a read without a start begins: rows without a date are of no incremental stream."""


class _Read:
    """What both kinds of reads share: when to stop, and the proof.

    Args:
        source: Where the pages come from.
        verify_counts: Whether the server's count is asked.
        logger: Where the reader reports.
    """

    def __init__(self, source: PageReader, *, verify_counts: bool, logger: logging.Logger) -> None:
        self._source = source
        self._verify_counts = verify_counts
        self._logger = logger
        self._pages = 0
        self._largest = 0
        self._trusts_short_pages = True
        self._proven_by_count = False
        self._given = 0

    def pages(self) -> Iterator[Page]:
        """The rows, a page at a time and in order.

        A row may come again if it changed meanwhile, or if the read had to be repeated.

        Raises:
            UnreliableResponseError: The server does not answer what it is asked, or counts
                more rows than it gives.
            RequestError: A request failed.
        """
        yield from self._walk()
        missing = self._missing()
        if missing is None:
            return
        self._logger.warning("%s: %s; reading once more.", self._source.resource, missing)
        self._trusts_short_pages = False
        yield from self._walk()
        missing = self._missing()
        if missing is not None:
            raise IncompleteReadError(
                f"{self._source.resource} is incomplete: {missing}, twice. The bookmark stays"
                " where it was. Run again; if it lasts, raise bookmark_lag, or set"
                " verify_counts to false if you know the count to be wrong."
            )

    def total(self) -> int | None:
        """The rows that the server counts in all of this read; None where it does not, or is not to be asked.

        Known from the first page on.

        Raises:
            RequestError: The request failed.
        """
        if not self._verify_counts:
            return None
        counted = self._source.counted(self._everything())
        return self._source.count(self._everything()) if counted is None else counted

    def _walk(self) -> Iterator[Page]:
        raise NotImplementedError

    def _everything(self) -> dict[str, Any]:
        """Conditions that all rows of this read meet, and those that moved on from it."""
        raise NotImplementedError

    def _proof(self) -> tuple[dict[str, Any], int] | None:
        """Conditions to count by, and the rows given that meet them; None if needless."""
        raise NotImplementedError

    def _missing(self) -> str | None:
        """What the server counts beyond what it gave, or None."""
        proof = self._proof() if self._verify_counts and not self._proven_by_count else None
        if proof is None or self._source.counted(self._everything()) == self._given:
            return None
        where, given = proof
        counted = self._source.count(where)
        if counted is None or counted <= given:
            return None
        return f"the server counts {counted} rows and gave {given}"

    def is_end(self, received: int) -> bool:
        """Whether a page of so many rows is taken for the last one, without a count."""
        return self._source.profile.page_sizes.show_end(received, self._source.page_size)

    def _may_be_end(self, page: Page) -> bool:
        """Whether a page is shorter than it should be, or costly to read on from, so that the count must decide."""
        received = len(page)
        may_be_cut = received >= FEW and self._source.profile.page_sizes.may_be_cut(received)
        is_costly = page.keys[0] == page.keys[-1]
        return self._trusts_short_pages and received < self._source.page_size and (is_costly or not may_be_cut)

    def _note_page(self, received: int) -> None:
        self._pages += 1
        self._largest = max(self._largest, received)
        self._source.profile.page_sizes.note(received)

    def _count_agrees(self, received: int) -> bool:
        """Ask the count at a page that may be the end; if it is not, trust none like it.

        Only the exact number will do: a lower one means that rows were deleted meanwhile, and
        as many may be unread; a higher one that rows are unread or new. Rows that moved on are
        counted where they are now. The one thing that this cannot tell are rows deleted between
        the page and its count, and exactly as many unread behind the page: the next run reads
        those, for the bookmark does not pass them. A count from the beginning of the read, where
        there is one, is the better proof, for nothing that left while it was read is missing in
        it; if it is not the number of rows given, it is asked now.
        """
        where, given = self._everything(), self._given
        counted = self._source.counted(where) if self._verify_counts else None
        if self._verify_counts and counted != given:
            counted = self._source.count(where)
        self._proven_by_count = self._trusts_short_pages = counted == given
        if self._proven_by_count and received < FEW:
            self._source.profile.page_sizes.note_whole(received)
        return self._proven_by_count


class IncrementalRead(_Read):
    """The rows of a resource by ``updatedAt``, from a start to the server's clock.

    Args:
        source: Where the pages come from.
        start: The first instant to read, in the normal form; None reads all.
        end: The first instant not to read any more; None reads to the server's clock.
        bookmark_lag: Seconds that the bookmark stays behind the server's clock: it covers
            late commits and the difference between the server's clocks.
        verify_counts: Whether the server's count is asked.
        clock: This machine's clock.
        logger: Where the reader reports.
    """

    def __init__(
        self,
        source: PageReader,
        *,
        start: str | None,
        end: str | None,
        bookmark_lag: float,
        verify_counts: bool,
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        super().__init__(source, verify_counts=verify_counts, logger=logger)
        self._start = start or EARLIEST
        self._end = end
        self._lag = bookmark_lag
        self._clock = clock
        self._upper: str | None = None
        self._last: str | None = None
        self._given_to_prove = 0
        self._proven_by_page = False
        self.ceiling = EARLIEST
        """The bookmark never passes this: U minus the lag. Known from the first page on."""
        self._trusts_short_pages = end is None  # what moves on leaves a range that ends, so no count tells of it

    @property
    def final_bookmark(self) -> str | None:
        """Where the next run goes on after this read has ended; None leaves it where it was.

        After an end that a page proved, the newest instant is done with, so that a large
        one is not read again by every run.
        """
        if self._last is None:
            return None
        done = later(self._last, milliseconds=1) if self._proven_by_page else self._last
        return min(done, self.ceiling)

    @override
    def is_end(self, received: int) -> bool:
        sizes = self._source.profile.page_sizes
        is_known = received <= sizes.whole and received < min(FEW, self._source.page_size) and received != sizes.cut
        return super().is_end(received) or (is_known and self._start == EARLIEST)

    def _walk(self) -> Iterator[Page]:
        cursor, seen, before = self._start, set[int](), 0
        self._pages = self._largest = self._given = self._given_to_prove = 0
        while True:
            given = self._given
            page, received = self._page(cursor)
            yield from self._give(page, cursor, seen)
            if 0 < before < self._source.page_size and self._given > given:
                self._source.profile.page_sizes.note_cut(before)
            if 0 < received < FEW and self._pages == 1 and self._start != EARLIEST and not self.is_end(received):
                self._source.try_large_page(FEW)
            if len(page) < received or self.is_end(received):
                if self._given == given and before < self._source.page_size:
                    self._source.profile.page_sizes.note_whole(before)
                self._proven_by_page = len(page) < received or super().is_end(received)
                return
            if self._may_be_end(page) and self._count_agrees(received):
                return
            first, last = page.keys[0], page.keys[-1]
            if last != cursor:
                seen = set()
            seen.update(page.ids[bisect_left(page.keys, last) :])
            cursor, before = last, received
            if first == last:
                yield from self._instant(cursor, seen)
                cursor, seen = later(cursor, milliseconds=1), set()

    def _page(self, cursor: str) -> tuple[Page, int]:
        """The rows from the cursor on, cut at U and the end, and how many came in all."""
        began = self._clock.monotonic()
        if self._upper is None:
            self._set_upper(self._source.began(began))
        bound = min((date for date in (self._upper, self._end) if date), default=None)
        keys = {"$gte": cursor} if bound is None else {"$gte": cursor, "$lte": bound}
        page, sent = self._source.page({REPLICATION_KEY: keys}, [KeyRange(REPLICATION_KEY, cursor, bound)])
        self._note_page(len(page))
        began = min(began, sent)
        if self._upper is None:
            self._set_upper(self._source.began(began))
        if self._upper is None:
            self._source.profile.warn_once(
                self._logger, "Jetti sends no Date header: this machine's clock stands in for it."
            )
            self._set_upper(self._clock.time() - (self._clock.monotonic() - began))
        return page.only(range(bisect_right(page.keys, self._newest()))), len(page)

    def _instant(self, instant: str, seen: set[int]) -> Iterator[Page]:
        """The rows of one instant that were not seen yet, by id, to an empty page."""
        following = later(instant, milliseconds=1)
        next_id = 0
        while True:
            page, _ = self._source.page(
                {REPLICATION_KEY: {"$gte": instant, "$lte": following}, PRIMARY_KEY: {"$gte": next_id}},
                [KeyRange(PRIMARY_KEY, next_id), KeyRange(REPLICATION_KEY, instant, following)],
            )
            self._note_page(len(page))
            if not len(page):
                return
            next_id = page.ids[-1] + 1
            at_instant = [index for index, key in enumerate(page.keys) if key == instant]
            yield from self._give(page.only(at_instant), instant, seen)

    def _give(self, page: Page, cursor: str, seen: set[int]) -> Iterator[Page]:
        """Hand over the rows that were not seen at the cursor, which is the least of their keys."""
        at_cursor = bisect_right(page.keys, cursor)
        fresh = [index for index in range(at_cursor) if page.ids[index] not in seen]
        page = page.only([*fresh, *range(at_cursor, len(page))])
        if len(page):
            self._given += len(page)
            self._given_to_prove += bisect_right(page.keys, self._newest_to_prove())
            self._last = max(self._last or EARLIEST, page.keys[-1])
            yield page

    def _everything(self) -> dict[str, Any]:
        return all_from(self._start, self._end)

    def _proof(self) -> tuple[dict[str, Any], int] | None:
        newest = self._newest_to_prove()
        is_one_small_page = self._pages == 1 and self._largest < FEW
        if is_one_small_page or newest < self._start:
            return None
        return self._upto(newest), self._given_to_prove

    def _set_upper(self, seconds: float | None) -> None:
        if seconds is not None:
            self._upper = from_epoch(seconds)
            self.ceiling = from_epoch(seconds - self._lag)

    def _upto(self, newest: str) -> dict[str, Any]:
        return {REPLICATION_KEY: {"$gte": self._start, "$lte": newest}}

    def _newest(self) -> str:
        """The latest key that belongs to this read: U, or what lies just before the end."""
        return self._before_end(self._upper or EARLIEST)

    def _newest_to_prove(self) -> str:
        """The latest key that the count is asked for: younger rows may still be committing."""
        return self._before_end(self.ceiling)

    def _before_end(self, instant: str) -> str:
        return min(instant, later(self._end, milliseconds=-1)) if self._end else instant


def all_from(start: str, end: str | None) -> dict[str, Any]:
    """Conditions that all rows from a start to an end meet, and those that move on while they are read."""
    upto = {"$lte": later(end, milliseconds=-1)} if end else {}
    return {REPLICATION_KEY: {"$gte": start, **upto}}


def all_by_id(first_id: int = 0) -> dict[str, Any]:
    """Conditions that all rows of a resource meet."""
    return {PRIMARY_KEY: {"$gte": first_id}}


class FullRead(_Read):
    """All rows of a resource by ``id``, for those whose dates may be null.

    Args:
        source: Where the pages come from.
        verify_counts: Whether the server's count is asked.
        logger: Where the reader reports.
        first_id: The least id to read.
    """

    def __init__(self, source: PageReader, *, verify_counts: bool, logger: logging.Logger, first_id: int = 0) -> None:
        super().__init__(source, verify_counts=verify_counts, logger=logger)
        self._first_id = self._next_id = first_id

    def _walk(self) -> Iterator[Page]:
        self._pages = self._largest = self._given = 0
        self._next_id = self._first_id
        while True:
            page, _ = self._source.page({PRIMARY_KEY: {"$gte": self._next_id}}, [KeyRange(PRIMARY_KEY, self._next_id)])
            self._note_page(len(page))
            if len(page):
                self._given += len(page)
                self._next_id = page.ids[-1] + 1
                yield page
            if self.is_end(len(page)) and self._has_all(len(page)):
                return

    def _has_all(self, received: int) -> bool:
        """Whether nothing comes after a page that looks like the last one.

        The proof after the read cannot tell: it asks for the rows up to the last one given, for new ones come behind.
        """
        if not received or not self._verify_counts or self._pages == 1:
            return True
        return self._trusts_short_pages and self._count_agrees(received)

    def _everything(self) -> dict[str, Any]:
        return all_by_id(self._first_id)

    def _proof(self) -> tuple[dict[str, Any], int] | None:
        if self._given < FEW:
            return None
        return {PRIMARY_KEY: {"$lte": self._next_id - 1}}, self._given
