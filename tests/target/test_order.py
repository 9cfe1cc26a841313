"""Batches: what comes of one key goes out in the order it came, whatever waits, hangs or is merged."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_jetti.client.clock import SystemClock
from tap_jetti.target.delivery.batch_queue import BatchQueue
from tap_jetti.target.delivery.dispatcher import MOST_OPEN, Dispatcher
from tap_jetti.target.delivery.operations import Batch, WriteOperation

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 3


@dataclass(eq=False)
class Writing:
    """An action as far as a batch asks for it."""

    name: str = "a"
    is_partial: bool = True

    def limit(self, _lane: Any) -> int:
        """Items of a call."""
        return LIMIT

    def replaces(self, _earlier: WriteOperation, _later: WriteOperation) -> bool:
        """Whether the later one makes the earlier one needless."""
        return True


ACTIONS = [Writing("a"), Writing("b")]


def operation(number: int, key: int, route: int = 0, action: Any = ACTIONS[0]) -> WriteOperation:
    """The one that came as the number says, with all of its key in its payload."""
    return WriteOperation(action, (route,), (key,), {str(number): number}, 1, [])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 4)), max_size=60))
def test_no_batch_is_ready_before_an_earlier_one_with_its_key_is_done(steps: list[tuple[int, int, int]]) -> None:
    """However batches of several lanes are filled, closed and finished, each key's come out in order, and all do."""
    queue, open_ = BatchQueue(), dict[int, Batch]()
    entered, came_out = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)

    def finish_one(choice: int) -> None:
        if queue.ready:
            queue.ready.rotate(choice)
            batch = queue.ready.popleft()
            for one in batch.operations.values():
                came_out[one.key[0]] += one.payload.values()  # type: ignore[index]
            queue.done(batch)

    for number, (key, route, choice) in enumerate(steps):
        last = queue.last.get((key,))
        if last is not None and last.is_open:
            queue.close(open_.pop(last.route[0]))  # type: ignore[call-overload]
        batch = open_.setdefault(route, Batch((route,), 0.0, LIMIT))
        queue.enter(batch, operation(number, key, route))
        entered[key].append(number)
        if choice:
            queue.close(open_.pop(route))
        for _ in range(choice - 1):
            finish_one(choice)
    for batch in open_.values():
        queue.close(batch)
    while queue.ready:
        finish_one(0)
    assert came_out == entered
    assert (queue.unfinished, queue.size, queue.last) == (0, 0, {})


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2), st.sampled_from(ACTIONS)), max_size=150),
    st.integers(1, 4),
    st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_threads_keep_the_order_of_a_key(steps: list[tuple[int, int, Any]], concurrency: int, seed: int) -> None:
    """Several threads of uneven speed deliver each record once, no two of a key at once, and those in order."""
    chance, lock = random.Random(seed), threading.Lock()
    arrived, busy = defaultdict[Any, list[int]](list), set[Any]()

    def deliver(batch: Batch) -> None:
        assert len(batch.operations) <= LIMIT
        assert len({one.action for one in batch.operations.values()}) == 1
        with lock:
            assert not busy & batch.operations.keys()
            busy.update(batch.operations)
            pause = chance.random() / 2000
        time.sleep(pause)
        with lock:
            busy.difference_update(batch.operations)
            for key, one in batch.operations.items():
                arrived[key] += one.payload.values()

    delivery = Dispatcher(deliver, concurrency=concurrency, clock=SystemClock())
    for number, (key, route, action) in enumerate(steps):
        delivery.add(operation(number, key, 10 * route + ACTIONS.index(action), action))
    delivery.finish()
    delivery.stop(patience=1)
    expected = defaultdict[Any, list[int]](list)
    for number, (key, _, _) in enumerate(steps):
        expected[key,].append(number)
    assert arrived == expected


def test_the_input_waits_while_enough_is_under_way() -> None:
    """With nothing answered, the batches in flight and those queued behind are all that is taken."""
    gate, taken = threading.Event(), [0]
    delivery = Dispatcher(lambda _: wait_for(gate), concurrency=2, clock=SystemClock())

    def feed() -> None:
        for number in range(100):
            delivery.add(operation(number, number))
            taken[0] = number + 1

    feeder = threading.Thread(target=feed)
    feeder.start()
    wait_until(lambda: taken[0] == LIMIT * 6 - 1)
    feeder.join(0.1)
    assert taken[0] == LIMIT * 6 - 1, "the sixth batch is full, and its last item waits"
    gate.set()
    feeder.join()
    delivery.finish()
    delivery.stop(patience=1)


def test_open_batches_of_many_lanes_are_bounded() -> None:
    """The oldest goes when too many items wait in batches that are not full."""
    sizes: list[int] = []
    delivery = Dispatcher(lambda batch: sizes.append(len(batch.operations)), concurrency=1, clock=SystemClock())
    for number in range(MOST_OPEN + 10):
        delivery.add(operation(number, number, route=number))
    wait_until(lambda: len(sizes) >= 10)
    delivery.finish()
    delivery.stop(patience=1)
    assert sizes == [1] * (MOST_OPEN + 10)


def test_a_failure_shows_at_the_next_item_and_at_the_end() -> None:
    """What a thread failed with is raised in the thread of the input, and nothing new is begun."""
    calls: list[int] = []

    def fail(batch: Batch) -> None:
        calls.append(len(batch.operations))
        raise LookupError("it is gone")

    delivery = Dispatcher(fail, concurrency=1, clock=SystemClock())
    with pytest.raises(LookupError):
        fill(delivery, 1000)
    with pytest.raises(LookupError):
        delivery.finish()
    assert calls == [LIMIT]


def fill(delivery: Dispatcher, count: int) -> None:
    """Add so many items of as many keys."""
    for number in range(count):
        delivery.add(operation(number, number))


def wait_for(gate: threading.Event) -> None:
    """Wait as long as a test may take."""
    gate.wait(30)


def wait_until(condition: Callable[[], bool]) -> None:
    """Look often, for as long as a test may take."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise TimeoutError
