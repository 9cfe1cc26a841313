from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from tap_jetti.client.clock import SystemClock, VirtualClock
from tap_jetti.errors import Interrupted

ASLEEP = 60.0
"""Seconds. No test waits for so long."""


def test_stop_wakes_every_sleeper_in_every_thread() -> None:
    """Stopping the clock raises `Interrupted` in all threads that sleep on it, however long the sleep."""
    clock = SystemClock()
    started = threading.Barrier(4)
    woken = []

    def sleeper() -> None:
        started.wait()
        try:
            clock.sleep(ASLEEP)
        except Interrupted:
            woken.append(True)

    threads = [threading.Thread(target=sleeper) for _ in range(3)]
    for thread in threads:
        thread.start()
    started.wait()
    clock.stop()
    for thread in threads:
        thread.join(ASLEEP / 2)
    assert len(woken) == 3


@pytest.mark.parametrize("clock", [SystemClock(), VirtualClock()], ids=["system", "virtual"])
def test_a_stopped_clock_lets_nobody_sleep(clock: SystemClock | VirtualClock) -> None:
    """A sleep that begins after the stop raises at once, and a second stop is not an error."""
    clock.stop()
    clock.stop()
    with pytest.raises(Interrupted):
        clock.sleep(ASLEEP)


def test_an_interruption_passes_through_except_exception() -> None:
    """A retry that catches every `Exception` does not swallow an interruption."""
    assert not issubclass(Interrupted, Exception)


@pytest.mark.parametrize(
    ("handler", "raised"),
    [("clock.stop()", "Interrupted"), ("sys.exit(143)", "SystemExit")],
    ids=["handler stops the clock", "handler raises"],
)
def test_a_signal_ends_a_sleep_in_the_main_thread(handler: str, raised: str) -> None:
    """A signal handler ends the main thread's sleep whether it stops the clock or raises."""
    script = f"""
import signal, sys
from tap_jetti.client.clock import SystemClock
clock = SystemClock()
def handle(*_):
    {handler}
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    clock.sleep({ASLEEP})
except BaseException as error:
    print(type(error).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=ASLEEP / 2
    )
    assert done.stdout.split() == [raised]


def test_a_sleep_is_never_too_short() -> None:
    """A real sleep lasts at least as long as asked for, and a negative one returns at once."""
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0.01)
    clock.sleep(-1)
    assert clock.monotonic() - before >= 0.01


def test_virtual_time_moves_only_when_told() -> None:
    """Sleeping and advancing move both virtual clocks; a step moves the wall clock alone; nothing goes back."""
    clock = VirtualClock(wall=100.0, monotonic=5.0)
    clock.sleep(3600)
    clock.sleep(-1)
    clock.advance(1)
    clock.step(-50)
    assert (clock.time(), clock.monotonic()) == (3651.0, 3606.0)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
