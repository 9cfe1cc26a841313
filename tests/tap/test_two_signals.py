"""A run that is asked to end more than once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from runs import Commands, Output, config_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.sandbox import Sandbox


@pytest.mark.parametrize("name", ["tap", "target"])
@pytest.mark.parametrize("delay", [0.05, 0.1, 0.2, 0.3, 0.4])
def test_an_interrupt_before_the_run_has_begun_shows_no_traceback(name: str, delay: float) -> None:
    """Ctrl-C while half a second's modules are still imported ends the command, and says nothing."""
    program = f"from tap_jetti import cli; print(flush=True); cli.{name}()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) in {(-signal.SIGINT, ""), (0, "")}


@pytest.mark.parametrize("gap", [0.001, 0.005, 0.02])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_second_signal_tears_nothing(
    second: signal.Signals, gap: float, sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """Ctrl-C that comes twice, or is followed by a SIGTERM, ends as it does once: 130, and the state is written."""
    sandbox = sandboxes(latency=0.3)
    rows = [{"id": n, "updatedAt": f"2020-01-01T00:{n // 60:02}:{n % 60:02}.000Z"} for n in range(1, 1500)]
    sandbox.replace("sales", rows)
    arrived = threading.Event()
    sandbox.on_request = lambda number, *_: arrived.set() if number == 6 else None
    with commands.start(config_for(sandbox), streams=("sales",)) as process:
        assert arrived.wait(30)
        process.send_signal(signal.SIGINT)
        time.sleep(gap)
        process.send_signal(second)
        stdout, stderr = process.communicate(timeout=30)
    output = Output(stdout.split("\n")[:-1], stderr, process.returncode)
    assert process.returncode == 130, stderr[-2000:]
    assert stdout.endswith("\n")
    assert output.messages[-1]["type"] == "STATE"


def test_a_later_signal_ends_a_run_that_nobody_reads(sandboxes: Callable[..., Sandbox], commands: Commands) -> None:
    """A run that stands in the midst of a line waits for its reader; a signal after a second ends it all the same."""
    sandbox = sandboxes()
    rows = [{"id": n, "updatedAt": "2020-01-01T00:00:00.000Z", "reference": "x" * 5000} for n in range(1, 200)]
    sandbox.replace("sales", rows)
    with commands.start(config_for(sandbox), streams=("sales",)) as process:
        asked = -1
        while asked != len(sandbox.requests) or not asked:  # until the pipe is full
            asked = len(sandbox.requests)
            time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        time.sleep(1.2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == -signal.SIGTERM
