"""The decision table of a read by `updatedAt`: what each page means."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from tap_jetti.reading.proof import PageFacts, Verdict, judge

PAGE = PageFacts(
    beyond_upper=False,
    is_full=False,
    rows=5,
    owed=None,
    must_count=False,
    can_count=True,
    is_trusted_size=False,
    has_new=True,
    is_first=False,
)
"""A short page with new rows, of which nothing is proven."""

ROWS_OF_THE_TABLE: dict[str, tuple[dict[str, Any], Verdict]] = {
    "4a: rows beyond the upper bound": ({"beyond_upper": True}, Verdict.BEYOND_UPPER),
    "4a before 4g: even if the page is full": ({"beyond_upper": True, "is_full": True}, Verdict.BEYOND_UPPER),
    "4a before 4b: even if it does not pay the count": ({"beyond_upper": True, "owed": 9}, Verdict.BEYOND_UPPER),
    "4g: full": ({"is_full": True}, Verdict.GO_ON),
    "4g before 4b: full, though the count is paid": ({"is_full": True, "owed": 5}, Verdict.GO_ON),
    "4g before 4e: full, with more rows than owed": ({"is_full": True, "owed": 4}, Verdict.GO_ON),
    "4g before 4c: full, though of a trusted size": ({"is_full": True, "is_trusted_size": True}, Verdict.GO_ON),
    "4b: exactly the rows owed": ({"owed": 5}, Verdict.COUNT_IS_PAID),
    "4b: no row owed, none came": ({"rows": 0, "owed": 0, "has_new": False}, Verdict.COUNT_IS_PAID),
    "4b: a first page": ({"owed": 5, "is_first": True}, Verdict.COUNT_IS_PAID),
    "4b: also where the count must be asked": ({"owed": 5, "must_count": True}, Verdict.COUNT_IS_PAID),
    "4e: one row more than owed": ({"owed": 4}, Verdict.COUNT_IS_LOW),
    "4e: rows though none is owed": ({"owed": 0}, Verdict.COUNT_IS_LOW),
    "4e before 4c: though of a trusted size": ({"owed": 4, "is_trusted_size": True}, Verdict.COUNT_IS_LOW),
    "4g: one row fewer than owed": ({"owed": 6}, Verdict.GO_ON),
    "4g: an empty page while rows are owed": ({"rows": 0, "owed": 1, "has_new": False}, Verdict.GO_ON),
    "4g before 4c: rows are owed, though the size is trusted": ({"owed": 6, "is_trusted_size": True}, Verdict.GO_ON),
    "4c: a trusted size": ({"is_trusted_size": True}, Verdict.TRUSTED_SIZE),
    "4c: also where nothing can be counted": ({"is_trusted_size": True, "can_count": False}, Verdict.TRUSTED_SIZE),
    "4c: also a first page": ({"is_trusted_size": True, "is_first": True}, Verdict.TRUSTED_SIZE),
    "4d before 4c: a count must be asked": ({"is_trusted_size": True, "must_count": True}, Verdict.COUNT_IS_DUE),
    "4d: not a trusted size": ({}, Verdict.COUNT_IS_DUE),
    "4d: a first small page of an unseen resource": ({"is_first": True}, Verdict.COUNT_IS_DUE),
    "4f: not counted, and the last row again": (
        {"can_count": False, "rows": 1, "has_new": False},
        Verdict.END_WITHOUT_COUNT,
    ),
    "4f: not counted, and an empty page": (
        {"can_count": False, "rows": 0, "has_new": False},
        Verdict.END_WITHOUT_COUNT,
    ),
    "4g: not counted, and a new row came": ({"can_count": False, "rows": 1}, Verdict.GO_ON),
    "4g: not counted, and this is the first page": (
        {"can_count": False, "rows": 0, "has_new": False, "is_first": True},
        Verdict.GO_ON,
    ),
    "4g: not counted, and an instant of two rows may be cut": (
        {"can_count": False, "rows": 2, "has_new": False},
        Verdict.GO_ON,
    ),
    "4g: not counted, a trusted size, but a count must be asked": (
        {"can_count": False, "is_trusted_size": True, "must_count": True},
        Verdict.GO_ON,
    ),
}


@pytest.mark.parametrize(("page", "verdict"), ROWS_OF_THE_TABLE.values(), ids=ROWS_OF_THE_TABLE)
def test_each_row_of_the_table(page: dict[str, Any], verdict: Verdict) -> None:
    """A page that fits a row, and those that differ from it in one fact."""
    assert judge(replace(PAGE, **page)) is verdict


def every_page() -> list[PageFacts]:
    """All pages, with up to three rows and up to three owed."""
    flags = (False, True)
    return [
        PageFacts(beyond, full, rows, owed, must, can, trusted, new, first)
        for beyond, full, rows, owed, must, can, trusted, new, first in product(
            flags, flags, range(4), (None, 0, 1, 2, 3), flags, flags, flags, flags, flags
        )
    ]


def test_every_page_has_a_verdict() -> None:
    """No page is left without one, and each verdict has a page."""
    assert {judge(page) for page in every_page()} == set(Verdict)


def test_only_a_short_page_that_pays_its_count_exactly_is_proven_by_it() -> None:
    """A full page ends a read only if rows beyond the upper bound came, and a count is paid by equality only."""
    for page in every_page():
        verdict = judge(page)
        if verdict is Verdict.COUNT_IS_PAID:
            assert page.rows == page.owed
            assert not page.is_full
        if verdict in {Verdict.TRUSTED_SIZE, Verdict.END_WITHOUT_COUNT}:
            assert not page.is_full
            assert page.owed is None
        if verdict is Verdict.TRUSTED_SIZE:
            assert not page.must_count
