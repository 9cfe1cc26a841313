"""STATE is written once all before it is done: never early, in order, of several due the last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tap_jetti.target.delivery.checkpoints import Checkpoint, Checkpoints


@given(st.lists(st.one_of(st.just("record"), st.just("state"), st.integers(0, 50)), max_size=60))
def test_a_state_never_overtakes_a_record(steps: list[str | int]) -> None:
    """Whatever the order in which records are done, each STATE written has no open record before it."""
    written: list[int] = []
    checkpoints = Checkpoints(written.append)
    waiting: list[tuple[int, Checkpoint]] = []
    received = 0
    for step in steps:
        if step == "record":
            received += 1
            waiting.append((received, checkpoints.add_record()))
        elif step == "state":
            checkpoints.add_state(received)
        elif waiting:
            _, checkpoint = waiting.pop(int(step) % len(waiting))
            checkpoints.complete([checkpoint])
        oldest = min((number for number, _ in waiting), default=received + 1)
        assert all(value < oldest for value in written)
    assert written == sorted(written)
    checkpoints.complete([checkpoint for _, checkpoint in waiting])
    checkpoints.add_state(received)
    assert written[-1] == received


def test_states_without_records_between_them_take_one_place() -> None:
    """A tap that writes STATE over and over while one record hangs fills no memory."""
    written: list[int] = []
    checkpoints = Checkpoints(written.append)
    first = checkpoints.add_record()
    for number in range(1000):
        checkpoints.add_state(number)
    assert len(checkpoints._waiting) == 2
    checkpoints.complete([first])
    assert written == [999]


def test_behind_a_record_that_is_left_nothing_is_written() -> None:
    """The next run starts from the STATE before it."""
    written: list[int] = []
    checkpoints = Checkpoints(written.append)
    checkpoints.complete([checkpoints.add_record()])
    checkpoints.add_state(1)
    checkpoints.add_record()
    checkpoints.withhold()
    checkpoints.add_state(2)
    assert written == [1]
