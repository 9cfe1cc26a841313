"""A run that is asked to end more than once."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING

import pytest

from runs import Commands, Output, config_for
from tap_jetti.process.command import REPEATED_SIGNAL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.sandbox import Sandbox

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells whether a pipe is full")


COUNT_IMPORTS = """
import sys
from tap_jetti import cli
left = {count}
def on_event(event, _):
    global left
    if event == "import":
        left -= 1
        if not left:
            print(flush=True)
sys.addaudithook(on_event)
cli.{name}()
"""
"""A command that writes a line when it imports its nth module."""


@pytest.mark.parametrize("name", ["tap", "target"])
@pytest.mark.parametrize("count", [1, 30, 100, 300, 600])
def test_an_interrupt_before_the_run_has_begun_shows_no_traceback(name: str, count: int) -> None:
    """Ctrl-C while half a second's modules are still imported ends the command, and says nothing."""
    program = COUNT_IMPORTS.format(name=name, count=count)
    with subprocess.Popen(
        [sys.executable, "-c", program, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    # Before a handler is there, the signal itself ends the process, which shells show as 130, too.
    assert (process.returncode, stderr) in {(128 + signal.SIGINT, ""), (-signal.SIGINT, ""), (0, "")}


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("place", ["in a request", pytest.param("in a write", marks=needs_proc)])
def test_a_second_signal_tears_nothing(
    place: str, second: signal.Signals, sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """Ctrl-C that comes twice, or is followed by a SIGTERM, ends as it does once: 130, and the state is written."""
    sandbox = sandboxes()
    rows = [{"id": n, "updatedAt": f"2020-01-01T00:{n // 60:02}:{n % 60:02}.000Z"} for n in range(1, 1500)]
    sandbox.replace("sales", rows)
    arrived, may_answer = threading.Event(), threading.Event()

    def hold_third(number: int, *_: object) -> None:
        if number == 3:
            arrived.set()
            may_answer.wait(30)

    if place == "in a request":
        sandbox.on_request = hold_third
    with commands.start(config_for(sandbox), streams=("sales",)) as process:
        assert process.stdout
        assert process.stderr
        if place == "in a request":
            assert arrived.wait(30)
        else:
            wait_until(lambda: is_full(process.stdout))
        process.send_signal(signal.SIGINT)
        stderr = wait_for_line(process.stderr, "Received SIGINT")
        process.send_signal(second)
        may_answer.set()
        stdout = process.stdout.read()
        stderr += process.stderr.read()
    output = Output(stdout.split("\n")[:-1], stderr, process.returncode)
    assert process.returncode == 130, stderr[-2000:]
    assert stdout.endswith("\n")
    assert output.messages[-1]["type"] == "STATE"


@needs_proc
def test_a_later_signal_ends_a_run_that_nobody_reads(sandboxes: Callable[..., Sandbox], commands: Commands) -> None:
    """A run that stands in the midst of a line waits for its reader; a signal after a second ends it all the same."""
    sandbox = sandboxes()
    rows = [{"id": n, "updatedAt": "2020-01-01T00:00:00.000Z", "reference": "x" * 5000} for n in range(1, 200)]
    sandbox.replace("sales", rows)
    with commands.start(config_for(sandbox), streams=("sales",)) as process:
        wait_until(lambda: is_full(process.stdout))
        signalled = time.monotonic()
        process.send_signal(signal.SIGTERM)
        wait_for_line(process.stderr, "Received SIGTERM")
        while process.poll() is None:  # signals within the first second are ignored
            process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
        assert process.returncode == -signal.SIGTERM
        assert time.monotonic() - signalled > REPEATED_SIGNAL_SECONDS


def wait_for_line(stream: IO[str] | None, text: str) -> str:
    """Read lines until one contains a text; returns all of them."""
    assert stream is not None
    lines = ""
    for line in stream:
        lines += line
        if text in line:
            return lines
    raise EOFError(f"no line has {text!r}, but: {lines}")


def is_full(pipe: IO[str] | None) -> bool:
    """Whether a pipe that nobody reads is full, so that its writer waits."""
    assert pipe is not None
    writer = os.open(f"/proc/self/fd/{pipe.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
    try:
        _, writable, _ = select.select([], [writer], [], 0)
    finally:
        os.close(writer)
    return not writable


def wait_until(is_met: Callable[[], bool]) -> None:
    """Wait until a condition is met, for as long as a test may take."""
    deadline = time.monotonic() + 30
    while not is_met():
        assert time.monotonic() < deadline
        time.sleep(0.01)
