"""Fixtures for all tests."""

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
    """Restore the signal handlers: creating a tap replaces those of the process."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    if threading.current_thread() is threading.main_thread():
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's state directory out of the tests, and let no test see what another one has remembered."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def sandboxes() -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes with options, empty and without a rate limit by default; all are stopped after the test."""
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Sandbox:
            return stack.enter_context(Sandbox(Options(**{"empty": True, "rate": 0, **options})))

        yield start


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that the test moves. It starts later than all test data."""
    return VirtualClock(wall=1_600_000_000.25)


@pytest.fixture
def sessions(clock: VirtualClock) -> Iterator[Callable[..., JettiSession]]:
    """Open sessions without a rate limit; all are closed after the test."""
    with contextlib.ExitStack() as stack:

        def connect(sandbox: Sandbox, **arguments: Any) -> JettiSession:
            return stack.enter_context(contextlib.closing(unlimited_session(sandbox, clock, **arguments)))

        yield connect


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Runs the tap as a command."""
    return Commands(tmp_path)
