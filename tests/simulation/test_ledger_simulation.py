"""Random nights of a target with a ledger: nothing false is called unchanged, and each rule is needed."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from ledger_plays import COMPARISON, Played, play
from ledger_world import FEED, HOUR, MINUTE, Row, Traits, World, WorldReader
from runs import EXAMPLES, LOGGER
from tap_jetti.target.delivery.ledger import decisions
from tap_jetti.target.delivery.ledger import refresh as refreshes
from tap_jetti.target.delivery.ledger.databases import open_temporary
from tap_jetti.target.delivery.ledger.feed_reader import RowForm
from tap_jetti.target.delivery.ledger.mirror import LAYOUT, Mirror
from tap_jetti.target.delivery.ledger.refresh import Refresh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tap_jetti.target.delivery.ledger.mirror import FeedState, ShownRow

SEEDS = 100 * EXAMPLES
MUTANT_SEEDS = 30


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Log nothing, and look no sample up: it would be the whole of these small feeds, and stand in for every rule."""
    monkeypatch.setattr(refreshes, "SAMPLE_ROWS", 0)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_nothing_false_is_called_unchanged() -> None:
    """Other writers, deletes, late commits, a queue that delays and drops, kills: only races are left."""
    total = Played()
    for seed in range(SEEDS):
        played = play(seed)
        assert not played.violations, f"seed {seed}"
        for name in ("nights", "killed", "unchanged", "under_way", "sent", "needless", "mistaken", "overtaken"):
            setattr(total, name, getattr(total, name) + getattr(played, name))
    assert total.killed > SEEDS / 5
    assert total.unchanged > 20 * SEEDS
    assert total.under_way > 5 * SEEDS
    assert total.mistaken <= total.unchanged / 500  # two spellings of one value; see `Played.mistaken`
    assert total.overtaken <= total.unchanged / 1_000
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
    ("mutate", "seed"),
    [
        (no_in_flight_rule, 10_000),
        (begun_counts_as_accepted, 10_040),
        (any_form_is_likely, 10_000),
        (no_tail_rule, 10_020),
        (no_proof, 10_000),
        (no_lag, 10_080),
        (larger_updated_wins, 10_710),
        (mark_before_the_rows, 10_710),
        (trust_without_a_count, 10_010),
    ],
)
def test_each_rule_is_needed(
    mutate: Callable[[pytest.MonkeyPatch], None], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the rule some night calls something unchanged that is not, or something under way that is not."""
    mutate(monkeypatch)
    assert any(play(one).violations for one in range(seed, seed + MUTANT_SEEDS))


class _LateRow(WorldReader):
    """A row with an earlier id is committed between the walk and the count."""

    @override
    def count(self, upto: int, *, beyond: int = 0) -> int | None:
        self._world.rows[21] = Row("late", self._world.time - MINUTE, {"inventoryQuantity": 1})
        return super().count(upto, beyond=beyond)


def test_a_late_row_does_not_stand_in_for_a_deleted_one() -> None:
    """Only ids that were certainly committed are counted: a plain count of all rows would be right by chance."""
    traits = Traits(late=0, delay=0, loss=0.0, is_normalising=False, counts=True, is_cutting=False, busy=0.0, kills=0.0)
    world, form = World(random.Random(1), traits), RowForm(COMPARISON)
    for number in range(1, 21):
        world.add_now(f"k{number}", {"inventoryQuantity": number})
    world.pass_time(24 * HOUR)
    mirror = Mirror(open_temporary(LAYOUT), form.fields)
    first = Refresh(mirror, WorldReader(world, form, world.step), FEED, logger=LOGGER)
    first.run()
    assert first.is_proven
    world.pass_time(24 * HOUR)
    world.next_id = 22
    world.add_now("young", {"inventoryQuantity": 1})
    del world.rows[3]
    second = Refresh(mirror, _LateRow(world, form, world.step), FEED, logger=LOGGER)
    second.run()
    assert second.is_proven
    assert form.key_of(FEED, "k3") not in mirror.find(FEED, [form.key_of(FEED, f"k{n}") for n in range(1, 21)])
    mirror.close()
