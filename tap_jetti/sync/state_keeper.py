"""Stores what the loader confirms, without ever holding the loader up."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import JettiError
from tap_jetti.sync.states.local_lock import BusyError
from tap_jetti.tap.state_input import OWNER

if TYPE_CHECKING:
    import logging

    from tap_jetti.sync.states.store import StateStore

    State = dict[str, Any]

RETRY_SECONDS = 5.0
"""Seconds after which a write that failed is tried again."""

FINAL_SECONDS = 60.0
"""How long the last write is tried at the end of a run."""


class StateKeeper(threading.Thread):
    """Writes the newest state, and leaves out those that were overtaken while a write went on.

    Args:
        store: The store, reserved.
        owner: Which account the states belong to.
        logger: Where failures are reported.
    """

    def __init__(self, store: StateStore, *, owner: str, logger: logging.Logger) -> None:
        super().__init__(name="state keeper", daemon=True)
        self._store = store
        self._owner = owner
        self._logger = logger
        self._changed = threading.Condition()
        self._pending: State | None = None
        self._is_writing = False
        self._give_up_at: float | None = None
        self._error: JettiError | None = None

    def keep(self, state: State) -> None:
        """Store this state soon."""
        with self._changed:
            self._pending = state
            self._changed.notify_all()

    def finish(self) -> JettiError | None:
        """Store what waits. Returns why that failed, or None."""
        with self._changed:
            self._give_up_at = time.monotonic() + FINAL_SECONDS
            self._changed.notify_all()
        self.join()
        return self._error

    def run(self) -> None:
        """Write until `finish` is called and all is written."""
        while (state := self._next()) is not None:
            try:
                self._store.write({**state, OWNER: self._owner})
            except BusyError as error:
                self._error = error
                return
            except JettiError as error:
                if not self._retry(state, error):
                    return
            else:
                if self._error:
                    self._logger.warning("The state at %s can be written again.", self._store.place)
                self._error = None

    def _next(self) -> State | None:
        """Wait for the next state; None if there will be no more."""
        with self._changed:
            while self._pending is None and self._give_up_at is None:
                self._changed.wait()
            state, self._pending = self._pending, None
            return state

    def _retry(self, state: State, error: JettiError) -> bool:
        """Let a state wait for its next try, unless a newer one has come. Returns False if it is too late for that."""
        if self._error is None:
            self._logger.warning("%s It is tried again; meanwhile the run goes on.", error)
        self._error = error
        with self._changed:
            if self._pending is None:
                self._pending = state
            if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
                return False
            self._changed.wait(RETRY_SECONDS if self._give_up_at is None else 1.0)
        return True
