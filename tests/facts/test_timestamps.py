"""Instants have one form, in which text order is time order."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_jetti.facts.timestamps import from_epoch, later, normalise, to_epoch

NORMAL_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - Hypothesis adds the zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001 - the same
    timezones=zones,
)


def is_normal_form(text: str) -> bool:
    """Whether a text is a real date in the form of the API."""
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: DTZ007 - the Z is part of the form
    except ValueError:
        return False
    return NORMAL_FORM.fullmatch(text) is not None


@given(moments)
def test_a_normal_form_stays_as_it_is(moment: datetime) -> None:
    """Bringing a date to its normal form twice is the same as once, and the form is the API's."""
    once = normalise(moment.isoformat())
    assert normalise(once) == once
    assert is_normal_form(once)
    assert len(once) == len("2019-11-22T20:56:57.564Z")


@given(moments, moments)
def test_text_order_is_time_order(one: datetime, other: datetime) -> None:
    """The normal forms of two dates are ordered as the dates are, to the millisecond."""
    cut = [round_down(moment) for moment in (one, other)]
    texts = [normalise(moment.isoformat()) for moment in (one, other)]
    assert (texts[0] < texts[1]) == (cut[0] < cut[1])
    assert (texts[0] == texts[1]) == (cut[0] == cut[1])


def round_down(moment: datetime) -> datetime:
    """The moment in UTC, cut to milliseconds."""
    moment = moment.astimezone(timezone.utc)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), st.integers(-10_000, 10_000))  # noqa: DTZ001 - UTC
def test_later_adds_milliseconds(moment: datetime, milliseconds: int) -> None:
    """An instant some milliseconds later is that much later by the clock, too."""
    instant = normalise(moment.isoformat())
    moved = later(instant, milliseconds=milliseconds)
    assert round((to_epoch(moved) - to_epoch(instant)) * 1000) == milliseconds
    assert later(moved, milliseconds=-milliseconds) == instant


@given(st.integers(0, 4_000_000_000_000))
def test_a_time_stamp_is_cut_to_its_millisecond(milliseconds: int) -> None:
    """The instant of a time stamp is not after it, and at most a millisecond before."""
    shown = to_epoch(from_epoch(milliseconds / 1000))
    assert milliseconds - 1.001 <= shown * 1000 <= milliseconds + 0.001


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-11-22T20:56:57.564Z", "2019-11-22T20:56:57.564Z"),
        ("2019-11-22T20:56:57.564999Z", "2019-11-22T20:56:57.564Z"),
        ("2019-11-22T20:56:57Z", "2019-11-22T20:56:57.000Z"),
        ("2019-11-22T20:56:57", "2019-11-22T20:56:57.000Z"),
        ("2019-11-22 20:56:57+02:00", "2019-11-22T18:56:57.000Z"),
        ("2019-11-22", "2019-11-22T00:00:00.000Z"),
        ("20191122T205657Z", "2019-11-22T20:56:57.000Z"),
    ],
)
def test_usual_spellings_of_a_date_are_understood(text: str, expected: str) -> None:
    """Dates with or without time, fraction and offset come to the same form."""
    assert normalise(text) == expected


NO_DATES = (
    "",
    "yesterday",
    "null",
    "1577836800",
    "12:30",
    "2019-13-01",
    "2019-02-30T00:00:00Z",
    "2019-99-99T99:99:99.999Z",
    "xxxxxxxxxxTxxxxxxxx.xxxZ",
    "2019-11-22T20:56:57.56 Z",
    "2019-11-22/2019-11-23",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
)


@pytest.mark.parametrize("text", NO_DATES)
def test_what_is_no_date_is_refused(text: str) -> None:
    """A text that is no real date, also one that looks like the normal form, raises ValueError and nothing else."""
    with pytest.raises(ValueError, match="no ISO 8601 date"):
        normalise(text)


@given(st.text(max_size=30) | st.from_regex(r"[0-9T:Z.+W/-]{4,30}", fullmatch=True))
@example("0000-00-00T00:00:00.000Z")
@example("2019-W53-7")
@example("2019-366")
def test_no_text_breaks_the_parser(text: str) -> None:
    """Any text either is a date, and then has a normal form, or raises ValueError."""
    try:
        instant = normalise(text)
    except ValueError:
        return
    assert is_normal_form(instant)
