"""Random nights of a target with a ledger: nothing false is called unchanged, and each rule is needed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from ledger_plays import Played, play
from runs import EXAMPLES
from tap_jetti.target.delivery.ledger import decisions
from tap_jetti.target.delivery.ledger import refresh as refreshes
from tap_jetti.target.delivery.ledger.mirror import Mirror
from tap_jetti.target.delivery.ledger.refresh import Refresh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tap_jetti.target.delivery.ledger.mirror import FeedState, ShownRow

SEEDS = 160 * EXAMPLES
MUTANT_SEEDS = 600


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Log nothing, and look no sample up: it would be the whole of these small feeds, and stand in for every rule."""
    monkeypatch.setattr(refreshes, "SAMPLE_ROWS", 0)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_nothing_false_is_called_unchanged() -> None:
    """Other writers, deletes, late commits, a queue that delays and drops, kills: only races are left.

    A write that the queue drops while an earlier one of its key waits cannot be told from one that took effect.
    """
    total = Played()
    for seed in range(SEEDS):
        played = play(seed)
        assert not played.violations, f"seed {seed}"
        for name in ("nights", "killed", "unchanged", "under_way", "sent", "needless", "mistaken"):
            setattr(total, name, getattr(total, name) + getattr(played, name))
    assert total.killed > SEEDS / 20
    assert total.unchanged > 20 * SEEDS
    assert total.under_way > 5 * SEEDS
    assert total.mistaken <= total.unchanged / 500  # two spellings of one value; see `Played.mistaken`
    assert total.needless == 0


def no_in_flight_rule(patch: pytest.MonkeyPatch) -> None:
    """Row 4: what is under way may still overwrite what is shown."""
    patch.setattr(decisions, "_differs_from_sent", lambda *_: False)


def begun_counts_as_accepted(patch: pytest.MonkeyPatch) -> None:
    """Row 6 on `begun`: a kill may have come before the call."""
    patch.setattr(
        decisions, "_is_accepted", lambda sent, value: sent is not None and sent.digest == value.digest
    )  # fmt: skip


def any_form_is_likely(patch: pytest.MonkeyPatch) -> None:
    """A write without effect looks like a value that Jetti keeps in another form."""
    patch.setattr(decisions, "is_likely_form", lambda *_: True)


def no_tail_rule(patch: pytest.MonkeyPatch) -> None:
    """Young rows that were deleted stay in the mirror."""
    patch.setattr(Mirror, "has_unseen", lambda *_, **__: False)


def no_proof(patch: pytest.MonkeyPatch) -> None:
    """Old rows that were deleted stay in the mirror."""
    patch.setattr(Refresh, "_prove", lambda _: True)


def no_lag(patch: pytest.MonkeyPatch) -> None:
    """Rows that are committed late are below the mark."""
    walk = Refresh._walk

    def without(refresh: Any) -> None:
        refresh._state.lag = 0
        walk(refresh)

    patch.setattr(Refresh, "_walk", without)


def larger_updated_wins(patch: pytest.MonkeyPatch) -> None:
    """Concurrent writers commit out of order."""
    save = Mirror.save

    def only_newer(mirror: Mirror, state: FeedState, rows: Sequence[ShownRow] = ()) -> None:
        known = {row.id: row.updated for row in mirror.rows(state.feed)}
        save(mirror, state, [row for row in rows if row.updated >= known.get(row.id, 0)])

    patch.setattr(Mirror, "save", only_newer)


def mark_before_the_rows(patch: pytest.MonkeyPatch) -> None:
    """A kill between them leaves rows out for ever."""
    walk = Refresh._walk

    def early(refresh: Any) -> None:
        state, since = refresh._state, refresh._state.mark
        state.mark = max(since, refresh._reader.now() - state.lag)
        refresh._mirror.save(state)
        state.mark = since
        walk(refresh)

    patch.setattr(Refresh, "_walk", early)


def count_all_ids(patch: pytest.MonkeyPatch) -> None:
    """A plain count: rows that come and rows that go cancel each other."""
    patch.setattr(Refresh, "_note_safe", lambda refresh, row, _: setattr(
        refresh._state, "safe_id", max(refresh._state.safe_id, row.id)
    ))  # fmt: skip


def trust_without_a_count(patch: pytest.MonkeyPatch) -> None:
    """Where Jetti does not count, only what was read in this run is known."""
    prove = Refresh._prove
    patch.setattr(Refresh, "_prove", lambda refresh: prove(refresh) or refresh._reader.count(1) is None)
    patch.setattr(Refresh, "_read_fully", _only_once(Refresh._read_fully))


def _only_once(read: Callable[[Any], None]) -> Callable[[Any], None]:
    def once(refresh: Any) -> None:
        if refresh._state.full_ended is None:
            read(refresh)

    return once


@pytest.mark.parametrize(
    "mutate",
    [
        no_in_flight_rule,
        begun_counts_as_accepted,
        any_form_is_likely,
        no_tail_rule,
        no_proof,
        no_lag,
        larger_updated_wins,
        mark_before_the_rows,
        count_all_ids,
        trust_without_a_count,
    ],
)
def test_each_rule_is_needed(mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rule some night calls something unchanged that is not, or something under way that is not."""
    mutate(monkeypatch)
    assert any(play(seed).violations for seed in range(10_000, 10_000 + MUTANT_SEEDS))
