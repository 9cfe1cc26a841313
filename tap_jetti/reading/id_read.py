"""Reads all rows of a resource by ``id``: for resources whose dates may be null, and for snapshots of ids.

- A read has an upper bound, the newest id when it began: otherwise one that gains a row per request never ends.
- The server may give any prefix of the right page, an empty one too. So only a count of zero rows behind the last one,
  up to the newest id, is the end. It covers what is there, not what was read.
- Where the server does not count, the end is asked twice, and the read is not proven.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.errors import ClientError, IncompleteReadError
from tap_jetti.facts.resources import PRIMARY_KEY
from tap_jetti.reading.pages import IGNORED, KeyRange
from tap_jetti.reading.proof import Proof

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from tap_jetti.reading.page import Page
    from tap_jetti.reading.pages import PageReader

MAX_EMPTY_PAGES = 6
"""Empty pages in a row, with rows counted behind them, after which a read fails."""

MAX_OPEN_COUNTS = 20
"""Counts of rows behind the last one after which a read without an upper bound fails: it gains rows all the time."""


class IdRead:
    """All rows of a resource by ``id``.

    Args:
        source: Where the pages come from.
        verify_counts: ``never`` asks no count; ``auto`` and ``always`` do.
        logger: Where the reader reports.
        first_id: The least id to read.

    Attributes:
        proof: How far the end is proven, once it was reached.
        began: This machine's monotonic clock, in seconds, when the request of the first page left; None before that.
            Every row that was committed then is given, unless it is deleted.
    """

    def __init__(self, source: PageReader, *, verify_counts: str, logger: logging.Logger, first_id: int = 0) -> None:
        self.proof = Proof.UNPROVEN
        self.began: float | None = None
        self._source = source
        self._can_count = verify_counts != "never"
        self._logger = logger
        self._first_id = self._next_id = first_id
        self._first_given: int | None = None
        self._newest: int | None = None
        self._asks_newest = True
        self._total: int | None = None

    def total(self) -> int | None:
        """The rows that the server counts in all of this read; None where it does not, or is not to be asked.

        Raises:
            RequestError: The request failed.
        """
        if self._total is None and self._can_count:
            self._total = self._source.estimate(KeyRange(PRIMARY_KEY, self._first_id, self._newest))
        return self._total

    def pages(self) -> Iterator[Page]:
        """The rows, a page at a time and in the order of their ids.

        Raises:
            IncompleteReadError: The server counts rows that it does not give, or gains rows all the time.
            UnreliableResponseError: The server does not give what it is asked for.
            RequestError: A request failed.
        """
        counted: int | None = None
        empty_pages = open_counts = 0
        while True:
            asked = self._source.page(self._rest())
            page = asked.page
            self.began = asked.sent if self.began is None else self.began
            if len(page):
                self._first_given = min(self._first_given or page.ids[0], page.ids[0])
                self._next_id = page.ids[-1] + 1
                empty_pages = 0
                counted = None if counted is None else counted - len(page)
                yield page
            else:
                empty_pages += 1
            is_short = len(page) < asked.limit
            if not self._has_newest() and len(page) and (not is_short or (counted is not None and counted > 0)):
                self._ask_newest()
                continue
            counted = self._source.count(self._rest()) if self._can_count else None
            if counted == 0:
                self.proof = Proof.PROVEN
                return
            if counted is None:
                self._can_count = False
                if empty_pages > 1:
                    return
            elif empty_pages == MAX_EMPTY_PAGES:
                raise self._incomplete(
                    f"Jetti counts {counted} rows after id {self._next_id - 1}, but does not return them"
                )
            elif self._newest is None:
                open_counts += 1
                if open_counts == MAX_OPEN_COUNTS:
                    raise self._incomplete("rows are added all the time, and Jetti does not tell the newest id")
            self._ask_newest()

    def _has_newest(self) -> bool:
        return self._newest is not None and self._next_id > self._newest

    def _rest(self) -> KeyRange:
        return KeyRange(PRIMARY_KEY, self._next_id, self._newest)

    def _ask_newest(self) -> None:
        """Learn the upper bound; after the first page, for most tables have no more."""
        if not self._asks_newest or self._first_given is None:
            return
        try:
            newest = self._source.newest_id()
        except ClientError as error:
            self._logger.debug("The newest id cannot be asked: %s", error)
            newest = IGNORED
        if newest is None:
            return  # it is asked again after the next page
        self._asks_newest = False
        if newest >= self._next_id - 1:
            self._newest = newest
        else:
            self._source.profile.warn_once(
                self._logger,
                "Jetti ignores order[descending], so the newest id is unknown. A read by id then ends only when no row"
                " is added.",
            )

    def _incomplete(self, reason: str) -> IncompleteReadError:
        return IncompleteReadError(
            f"{self._source.resource} is incomplete: {reason}. Run again. If it fails again, tell Jetti's support;"
            " if you know the count to be wrong, set verify_counts of tap-jetti to never."
        )
