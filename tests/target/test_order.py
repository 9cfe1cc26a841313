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
from target_runs import WatchedClock

from tap_jetti.client.clock import SystemClock
from tap_jetti.target.delivery.batch_queue import BatchQueue
from tap_jetti.target.delivery.dispatcher import MAX_OPEN_OPERATIONS, Dispatcher
from tap_jetti.target.delivery.operations import Batch, OperationKey, Route, WriteOperation

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 3


@dataclass(eq=False)
class Writing:
    """The part of an action that batches need."""

    name: str = "a"

    def batch_limit(self, _route: Route) -> int:
        """Return the number of operations per call."""
        return LIMIT

    def can_merge(self, _earlier: WriteOperation, _later: WriteOperation) -> bool:
        """Return whether the later operation makes the earlier unnecessary."""
        return True

    def merged(self, earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
        """Return the payload of both."""
        return {**earlier, **later}


ACTIONS = [Writing("a"), Writing("b")]


def route_of(number: int) -> Route:
    """The route with a number."""
    return Route("a", "api", number)


def key_of(number: int) -> OperationKey:
    """The key with a number."""
    return OperationKey("rows", None, "id", number)


def operation(number: int, key: int, route: int = 0, action: Any = ACTIONS[0]) -> WriteOperation:
    """The operation that arrives at a position, which is its payload, too: merged operations keep theirs."""
    return WriteOperation(action, route_of(route), key_of(key), {str(number): number}, size=1)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 4)), max_size=60))
def test_no_batch_is_ready_before_an_earlier_one_with_its_key_is_done(steps: list[tuple[int, int, int]]) -> None:
    """However batches of several routes are filled, closed and finished, each key's come out in order, and all do."""
    queue, open_ = BatchQueue(), dict[Route, Batch]()
    entered, came_out = defaultdict[OperationKey, list[int]](list), defaultdict[OperationKey, list[int]](list)

    def finish_one(choice: int) -> None:
        if queue.ready:
            queue.ready.rotate(choice)
            batch = queue.ready.popleft()
            for one in batch.operations.values():
                came_out[one.key] += one.payload.values()
            queue.finish(batch)

    for number, (key, route, choice) in enumerate(steps):
        latest = queue.latest.get(key_of(key))
        if latest is not None and latest.is_open:
            queue.close(open_.pop(latest.route))
        batch = open_.setdefault(route_of(route), Batch(route_of(route), 0.0, LIMIT))
        queue.add(batch, operation(number, key, route))
        entered[key_of(key)].append(number)
        if choice:
            queue.close(open_.pop(route_of(route)))
        for _ in range(choice - 1):
            finish_one(choice)
    for batch in open_.values():
        queue.close(batch)
    while queue.ready:
        finish_one(0)
    assert came_out == entered
    assert (queue.unfinished, queue.size, queue.latest) == (0, 0, {})


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
        time.sleep(pause)  # so that threads overtake each other; the result is the same without it
        with lock:
            busy.difference_update(batch.operations)
            for key, one in batch.operations.items():
                arrived[key] += one.payload.values()

    dispatcher = Dispatcher(deliver, concurrency=concurrency, clock=SystemClock())
    for number, (key, route, action) in enumerate(steps):
        dispatcher.add(operation(number, key, 10 * route + ACTIONS.index(action), action))
    dispatcher.finish()
    dispatcher.stop(timeout=1)
    expected = defaultdict[Any, list[int]](list)
    for number, (key, _, _) in enumerate(steps):
        expected[key_of(key)].append(number)
    assert arrived == expected


def test_the_input_waits_while_enough_is_under_way() -> None:
    """With nothing answered, the batches in flight and those queued behind are all that is taken."""
    gate, taken = threading.Event(), [0]

    def feed() -> None:
        for number in range(100):
            dispatcher.add(operation(number, number))
            taken[0] = number + 1

    feeder = threading.Thread(target=feed)
    clock = WatchedClock(feeder)
    dispatcher = Dispatcher(lambda _: wait_for(gate), concurrency=2, clock=clock)
    feeder.start()
    wait_for(clock.is_waiting)
    assert taken[0] == LIMIT * 6 - 1, "the sixth batch is full, and its last operation waits"
    gate.set()
    feeder.join()
    dispatcher.finish()
    dispatcher.stop(timeout=1)


def test_open_batches_of_many_routes_are_bounded() -> None:
    """The oldest is sent when too many operations wait in batches that are not full."""
    sizes: list[int] = []
    dispatcher = Dispatcher(lambda batch: sizes.append(len(batch.operations)), concurrency=1, clock=SystemClock())
    for number in range(MAX_OPEN_OPERATIONS + 10):
        dispatcher.add(operation(number, number, route=number))
    wait_until(lambda: len(sizes) >= 10)
    dispatcher.finish()
    dispatcher.stop(timeout=1)
    assert sizes == [1] * (MAX_OPEN_OPERATIONS + 10)


def test_a_failure_shows_at_the_next_operation_and_at_the_end() -> None:
    """What a thread failed with is raised in the thread of the input, and nothing new is begun."""
    calls: list[int] = []

    def fail(batch: Batch) -> None:
        calls.append(len(batch.operations))
        raise LookupError("it is gone")

    dispatcher = Dispatcher(fail, concurrency=1, clock=SystemClock())
    with pytest.raises(LookupError):
        fill(dispatcher, 1000)
    with pytest.raises(LookupError):
        dispatcher.finish()
    assert calls == [LIMIT]


def fill(dispatcher: Dispatcher, count: int) -> None:
    """Add a number of operations, each with a key of its own."""
    for number in range(count):
        dispatcher.add(operation(number, number))


def wait_for(event: threading.Event) -> None:
    """Wait for a sign, for as long as a test may take."""
    assert event.wait(30)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is met, for as long as a test may take."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise TimeoutError
