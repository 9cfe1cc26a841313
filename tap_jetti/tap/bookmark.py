"""The bookmark of one stream."""

from __future__ import annotations

from typing import Any, Protocol

from tap_jetti.facts.resources import REPLICATION_KEY
from tap_jetti.reading.resource_facts import BOOKMARK_KEY


class StreamState(Protocol):
    """What the SDK's state manager of a stream offers."""

    is_flushed: bool
    """False: the state has changed since it was last written."""

    @property
    def stream_state(self) -> dict[str, Any]:
        """The entry of the stream in the state. It is created if there is none."""
        ...


class Bookmark:
    """The bookmark of one stream in the state. It never moves backwards, except by `restore`.

    In batch mode rows are in a file long before the BATCH message announces that file. A STATE that is written in
    between must not cover them: if the run ended there, nobody would ever load the file. So the bookmark is held:
    what it would advance to and what was learnt are kept aside until the batch is announced.

    Args:
        state: The state of the stream.
    """

    def __init__(self, state: StreamState) -> None:
        self._state = state
        self._is_held = False
        self._pending = ""
        self._pending_facts: dict[str, Any] | None = None

    @property
    def value(self) -> str | None:
        """The timestamp, or None if there is no bookmark yet."""
        value: str | None = self._state.stream_state.get("replication_key_value")
        return value

    def advance(self, timestamp: str | None) -> None:
        """Move the bookmark to this timestamp if that is later. While the bookmark is held, it moves on release."""
        if self._is_held:
            self._pending = max(self._pending, timestamp or "")
        else:
            self._move(timestamp or "")

    def hold(self) -> None:
        """Keep the bookmark where it is until `release`."""
        self._is_held = True

    def release(self) -> None:
        """Move the bookmark to where it would be had it not been held, and go on to hold it for the next batch."""
        self._move(self._pending)
        self._pending = ""
        if self._pending_facts is not None:
            self._keep(self._pending_facts)
            self._pending_facts = None

    def restore(self, timestamp: str | None) -> None:
        """Set the bookmark back after a read that has shown rows to be missing before where it has moved."""
        self._pending = ""
        for key in ("replication_key", "replication_key_value"):
            self._state.stream_state.pop(key, None)
        self._state.is_flushed = False
        self._move(timestamp or "")

    def learn(self, facts: dict[str, Any]) -> None:
        """Keep what was learnt of the server beside the timestamp. While it is held, they are kept on release."""
        if self._is_held:
            self._pending_facts = facts
        else:
            self._keep(facts)

    def _keep(self, facts: dict[str, Any]) -> None:
        if self._state.stream_state.get(BOOKMARK_KEY) != facts:
            self._state.stream_state[BOOKMARK_KEY] = facts
            self._state.is_flushed = False

    def _move(self, timestamp: str) -> None:
        if timestamp > (self.value or ""):
            self._state.stream_state.update(replication_key=REPLICATION_KEY, replication_key_value=timestamp)
            self._state.is_flushed = False
