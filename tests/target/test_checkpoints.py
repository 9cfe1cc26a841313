"""STATE is written once all before it is done: never early, in order, of several due the last."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_jetti.target.delivery.checkpoints import MAX_STATE_BYTES, Checkpoint, Checkpoints


@given(st.lists(st.one_of(st.just("record"), st.just("state"), st.integers(0, 50)), max_size=60), st.integers(1, 9))
def test_a_state_never_overtakes_a_record(steps: list[str | int], most: int) -> None:
    """Whatever the order in which records are done, each STATE written has no open record before it."""
    with mock.patch("tap_jetti.target.delivery.checkpoints.MAX_STATE_BYTES", most):
        check_states(steps)


def check_states(steps: list[str | int]) -> None:
    """Receive and complete records, and check what is written."""
    written: list[int] = []
    checkpoints = Checkpoints(written.append)
    waiting: list[tuple[int, Checkpoint]] = []
    received = 0
    for step in steps:
        if step == "record":
            received += 1
            waiting.append((received, checkpoints.add_record()))
        elif step == "state":
            checkpoints.add_state(received, size=1)
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
    assert checkpoints.waiting == 1
    checkpoints.complete([first])
    assert written == [999]


@pytest.mark.parametrize("are_done", [True, False])
def test_states_that_wait_for_one_record_take_few_places(are_done: bool) -> None:
    """Only the newest STATE that can be written is kept, whether the records between them are done or not."""
    written: list[int] = []
    checkpoints = Checkpoints(written.append)
    waiting = [checkpoints.add_record()]
    for number in range(1000):
        waiting.append(checkpoints.add_record())
        if are_done:
            checkpoints.complete([waiting.pop()])
        checkpoints.add_state(number, size=MAX_STATE_BYTES // 100)
    assert checkpoints.waiting == (1 if are_done else 100)
    checkpoints.complete(waiting)
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
