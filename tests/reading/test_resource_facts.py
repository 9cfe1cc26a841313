"""What is learnt of one resource, and how it is kept in the bookmark."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tap_jetti.facts.resources import names
from tap_jetti.facts.timestamps import later
from tap_jetti.reading.resource_facts import BOOKMARK_KEY, MOST_IDS, ResourceFacts

NOW = "2020-06-15T12:00:00.000Z"
DAY = 24 * 60 * 60 * 1000


def days_ago(days: float) -> str:
    """An instant so many days before now."""
    return later(NOW, milliseconds=-round(days * DAY))


def stored(**facts: Any) -> ResourceFacts:
    """The facts of a bookmark that holds these."""
    return ResourceFacts.from_bookmark("sales", {BOOKMARK_KEY: facts})


class TestBookmark:
    """Facts survive a bookmark, and a bookmark that holds anything else is no error."""

    def test_facts_survive_the_bookmark(self) -> None:
        """What was learnt is there in the next run, through JSON."""
        facts = ResourceFacts("sales", 250, is_capped=True, proven_at=NOW, is_counted=False, cut_at=days_ago(1))
        facts.note_ids(NOW, frozenset({3, 1, 2}))
        again = ResourceFacts.from_bookmark("sales", json.loads(json.dumps({BOOKMARK_KEY: facts.to_bookmark()})))
        assert again == facts

    def test_every_key_is_always_written(self) -> None:
        """A state that is merged key by key must not keep a fact that was forgotten."""
        learnt = ResourceFacts("sales", 9, is_capped=True, proven_at=NOW, cut_at=NOW)
        learnt.note_ids(NOW, frozenset({1}))
        unknown = ResourceFacts("sales").to_bookmark()
        assert unknown.keys() == learnt.to_bookmark().keys()
        merged = {**learnt.to_bookmark(), **unknown}
        assert ResourceFacts.from_bookmark("sales", {BOOKMARK_KEY: merged}) == ResourceFacts("sales")

    @pytest.mark.parametrize(
        "bookmark",
        [
            {},
            {"replication_key": "updatedAt", "replication_key_value": NOW},
            {BOOKMARK_KEY: None},
            {BOOKMARK_KEY: "100"},
            {BOOKMARK_KEY: [100]},
            {BOOKMARK_KEY: {}},
            {BOOKMARK_KEY: {"page_sizes": {"100": 3}, "cut": True}},
        ],
        ids=["empty", "of 0.1.0", "null", "text", "list", "no facts", "other keys"],
    )
    def test_an_old_state_holds_no_facts(self, bookmark: dict[str, Any]) -> None:
        """A state without facts, or with those of another version, is loaded and means that nothing is known."""
        facts = ResourceFacts.from_bookmark("sales", bookmark)
        assert facts == ResourceFacts("sales")
        assert facts.must_count(NOW)

    @pytest.mark.parametrize("value", ["100", -1, 0, 1.5, True, None, [100], {}], ids=repr)
    def test_a_malformed_size_is_not_known(self, value: object) -> None:
        """Only an integer above 0 is the size of a page."""
        assert stored(largest_page=value).largest == 0

    @pytest.mark.parametrize("value", ["yes", 1, None, [], "true"], ids=repr)
    def test_a_malformed_flag_is_not_set(self, value: object) -> None:
        """A cap is known only from a true, and the count is doubted only after a false."""
        facts = stored(is_capped=value, is_counted=value)
        assert not facts.is_capped
        assert facts.is_counted

    @pytest.mark.parametrize("value", ["yesterday", "", 5, None, True, [], "2020-99-99T00:00:00Z"], ids=repr)
    def test_a_malformed_instant_is_not_known(self, value: object) -> None:
        """What is no date proves nothing: the next read counts."""
        facts = stored(proven_at=value, cut_at=value, last_instant=value, last_ids=[1])
        assert (facts.proven_at, facts.cut_at, facts.last_instant) == (None, None, None)
        assert facts.must_count(NOW)
        assert facts.ids_given_at(NOW) is None

    @pytest.mark.parametrize("value", [None, "1", [1, "2"], [True], [1.0], {"1": 2}, [None]], ids=repr)
    def test_malformed_ids_are_not_known(self, value: object) -> None:
        """With ids that cannot be read the instant is not known, so that its rows are given again."""
        facts = stored(last_instant=NOW, last_ids=value)
        assert facts.ids_given_at(NOW) is None

    def test_dates_are_brought_to_the_normal_form(self) -> None:
        """Instants are compared as text, so that they must have one form."""
        assert stored(proven_at="2020-06-15T14:00:00+02:00").proven_at == NOW


class TestTrust:
    """Which short page may end a read without a count."""

    @pytest.mark.parametrize(
        ("largest", "rows", "is_trusted"),
        [(0, 0, True), (0, 1, True), (0, 2, False), (50, 49, True), (50, 50, False), (50, 51, False), (2, 1, True)],
    )
    def test_trusted_size(self, largest: int, rows: int, is_trusted: bool) -> None:
        """One smaller than the largest page, or of at most one row; never one as large as the largest."""
        assert ResourceFacts("sales", largest).is_trusted_size(rows) is is_trusted

    @pytest.mark.parametrize(
        ("largest", "is_capped", "rows", "is_full"),
        [
            (100, False, 99, False),
            (100, False, 100, True),
            (100, False, 101, True),
            (30, False, 30, False),
            (30, True, 30, True),
            (30, True, 29, False),
            (1, True, 1, False),
            (0, True, 1, False),
            (0, True, 2, True),
        ],
    )
    def test_full(self, largest: int, is_capped: bool, rows: int, is_full: bool) -> None:
        """As many rows as asked for, or as a known cap lets through, which is at least two."""
        assert ResourceFacts("sales", largest, is_capped=is_capped).is_full(rows, 100) is is_full

    def test_the_largest_page_is_kept(self) -> None:
        """A smaller page does not change it."""
        facts = ResourceFacts("sales")
        for rows in (3, 7, 5):
            facts.note_page(rows)
        assert facts.largest == 7


class TestMustCount:
    """When a read must end by a count."""

    def test_never_proven(self) -> None:
        """Nothing is known of a new resource."""
        assert ResourceFacts("sales").must_count(NOW)

    @pytest.mark.parametrize(("days", "must_count"), [(0, False), (4.99, False), (7.01, True), (400, True)])
    def test_a_proof_holds_for_five_to_seven_days(self, days: float, must_count: bool) -> None:
        """Whatever the name of the resource."""
        facts = [ResourceFacts(name, proven_at=days_ago(days)) for name in names()]
        assert {one.must_count(NOW) for one in facts} == {must_count}

    def test_the_proofs_of_one_night_expire_on_several(self) -> None:
        """Streams that were all loaded at once are not all counted again in the same night."""
        shares = [
            sum(ResourceFacts(name, proven_at=days_ago(days)).must_count(NOW) for name in names()) / len(list(names()))
            for days in (5.25, 5.5, 5.75, 6, 6.25, 6.5, 6.75)
        ]
        assert shares == sorted(shares)
        for number, share in enumerate(shares, start=1):
            assert abs(share - number / 8) < 0.12

    def test_a_resource_expires_at_the_same_age_in_every_run(self) -> None:
        """The spread comes from the name, in every process alike."""
        is_due = [ResourceFacts("sales", proven_at=days_ago(5 + age / 50)).must_count(NOW) for age in range(101)]
        assert is_due.index(True) == 88
        assert is_due == sorted(is_due)

    def test_a_proof_from_the_future_is_none(self) -> None:
        """After the server's clock was set back by far, an old proof must not hold for longer than a week."""
        assert ResourceFacts("sales", proven_at=later(NOW, milliseconds=1)).must_count(NOW)
        assert not ResourceFacts("sales", proven_at=NOW).must_count(NOW)

    @pytest.mark.parametrize(("days", "must_count"), [(0, True), (6.99, True), (7, True), (7.01, False), (-1, True)])
    def test_a_cut_page_makes_reads_count_for_a_week(self, days: float, must_count: bool) -> None:
        """Also after a count has proved an end."""
        facts = ResourceFacts("sales", proven_at=NOW, cut_at=days_ago(days))
        assert facts.must_count(NOW) is must_count

    def test_a_proof_renews_itself(self) -> None:
        """And it is kept by what it was proven: a count, or a second read where nothing is counted."""
        facts = ResourceFacts("sales", proven_at=days_ago(8))
        facts.note_proof(NOW, by_count=False)
        assert (facts.proven_at, facts.is_counted, facts.must_count(NOW)) == (NOW, False, False)
        facts.note_proof(NOW, by_count=True)
        assert facts.is_counted


class TestCuts:
    """What is learnt from a short page behind which rows came."""

    def test_one_of_the_largest_size_shows_a_cap(self) -> None:
        """Pages are cut at that size for good: no page has been larger, and reads need not count for it."""
        facts = ResourceFacts("sales", 30, proven_at=NOW)
        facts.note_cut(30, NOW)
        assert (facts.largest, facts.is_capped, facts.cut_at) == (30, True, None)
        assert not facts.must_count(NOW)

    def test_a_smaller_one_makes_reads_count(self) -> None:
        """The sizes are kept: it may have been chance."""
        facts = ResourceFacts("sales", 30, is_capped=True, proven_at=NOW)
        facts.note_cut(12, NOW)
        assert (facts.largest, facts.is_capped, facts.cut_at) == (30, True, NOW)
        assert facts.must_count(NOW)

    @pytest.mark.parametrize(
        ("days", "largest", "is_capped"), [(1, 0, False), (6.99, 0, False), (7.01, 30, True)], ids=str
    )
    def test_a_second_one_within_a_week_forgets_the_sizes(self, days: float, largest: int, is_capped: bool) -> None:
        """The cap is smaller now; it is learnt anew."""
        facts = ResourceFacts("sales", 30, is_capped=True, proven_at=NOW, cut_at=days_ago(days))
        facts.note_cut(12, NOW)
        assert (facts.largest, facts.is_capped, facts.cut_at) == (largest, is_capped, NOW)


class TestIds:
    """The ids of the bookmark's instant."""

    def test_they_belong_to_one_instant(self) -> None:
        """Of any other nothing is known."""
        facts = ResourceFacts("sales")
        facts.note_ids(NOW, frozenset({1, 2}))
        assert facts.ids_given_at(NOW) == frozenset({1, 2})
        assert facts.ids_given_at(later(NOW, milliseconds=1)) is None

    def test_an_instant_without_rows_is_known(self) -> None:
        """A row that comes at it later was there before."""
        facts = ResourceFacts("sales")
        facts.note_ids(NOW)
        assert facts.ids_given_at(NOW) == frozenset()
        assert stored(**facts.to_bookmark()).ids_given_at(NOW) == frozenset()

    @pytest.mark.parametrize(("rows", "is_kept"), [(MOST_IDS, True), (MOST_IDS + 1, False)])
    def test_too_many_are_not_kept(self, rows: int, is_kept: bool) -> None:
        """The state must stay small; those of an earlier instant are not kept either."""
        facts = ResourceFacts("sales")
        facts.note_ids(days_ago(1), frozenset({1}))
        facts.note_ids(NOW, frozenset(range(rows)))
        assert (facts.ids_given_at(NOW) is not None) is is_kept
        assert facts.ids_given_at(days_ago(1)) is None
        assert len(facts.to_bookmark()["last_ids"]) == (rows if is_kept else 0)

    def test_they_can_be_unknown(self) -> None:
        """Then the rows of the instant are given again."""
        facts = ResourceFacts("sales")
        facts.note_ids(NOW, frozenset({1}))
        facts.note_ids(None, frozenset({1}))
        assert facts.ids_given_at(NOW) is None
        assert facts.to_bookmark()["last_ids"] == []
