"""Fixtures of all tests."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runs import Commands, unlimited_session
from tap_jetti.client.clock import VirtualClock
from tap_jetti.sandbox import Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tap_jetti.client.session import JettiSession


@pytest.fixture(autouse=True)
def _quiet_signals() -> Iterator[None]:
    """A tap takes over the signals of the process that makes one: give them back."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    if threading.current_thread() is threading.main_thread():
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@pytest.fixture
def sandboxes() -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes by their options; all are stopped at the end. Empty and unlimited unless told otherwise."""
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Sandbox:
            return stack.enter_context(Sandbox(Options(**{"empty": True, "rate": 0, **options})))

        yield start


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that moves by hand, at noon of a day after all the test data."""
    return VirtualClock(wall=1_600_000_000.25)


@pytest.fixture
def sessions(clock: VirtualClock) -> Iterator[Callable[..., JettiSession]]:
    """Open sessions that no rate limit holds back."""
    with contextlib.ExitStack() as stack:

        def connect(sandbox: Sandbox, **arguments: Any) -> JettiSession:
            return stack.enter_context(contextlib.closing(unlimited_session(sandbox, clock, **arguments)))

        yield connect


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """The tap as a command."""
    return Commands(tmp_path)
