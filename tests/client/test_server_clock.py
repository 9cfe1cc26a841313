"""The server's clock is never taken to be later than it is, whatever its Date headers do."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_jetti.client.server_clock import ServerClock, parse_http_date

EPOCH = 1_700_000_000.0
HOUR = 3600.0


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 5), st.floats(0, 5), st.sampled_from(["date", "none", "garbage"])),
        min_size=1,
        max_size=6,
    ),
    st.floats(-1e6, 1e6),
    st.floats(0, 200),
)
def test_the_servers_clock_is_a_lower_bound(
    answers: list[tuple[float, float, float, str]], skew: float, later_by: float
) -> None:
    """The server's clock has passed what is said of it, by a second at most more than the shortest answer took."""
    clock = ServerClock()
    best = None
    for left, until_written, until_received, kind in answers:
        written = left + until_written
        header = {"date": formatdate(int(EPOCH + skew + written), usegmt=True), "none": None, "garbage": "soon"}[kind]
        clock.observe(header, sent=left, received=written + until_received)
        if kind == "date":
            best = min(until_received, best if best is not None else until_received)
    told = clock.at(later_by)
    assert (told is None) == (best is None)
    if told is not None and best is not None:
        actual = EPOCH + skew + later_by
        assert told <= actual + 1e-3
        assert told >= actual - 1 - best - 1e-3


@pytest.mark.parametrize(
    "date", ["", "Mon, 99 Foo 2020 25:61:61 GMT", "2020-01-01", "0", "Sun, 06 Nov 1994", "1 " * 30_000]
)
def test_an_unreadable_date_header_is_passed_over(date: str) -> None:
    """A Date header that is not a date teaches nothing and breaks nothing."""
    clock = ServerClock()
    clock.observe(date, received=0)
    assert clock.at(0) is None


def shown(*dates: tuple[float, float]) -> ServerClock:
    """A clock that got responses in half a second each: when they were sent, and what their servers' clocks showed."""
    clock = ServerClock()
    for sent, date in dates:
        clock.observe(formatdate(int(EPOCH + date), usegmt=True), sent=sent, received=sent + 0.5)
    return clock


@pytest.mark.parametrize(
    ("dates", "now", "expected"),
    [
        ([(0, 0), (100, 100), (200, 200)], 200, 200),
        ([(0, 0), (100, 100 - HOUR)], 100, 100 - HOUR),
        ([(0, 0), (100, 100 + HOUR)], 100, 100),
        ([(0, 0), (HOUR, 0), (2 * HOUR, 0)], 2 * HOUR, 0),
        ([(0, 0), (100, 0), (200, 200)], 200, 100),
        ([(0, 0), (1, 31), (2, 2), (3, 33)], 3, 3),
        ([(0, -EPOCH), (100, 100)], 100, 100 - EPOCH),
    ],
    ids=["steady", "set back", "set forward", "frozen", "cached once", "two servers", "1970 once"],
)
def test_if_dates_contradict_each_other_the_earliest_counts(
    dates: list[tuple[float, float]], now: float, expected: float
) -> None:
    """A clock that is set, frozen or different from server to server is never taken to be later than any shows."""
    told = shown(*dates).at(now)
    assert told is not None
    assert told - EPOCH == pytest.approx(expected, abs=1.6)


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(-1e5, 1e5)), min_size=1, max_size=8))
def test_no_server_is_behind_what_is_said(answers: list[tuple[float, float]]) -> None:
    """With servers of any clocks, the time told is at most that of the slowest, and what a response leaves open."""
    clock = shown(*((sent, sent + skew) for sent, skew in answers))
    told = clock.at(1e4)
    assert told is not None
    assert told <= EPOCH + 1e4 + min(skew for _, skew in answers) + 1 + 0.5


def test_a_date_without_a_zone_is_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dates of HTTP are in UTC, wherever this machine is."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        for zone in ("", " GMT", " -0000", " UTC"):
            assert parse_http_date(f"Tue, 14 Nov 2023 22:13:20{zone}") == EPOCH
    finally:
        monkeypatch.undo()
        time.tzset()
