"""What all stores of a state have in common."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_jetti.sync.states.local_lock import LocalLock

    State = dict[str, Any]


class StateStore(Protocol):
    """Keeps one state. A write is complete or has not happened. Every method may raise a `StoreError`.

    Attributes:
        place: Where it is, for messages, without a password.
        local_lock: Its lock on this machine.
    """

    place: str
    local_lock: LocalLock

    def lock(self) -> None:
        """Reserve the state in the store until `close`, after the lock on this machine was taken.

        Raises:
            BusyError: Another process has reserved it.
        """
        ...

    def read(self) -> State | None:
        """The state, or None if there is none."""
        ...

    def write(self, state: State) -> None:
        """Replace the state."""
        ...

    def close(self) -> None:
        """Give the reservation up."""
        ...


@contextmanager
def reserved(store: StateStore) -> Iterator[None]:
    """Reserve a state for the time of a block: first on this machine, then in its store.

    Raises:
        BusyError: Another sync uses it.
        StoreError: The store failed.
    """
    store.local_lock.acquire()
    try:
        store.lock()
        yield
    finally:
        store.close()
        store.local_lock.release()
