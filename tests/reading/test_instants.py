"""Instants larger than a page: where the bookmark stands after them, whatever the server counts."""

from __future__ import annotations

import random
from dataclasses import replace
from unittest import mock

import pytest

from jetti_model import MICROSECOND, Freedoms, JettiModel, Version
from stream_plays import StreamRuns
from tap_jetti.facts.timestamps import later

FREEDOMS = Freedoms(churn=0.0)
HOUR = 3600.0


def read_instant(freedoms: Freedoms, *, rows: int = 30, limit: int = 8) -> tuple[StreamRuns, str, str]:
    """Read so many rows of one instant; returns the runs, the instant, and the bookmark after the first one."""
    model = JettiModel(random.Random(1), freedoms)
    model.fill(1, days=0.001)
    instant = model.rows[1]
    for _ in range(rows - 1):
        model.rows[model.next_id] = replace(instant, write=model.next_id)
        model.next_id += 1
    model.clock.advance(HOUR)
    runs = StreamRuns(model, limit, verify_counts="auto")
    runs.run()
    assert len(runs.warehouse.loaded) == rows
    return runs, instant.shown, runs.warehouse.position or ""


@pytest.mark.parametrize(
    ("count", "passes_it"),
    [("right", True), ("missing", False)],
)
def test_only_a_count_moves_the_bookmark_past_an_instant(count: str, passes_it: bool) -> None:
    """Two empty pages end it, too, but a server that cuts may have given both."""
    _, instant, bookmark = read_instant(replace(FREEDOMS, count=count))
    assert bookmark == (later(instant, milliseconds=1) if passes_it else instant)


@pytest.mark.parametrize("count", ["right", "missing"])
def test_a_row_that_comes_late_is_read_in_the_next_run(count: str) -> None:
    """One of the same instant where that is not proven, and one behind it wherever."""
    runs, _, _ = read_instant(replace(FREEDOMS, count=count))
    model = runs.model
    instant = model.rows[1]
    if count == "missing":
        model.rows[99] = replace(instant, write=99)
    model.rows[100] = replace(instant, updated=instant.updated + 1000, write=100)
    runs.run()
    runs.warehouse.check_equal(model)


def test_microseconds_behind_an_instant_are_read() -> None:
    """What is shown as one instant is many: a bound at the instant shown misses all that was stored after it."""
    runs, instant, bookmark = read_instant(replace(FREEDOMS, micros=True))
    assert bookmark == later(instant, milliseconds=1)
    assert runs.model.rows[1].updated % 1000 > 0


def test_a_read_by_id_that_misses_rows_given_before_pins_the_bookmark() -> None:
    """An empty page and a count of zero may lie together: the next run comes back to the instant."""
    model = JettiModel(random.Random(1), FREEDOMS)
    model.fill(20, days=1)
    runs = StreamRuns(model, 8, verify_counts="auto")
    runs.run()  # proven, so that the next run does not count
    model.clock.advance(HOUR)
    micros = round(model.now()) * MICROSECOND
    for row_id in range(21, 51):
        model.rows[row_id] = Version(micros, row_id)
    model.rows[99] = Version(micros + 60 * MICROSECOND, 99)
    model.clock.advance(HOUR)
    instant = model.rows[21]
    serve = model.serve

    def lie(path: str, asked: dict[str, str], *, fails_in_passing: bool) -> tuple[bytes, str | None]:
        body, date = serve(path, asked, fails_in_passing=fails_in_passing)
        if "where[id][$gte]" in asked:
            body = b'{"count": 0}' if path.endswith("count.json") else b"[]"
        return body, date

    with mock.patch.object(model, "serve", lie):
        runs.run()
    assert runs.warehouse.has(99, model.rows[99])
    assert len(runs.warehouse.loaded) < len(model.rows)
    assert runs.warehouse.position == instant.shown
    runs.run()
    runs.warehouse.check_equal(model)
