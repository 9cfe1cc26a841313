"""A read by `id`: its upper bound, its end, and what it does where the server does not count."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from runs import LOGGER
from tap_jetti.errors import ClientError, IncompleteReadError
from tap_jetti.reading.id_read import MAX_EMPTY_PAGES, MAX_OPEN_COUNTS, IdRead
from tap_jetti.reading.page import Page
from tap_jetti.reading.pages import AskedPage, KeyRange
from tap_jetti.reading.proof import Proof
from tap_jetti.reading.resource_facts import ResourceFacts
from tap_jetti.reading.server_profile import ServerProfile

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED = ClientError("Jetti refused the request", status=400, method="GET", path="/api/sales.json")


@dataclass
class Table:
    """Pages of a table, as `PageReader` gives them.

    Attributes:
        ids: The rows that are there.
        limit: Rows asked for per page.
        cuts: The rows that the next pages have at most, one each.
        counts: What the next counts answer instead of the number of rows.
        newest: What the next questions for the newest id answer instead: an id, None, or an error.
        on_request: Called before each request.
        asked: Every request so far: ``page``, ``count`` or ``newest``, and its range.
    """

    ids: set[int]
    limit: int = 10
    cuts: deque[int] = field(default_factory=deque)
    counts: deque[int | None] = field(default_factory=deque)
    newest: deque[int | ClientError | None] = field(default_factory=deque)
    on_request: Callable[[], None] = lambda: None
    asked: list[tuple[str, KeyRange | None]] = field(default_factory=list)
    resource: str = "sales"
    facts: ResourceFacts = field(default_factory=lambda: ResourceFacts("sales"))
    profile: ServerProfile = field(default_factory=ServerProfile)

    def began(self, at: float) -> float | None:
        """Not asked by a read by id."""
        raise NotImplementedError(at)

    def page(self, *ranges: KeyRange) -> AskedPage:
        """The first rows of a range."""
        most = self.cuts.popleft() if self.cuts else self.limit
        ids = self._in(ranges, "page")[:most]
        return AskedPage(Page([{"id": id_} for id_ in ids], ids, [None] * len(ids)), self.limit, 0.0)

    def newest_id(self) -> int | None:
        """The newest id."""
        self.on_request()
        self.asked.append(("newest", None))
        newest = self.newest.popleft() if self.newest else max(self.ids, default=None)
        if isinstance(newest, ClientError):
            raise newest
        return newest

    def count(self, *ranges: KeyRange) -> int | None:
        """The rows of a range."""
        found = len(self._in(ranges, "count"))
        return self.counts.popleft() if self.counts else found

    estimate = count

    def _in(self, ranges: tuple[KeyRange, ...], kind: str) -> list[int]:
        self.on_request()
        self.asked.append((kind, ranges[0]))
        upper = ranges[0].upper
        return sorted(id_ for id_ in self.ids if id_ >= ranges[0].lower and (upper is None or id_ <= upper))

    def kinds(self) -> list[str]:
        """What was asked, in order."""
        return [kind for kind, _ in self.asked]


def read(table: Table, *, verify_counts: str = "auto", first_id: int = 0) -> tuple[list[int], IdRead]:
    """The ids that a read gives, and the read."""
    reader = IdRead(table, verify_counts=verify_counts, logger=LOGGER, first_id=first_id)
    return [id_ for page in reader.pages() for id_ in page.ids], reader


def rows(number: int) -> set[int]:
    """So many ids, not all of those there could be."""
    return {3 * id_ + 1 for id_ in range(number)}


class TestEnd:
    """Only a count of zero rows behind the last one is the end."""

    @pytest.mark.parametrize(
        ("number", "asked"),
        [
            (0, ["page", "count"]),
            (1, ["page", "count"]),
            (9, ["page", "count"]),
            (10, ["page", "newest", "page", "count"]),
            (11, ["page", "newest", "page", "count"]),
            (25, ["page", "newest", "page", "page", "count"]),
        ],
    )
    def test_requests_of_a_quiet_read(self, number: int, asked: list[str]) -> None:
        """A count for the end, and the newest id where there is more than a page."""
        table = Table(rows(number))
        given, reader = read(table)
        assert given == sorted(rows(number))
        assert reader.proof is Proof.PROVEN
        assert table.kinds() == asked

    @pytest.mark.parametrize("cut", range(10))
    @pytest.mark.parametrize("at", range(4))
    def test_a_short_page_is_not_the_end(self, at: int, cut: int) -> None:
        """Whichever page is cut to whatever size, an empty one too."""
        table = Table(rows(35), cuts=deque([*[10] * at, cut]))
        given, reader = read(table)
        assert given == sorted(rows(35))
        assert reader.proof is Proof.PROVEN

    def test_rows_that_are_counted_must_come(self) -> None:
        """A server that counts rows and never gives them fails the read, and the error names the last id."""
        table = Table(rows(12), cuts=deque([10, *[0] * 50]))
        with pytest.raises(IncompleteReadError, match=r"counts 2 rows after id 28, but does not return them"):
            read(table)
        assert len(table.cuts) == 50 - MAX_EMPTY_PAGES

    def test_empty_pages_are_counted_in_a_row(self) -> None:
        """A page with rows begins anew."""
        cuts = [number for _ in range(4) for number in (*[0] * (MAX_EMPTY_PAGES - 1), 3)]
        given, reader = read(Table(rows(12), cuts=deque(cuts)))
        assert given == sorted(rows(12))
        assert reader.proof is Proof.PROVEN

    def test_a_count_that_is_too_low_on_the_way_does_not_end_the_read(self) -> None:
        """As long as it is not zero."""
        given, _ = read(Table(rows(35), cuts=deque([10, 5]), counts=deque([1])))
        assert given == sorted(rows(35))

    def test_the_total_is_counted_once(self) -> None:
        """For the progress line."""
        table = Table(rows(5))
        reader = IdRead(table, verify_counts="auto", logger=LOGGER)
        assert reader.total() == reader.total() == 5
        assert table.kinds() == ["count"]

    def test_a_window_begins_at_its_first_id(self) -> None:
        """And gives nothing before it."""
        given, _ = read(Table(rows(30)), first_id=40)
        assert given == [id_ for id_ in sorted(rows(30)) if id_ >= 40]


class TestWithoutCount:
    """Where the server does not count, or is not to be asked."""

    @pytest.mark.parametrize("number", [0, 1, 9, 10, 11, 35])
    def test_the_end_is_asked_twice(self, number: int) -> None:
        """And is not proven."""
        table = Table(rows(number), counts=deque([None] * 9))
        given, reader = read(table)
        assert given == sorted(rows(number))
        assert reader.proof is Proof.UNPROVEN
        assert table.kinds().count("count") == 1

    def test_never_asks_no_count(self) -> None:
        """What `verify_counts` says."""
        table = Table(rows(35))
        given, reader = read(table, verify_counts="never")
        assert given == sorted(rows(35))
        assert reader.proof is Proof.UNPROVEN
        assert reader.total() is None
        assert "count" not in table.kinds()

    @pytest.mark.parametrize("cut", range(10))
    def test_one_short_page_is_not_the_end(self, cut: int) -> None:
        """One empty page is not either."""
        given, _ = read(Table(rows(35), cuts=deque([10, cut])), verify_counts="never")
        assert given == sorted(rows(35))


class TestUpperBound:
    """The newest id when the read began."""

    def test_a_read_ends_though_a_row_is_added_per_request(self) -> None:
        """Rows with larger ids belong to the next read."""
        table = Table(rows(35))
        table.on_request = lambda: table.ids.add(max(table.ids) + 1)
        given, reader = read(table)
        assert set(given) >= rows(35)
        assert reader.proof is Proof.PROVEN
        bounds = [wanted.upper for _, wanted in table.asked if wanted is not None]
        assert bounds[0] is None
        assert all(bound == bounds[-1] for bound in bounds[1:])

    @pytest.mark.parametrize("answers", [[None], [None, None]], ids=len)
    def test_an_empty_answer_is_asked_again(self, answers: list[None]) -> None:
        """After the next page."""
        table = Table(rows(45), newest=deque(answers))
        given, _ = read(table)
        assert given == sorted(rows(45))
        assert table.kinds().count("newest") == len(answers) + 1

    @pytest.mark.parametrize(
        "answer", [1, 25, 4, REFUSED], ids=["the least id", "below the last one", "any row given", "refused"]
    )
    def test_without_one_the_read_ends_once_nothing_is_added(
        self, answer: int | ClientError, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A server that ignores the descending order is named, once."""
        table = Table(rows(45), newest=deque([answer]))
        given, reader = read(table)
        assert given == sorted(rows(45))
        assert reader.proof is Proof.PROVEN
        assert table.kinds().count("newest") == 1
        assert sum("ignores order[descending]" in entry.getMessage() for entry in caplog.records) == 1
        assert all(wanted.upper is None for _, wanted in table.asked if wanted is not None)

    def test_without_one_a_read_that_gains_rows_all_the_time_fails(self) -> None:
        """It has no end that could be proven."""
        table = Table(rows(15), newest=deque([1]))
        table.on_request = lambda: table.ids.add(max(table.ids) + 1)
        with pytest.raises(IncompleteReadError, match="rows are added all the time"):
            read(table)
        assert table.kinds().count("count") == MAX_OPEN_COUNTS

    def test_one_row_is_no_answer(self) -> None:
        """Where the response did not show which end of the table it is, the newest id is asked after the next page."""
        table = Table({7, 9}, limit=1, newest=deque([None]))
        given, reader = read(table)
        assert given == [7, 9]
        assert reader.proof is Proof.PROVEN
