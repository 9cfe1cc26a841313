"""Runs the tap and the loader, and keeps the state that the loader confirms.

What holds, whatever happens: the stored state is one that the loader has written, so it is never ahead of the rows.
A signal ends the tap only; the loader reads to the end and its last state is stored.
"""

from __future__ import annotations

import logging
import signal
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, Any

from tap_jetti.errors import Interrupted, SettingsError
from tap_jetti.facts.json_codec import decode_json, encode_json
from tap_jetti.sync.children import Child
from tap_jetti.sync.outcome import Ending
from tap_jetti.sync.relay import LoaderStates, Relay
from tap_jetti.sync.state_keeper import StateKeeper
from tap_jetti.sync.states.store import reserved
from tap_jetti.sync.warehouse.end import END
from tap_jetti.tap.state_input import OWNER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import FrameType

    from tap_jetti.sync.states.store import StateStore
    from tap_jetti.sync.tap_run import TapRun

    State = dict[str, Any]

TAP_SECONDS = 60.0
"""How long the tap may take to end after a signal, before it is killed."""

LOADER_SECONDS = 10.0
"""How long a loader that hung may take to end, before it is killed."""

REPEATED_SIGNAL_SECONDS = 1.0
"""Seconds after a signal in which others are ignored: Ctrl-C comes twice if a parent process passes it on."""

_TICK = 0.5
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

LOGGER = logging.getLogger("jetti")


@dataclass(frozen=True)
class LoaderCommand:
    """How the loader is started.

    Attributes:
        command: Its command.
        keeps_state: Whether it keeps the state itself: its first line is the state that it has.
        file: The DuckDB file of the loader that is built in.
        timeout: Seconds after which a loader that does not read on is taken for hung.
    """

    command: Sequence[str]
    keeps_state: bool = False
    file: Path | None = None
    timeout: float = 1800.0


class Runner:
    """One sync.

    Args:
        tap: How the tap is started.
        loader: How the loader is started.
        store: Where the state is.
        log: Where both write their messages. None: where this process does.
        reports: The descriptor for the reports of the tap, if somebody watches.
    """

    def __init__(
        self,
        tap: TapRun,
        loader: LoaderCommand,
        store: StateStore,
        *,
        log: IO[bytes] | None = None,
        reports: int | None = None,
    ) -> None:
        self._tap_run = tap
        self._loader_command = loader
        self._store = store
        self._log = log
        self._reports = reports
        self._arrived: SimpleQueue[int] = SimpleQueue()
        self._is_running = False
        self._signalled_at: float | None = None

    def run(self) -> Ending:
        """Sync.

        Raises:
            JettiError: It could not begin.
            Interrupted: A signal came before it had begun.
        """
        with self._signals(), reserved(self._store), ExitStack() as stack:
            state = None if self._loader_command.keeps_state else self._store.read()
            self._check_warehouse(state)
            loader = Child(
                "the loader",
                self._loader_command.command,
                stderr=self._log,
                kept_open=[self._store.local_lock.descriptor],
            )
            stack.callback(loader.close)
            if self._loader_command.keeps_state:
                first = loader.stdout.readline()
                if not first.endswith(b"\n"):
                    loader.wait()
                    return Ending(None, loader, loader_ended_first=True)
                state = decode_json(first)
            state = self._own(state)
            self._is_running = True
            tap = self._start_tap(state)
            stack.callback(tap.close)
            return self._supervise(tap, loader)

    def _check_warehouse(self, state: State | None) -> None:
        """Refuse a state whose rows cannot be where they are said to be."""
        file = self._loader_command.file
        if file is not None and (state or {}).get("bookmarks") and not file.exists():
            raise SettingsError(
                f"{file} does not exist, but the state at {self._store.place} says that rows were loaded into it."
                " Restore the file, or remove the state to load everything again."
            )

    def _own(self, state: State | None) -> State | None:
        """The state without the name of its owner.

        Raises:
            SettingsError: It is that of another account: rows of this one would be taken for read.
        """
        if state is None or OWNER not in state:
            return state
        if state[OWNER] != self._tap_run.owner:
            raise SettingsError(
                f"The state at {self._store.place} is that of another account, or was written with another API token."
                f" If only the token is new, run once: jetti state show {self._store.place} | jetti state set"
                f" {self._store.place} - (or set `account` before a token is replaced). Otherwise use another --state."
            )
        return {name: value for name, value in state.items() if name != OWNER}

    def _start_tap(self, state: State | None) -> Child:
        more = {} if self._reports is None else {"JETTI_SYNC_REPORTS": str(self._reports)}
        return Child(
            "the tap",
            self._tap_run.command(state),
            environment=self._tap_run.environment(**more),
            stderr=self._log,
            kept_open=[] if self._reports is None else [self._reports],
        )

    def _supervise(self, tap: Child, loader: Child) -> Ending:
        """Wait until both have ended, and see to it that they do."""
        ending = Ending(tap, loader)
        keeper = StateKeeper(self._store, owner=self._tap_run.owner, logger=LOGGER)
        keeper.start()
        keep = (lambda _: None) if self._loader_command.keeps_state else keeper.keep
        states = LoaderStates(loader.stdout, keep, logger=LOGGER)
        relay = Relay(
            tap.stdout, loader.stdin, last_line=(lambda: self._end(tap)) if self._loader_command.file else bytes
        )
        states.start()
        relay.start()
        try:
            self._watch(ending, relay, states)
        finally:
            for child in (tap, loader):
                if child.returncode is None:
                    child.kill()
        for child in (tap, loader):
            child.wait()
        relay.join()
        states.join()
        ending.state_error = keeper.finish()
        ending.rows, ending.sent, ending.stored = dict(relay.rows), relay.state, states.last
        ending.tap_summary = self._tap_run.summary()
        return ending

    def _watch(self, ending: Ending, relay: Relay, states: LoaderStates) -> None:
        """React to what happens until both processes have ended."""
        tap, loader = ending.tap, ending.loader
        assert tap  # noqa: S101 - it was started
        relay_ended_at: float | None = None
        while tap.returncode is None or loader.returncode is None or relay.is_alive():
            signum = self._next_signal()
            if signum is not None and ending.signum is not None:
                LOGGER.warning("Received a second signal; ending the tap and the loader at once.")
                return
            if signum is not None:
                ending.signum = signum
                LOGGER.warning("Received %s; the loader stores what was read.", signal.Signals(signum).name)
                tap.terminate()
            now = time.monotonic()
            if relay.has_ended:
                relay_ended_at = relay_ended_at or now
            if not ending.loader_ended_first and (
                relay.is_refused or (loader.returncode is not None and not relay.has_ended)
            ):
                ending.loader_ended_first = True
                tap.terminate()
            if self._signalled_at and tap.returncode is None and now - self._signalled_at > TAP_SECONDS:
                LOGGER.warning("The tap does not end; it is killed.")
                tap.kill()
            busy_since = relay.blocked_since or relay_ended_at
            if busy_since and loader.returncode is None:
                waited = now - max(busy_since, states.heard_at)
                if waited > self._loader_command.timeout:
                    ending.hung_seconds = waited
                    self._end_hung(tap, loader)

    @staticmethod
    def _end_hung(tap: Child, loader: Child) -> None:
        LOGGER.error("The loader does not read on; it is ended.")
        tap.terminate()
        loader.terminate()
        if not loader.wait(LOADER_SECONDS):
            loader.kill()
        loader.wait()

    def _end(self, tap: Child) -> bytes:
        """What tells the loader that is built in which streams are whole. A tap that was killed says nothing."""
        tap.wait()
        streams = (self._tap_run.summary() or {}).get("streams", {})
        complete = [name for name, figures in streams.items() if figures["outcome"] == "complete"]
        return encode_json({"type": END, "complete": complete}) + b"\n"

    def _next_signal(self) -> int | None:
        try:
            return self._arrived.get(timeout=_TICK)
        except Empty:
            return None

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Handle signals for the time of a block. After it the process ends, and its exit code is known."""
        old = {signum: signal.getsignal(signum) for signum in _SIGNALS}
        for signum, handler in old.items():
            if handler is not signal.SIG_IGN or signum != signal.SIGHUP:  # nohup
                signal.signal(signum, self._on_signal)
        try:
            yield
        finally:
            for signum in old:
                signal.signal(signum, signal.SIG_IGN)

    def _on_signal(self, signum: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if not self._is_running:
            raise Interrupted(signum)
        if self._signalled_at is None or now - self._signalled_at > REPEATED_SIGNAL_SECONDS:
            self._signalled_at = self._signalled_at or now
            self._arrived.put(signum)
