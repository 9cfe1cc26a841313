"""Reads the rows of a resource by ``updatedAt``, so that none is lost whatever changes meanwhile.

1. *Upper bound.* U is the server's clock when the read began. Rows changed later belong to the next run, so that a read
   ends however busy the resource is.
2. *Counted first, then paid.* Where the end must be proven by a count, it is asked before the page that has to pay it.
3. *Step.* Each page begins at the last key given (``$gte``): stored dates may be finer than the milliseconds shown, and
   rows of one instant may come in another order each time. What was seen at that key is dropped.
4. *End.* What a page means is decided by one table: `tap_jetti.reading.proof.judge`.
5. *Instants larger than a page* are read by ``id``, to an empty page and a count of zero behind it.
6. *Bookmark.* The last key GIVEN, or U minus the lag where that is earlier, since transactions commit late. It passes
   an instant by a millisecond only after that was read by ``id`` and proven.
7. *Learning.* What pages and counts have shown of the server stays in the bookmark: `ResourceFacts`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from tap_jetti.errors import IncompleteReadError
from tap_jetti.facts.resources import PRIMARY_KEY, REPLICATION_KEY
from tap_jetti.facts.timestamps import later
from tap_jetti.reading.pages import KeyRange
from tap_jetti.reading.proof import ENDS, PageFacts, Proof, Verdict, judge
from tap_jetti.reading.read_range import EARLIEST, ReadRange

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from tap_jetti.client.clock import Clock
    from tap_jetti.reading.page import Page
    from tap_jetti.reading.pages import PageReader

MAX_IDLE_PAGES = 6
"""Pages in a row without a new row after which a read fails."""

MAX_LOW_COUNTS = 3
"""Counts below the rows given after which a resource is taken for one that is not counted."""


class IncrementalRead:
    """The rows of a resource by ``updatedAt``, from a start to the server's clock.

    Args:
        source: Where the pages come from.
        start: The first instant to read, in the normal form; None reads all.
        end: The first instant not to read any more; None reads to the server's clock.
        bookmark_lag: Seconds that the bookmark stays behind the server's clock: it covers
            late commits and the difference between the server's clocks.
        verify_counts: ``auto`` asks the server's count as rarely as is safe, ``always``
            for each read, ``never`` not at all.
        clock: This machine's clock.
        logger: Where the reader reports.

    Attributes:
        proof: How far the end is proven, once it was reached.
        range: What is read, up to where.
    """

    def __init__(
        self,
        source: PageReader,
        *,
        start: str | None,
        end: str | None,
        bookmark_lag: float,
        verify_counts: str,
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        self.proof = Proof.UNPROVEN
        self.range = ReadRange(source, start=start, end=end, lag=bookmark_lag, clock=clock, logger=logger)
        self._source = source
        self._facts = source.facts
        self._start = self.range.start
        self._lag = bookmark_lag
        self._verify = verify_counts
        self._clock = clock
        self._logger = logger
        self._can_count = verify_counts != "never"
        self._must_count = False
        self._owed: int | None = None
        self._owes_later_rows = False
        self._may_have_gaps = False
        self._given_settled = 0
        self._low_counts = 0
        self._idle_pages = 0
        self._pages = 0
        self._short: int | None = None
        self._cursor = self._start
        self._known = self._facts.ids_given_at(self._start)
        self._seen = set(self._known or ())
        self._seen_here = set[int]()
        self._last: str | None = None
        self._passed: str | None = None
        self._pin: str | None = None
        self._total: int | None = None

    def bookmark(self, key: str) -> str:
        """Where the next run would go on after all rows up to a key were written."""
        return min(key, self.range.ceiling, self._pin or key)

    @property
    def final_bookmark(self) -> str | None:
        """Where the next run goes on after this read has ended; None leaves it where it was."""
        last = max(filter(None, (self._last, self._passed)), default=None)
        return None if last is None else self.bookmark(last)

    def total(self) -> int | None:
        """The rows that the server counts in all of this read; None where it does not, or is not to be asked.

        Raises:
            RequestError: The request failed.
        """
        if self._total is None and self._can_count:
            self._total = self._source.estimate(KeyRange(REPLICATION_KEY, self._start, self.range.bound))
        return self._total

    def pages(self) -> Iterator[Page]:
        """The rows, a page at a time and in order, each at least once.

        Raises:
            IncompleteReadError: The server counts more rows than it gives.
            UnreliableResponseError: The server does not give what it is asked for.
            SettingsError: The read begins after the server's clock.
            RequestError: A request failed.
        """
        self.range.learn()
        self._must_count = self._can_count and (self._verify == "always" or self._facts.must_count(self.range.now))
        while not self.range.is_behind(self._cursor):
            self._count_if_due()
            page, limit, beyond_upper = self._ask()
            fresh = self._new_rows_of(page)
            self._learn(fresh)
            if len(fresh):
                self._give(fresh)
                yield fresh
            is_full = self._facts.is_full(len(page), limit)
            verdict = judge(
                PageFacts(
                    beyond_upper=beyond_upper,
                    is_full=is_full,
                    rows=len(page),
                    owed=self._owed,
                    must_count=self._must_count,
                    can_count=self._can_count,
                    is_trusted_size=self._facts.is_trusted_size(len(page)),
                    has_new=len(fresh) > 0,
                    is_first=self._pages == 1,
                )
            )
            if verdict in ENDS:
                self._check_gaps()
                if verdict is Verdict.COUNT_IS_PAID:
                    yield from self._prove_instant(page)
                self._note_end(verdict)
                self._remember_ids(page)
                return
            self._note_count(verdict)
            self._short = None if is_full else len(page)
            self._idle_pages = 0 if len(fresh) else self._idle_pages + 1
            if self._idle_pages == MAX_IDLE_PAGES:
                raise self._incomplete(f"{MAX_IDLE_PAGES} pages in a row from {self._cursor} on have no new row")
            yield from self._go_on(page, is_full=is_full)
        if self._pages == 0 or self._passed == self._cursor:
            self.proof = Proof.PROVEN  # the range is empty, or it ends with an instant that was proven by itself

    # The parts of the loop, in the order in which it calls them.

    def _count_if_due(self) -> None:
        """Rule 2: ask what is owed before the page that has to pay it."""
        if self._owed is None and self._must_count and self._can_count:
            bound = self.range.bound
            self._owed = self._source.count(KeyRange(REPLICATION_KEY, self._cursor, bound))
            self._owes_later_rows = bound is None
            self._can_count = self._owed is not None
            if self._pages == 0:
                self._total = self._owed
            self.range.learn()

    def _ask(self) -> tuple[Page, int, bool]:
        """The rows from the cursor to the upper bound, the limit they were asked under, and whether more came."""
        asked = self._source.page(KeyRange(REPLICATION_KEY, self._cursor, self.range.bound))
        self._pages += 1
        self.range.learn(is_last_chance=True)
        upto = bisect_right(asked.page.keys, self.range.newest or EARLIEST)
        return asked.page.only(range(upto)), asked.limit, upto < len(asked.page)

    def _new_rows_of(self, page: Page) -> Page:
        """The rows that were not given yet. Only those at the cursor, the least of their keys, can have been."""
        at_cursor = bisect_right(page.keys, self._cursor)
        fresh = [index for index in range(at_cursor) if page.ids[index] not in self._seen]
        if fresh and self._known is not None and self._cursor == self._start:
            # The instant was settled when its ids were kept: the page that ended that run was cut.
            self._facts.cut_at = self.range.upper
            self._must_count = self._can_count
        return page.only([*fresh, *range(at_cursor, len(page))])

    def _learn(self, fresh: Page) -> None:
        """Rule 8: settled rows behind a short page show that it was cut. Rows committed late show nothing."""
        if self._short is not None and len(fresh) and fresh.keys[0] < self.range.ceiling:
            self._facts.note_cut(self._short, self.range.now)

    def _note_end(self, verdict: Verdict) -> None:
        """Take note how far the end is proven."""
        if verdict in {Verdict.BEYOND_UPPER, Verdict.COUNT_IS_PAID}:
            self.proof = Proof.PROVEN
            if verdict is Verdict.COUNT_IS_PAID:
                self._facts.note_proof(self.range.now, by_count=True)
        elif verdict is Verdict.TRUSTED_SIZE:
            is_counted = self._verify != "never" and self._facts.is_counted
            self.proof = Proof.TRUSTED if is_counted else Proof.UNPROVEN
        elif self._verify != "never":
            self._facts.note_proof(self.range.now, by_count=False)

    def _note_count(self, verdict: Verdict) -> None:
        """Have the count asked that a page has shown to be due."""
        if verdict is Verdict.COUNT_IS_DUE:
            self._must_count = True
        elif verdict is Verdict.COUNT_IS_LOW:
            self._owed = None
            self._low_counts += 1
            if self._low_counts == MAX_LOW_COUNTS:
                self._can_count = False
                self._source.profile.stop_counting(self._source.resource)
                self._source.profile.warn_once(
                    self._logger,
                    "Jetti counted fewer %s than it returned, %d times. So this read is not proven complete."
                    " If that happens in every run, tell Jetti's support, and set verify_counts to never.",
                    self._source.resource,
                    MAX_LOW_COUNTS,
                )

    def _go_on(self, page: Page, *, is_full: bool) -> Iterator[Page]:
        """Rule 5: move the cursor to the last row; read an instant by id where that does not move."""
        last = page.keys[-1] if len(page) else self._cursor
        if last > self._cursor:
            at_last = bisect_left(page.keys, last)
            if self._owed is not None:
                self._owed -= at_last
            self._cursor = last
            self._seen = self._seen_here = set(page.ids[at_last:])
            return
        self._seen.update(page.ids)
        self._seen_here = self._seen_here | set(page.ids)
        owes_more = self._owed is not None and self._owed > len(page)
        self._may_have_gaps = self._may_have_gaps or owes_more
        owes_more = owes_more and not self._owes_later_rows
        # Without a count, an instant of several rows that brings no more may be one that is cut.
        cannot_tell = not self._can_count and len(page) > 1 and self._idle_pages > 0
        if len(page) and (is_full or owes_more or cannot_tell):
            yield from self._read_instant()
            self._cursor, self._seen, self._seen_here = later(self._cursor, milliseconds=1), set(), set()
        self._owed = None

    def _read_instant(self) -> Iterator[Page]:
        """Rule 6: the rows of one instant that were not given yet, by id, to an empty page and a count of zero."""
        instant, following = self._cursor, later(self._cursor, milliseconds=1)
        met, next_id, empty_pages = set[int](), 0, 0
        while True:
            # `$lte` a shown date can miss rows stored with microseconds behind it. So the next millisecond is asked
            # for, too: its own rows are passed over, but walked by, so that page and count speak of the same rows.
            ranges = KeyRange(PRIMARY_KEY, next_id), KeyRange(REPLICATION_KEY, instant, following)
            page = self._source.page(*ranges).page
            if len(page):
                empty_pages, next_id = 0, page.ids[-1] + 1
                here = page.only([index for index, key in enumerate(page.keys) if key == instant])
                met.update(here.ids)
                fresh = here.only([index for index, id_ in enumerate(here.ids) if id_ not in self._seen])
                if len(fresh):
                    self._give(fresh)
                    yield fresh
                continue
            empty_pages += 1
            behind = self._source.count(*ranges) if self._can_count else None
            if behind == 0 or (behind is None and empty_pages > 1):
                break
            if empty_pages == MAX_IDLE_PAGES:
                raise self._incomplete(
                    f"Jetti counts {behind} more rows with updatedAt {instant}, but does not return them"
                )
        if not self._seen_here <= met:
            self._pin = min(self._pin or instant, instant)  # page and count may have lied together: come back here
        elif behind == 0:
            self._passed = max(self._passed or EARLIEST, following)

    def _prove_instant(self, page: Page) -> Iterator[Page]:
        """Read by id what an end by count consists of, if that is one settled instant as large as any page.

        Otherwise a table whose rows share one instant is counted in every run, since no smaller page is ever seen.
        """
        if not len(page) or page.keys[0] != page.keys[-1] or page.keys[-1] >= self.range.ceiling:
            return
        if self._facts.is_trusted_size(len(page)):
            return
        self._cursor = page.keys[-1]
        self._seen = self._seen_here = set(page.ids)
        for missed in self._read_instant():
            yield missed
            raise self._incomplete(
                f"Jetti's count agreed with a page, but rows with updatedAt {self._cursor} were not on it"
            )

    def _give(self, fresh: Page) -> None:
        """Take note of rows that are given."""
        self._last = max(self._last or EARLIEST, fresh.keys[-1])
        self._given_settled += bisect_left(fresh.keys, self.range.ceiling)

    def _check_gaps(self) -> None:
        """Count all settled rows if some that were counted have neither come nor been found to have moved on.

        A settled range only loses rows: more of them than were given shows that the server passes rows over within its
        pages. The last key given proves nothing then.
        """
        settled = later(self.range.ceiling, milliseconds=-1)
        upto = min(settled, self.range.newest or settled)
        if not self._may_have_gaps or not self._can_count or upto < self._start:
            return
        expected = self._given_settled + len(self._known or ())
        counted = self._source.count(KeyRange(REPLICATION_KEY, self._start, upto))
        if counted is not None and counted > expected:
            self._clock.sleep(self._lag)  # a replica may still have shown rows that have moved on
            counted = self._source.count(KeyRange(REPLICATION_KEY, self._start, upto))
        if counted is not None and counted > expected:
            error = self._incomplete(
                f"Jetti counts {counted} rows but returned {expected}, so the bookmark is put back"
            )
            error.refutes_bookmark = True
            raise error

    def _remember_ids(self, page: Page) -> None:
        """Rule 9: keep the ids of the bookmark's instant, so that the next run need not give their rows again."""
        bookmark = self.final_bookmark
        if bookmark is None or bookmark < self._start:
            return  # it stays where it was, and so do its ids
        ids = set(self._seen) if bookmark == self._cursor else set()
        is_last_key = len(page) > 0 and page.keys[-1] == bookmark
        if is_last_key:
            ids.update(page.ids[bisect_left(page.keys, bookmark) :])
        is_known = (
            is_last_key or bookmark == self._cursor or (bookmark == self._passed and (self._last or "") < bookmark)
        )
        self._facts.note_ids(bookmark if is_known and bookmark < self.range.ceiling else None, frozenset(ids))

    def _incomplete(self, reason: str) -> IncompleteReadError:
        self._facts.proven_at = None  # the next run must not trust what this one has refuted
        return IncompleteReadError(
            f"{self._source.resource} is incomplete: {reason}. Run again. If it fails again, tell Jetti's support;"
            " if you know the count to be wrong, set verify_counts to never."
        )
