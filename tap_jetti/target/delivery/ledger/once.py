"""Marks of writes that must happen only once: claimed before the look, which comes before the write.

1. *Claim*: a mark in the ledger, which only one process can make.
2. *Look* in Jetti whether it is done already.
3. *Begin*, just before the request leaves: from here on the write may have happened.
4. *Done*, or no mark any more if Jetti refused it clearly, or *uncertain* if no response came and nothing shows.

A mark whose owner lives belongs to it. One that a dead process had only claimed is free. One that it had begun, or that
is uncertain, is free after `QUIET_SECONDS` in which Jetti did not show it: Jetti never takes longer than that.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, Protocol

from tap_jetti.client.sqlite_transaction import writing
from tap_jetti.errors import StoreError, UncertainWriteError
from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.target.delivery.ledger.locks import is_held

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from tap_jetti.client.clock import Clock
    from tap_jetti.target.delivery.ledger.account_ledger import AccountLedger

QUIET_SECONDS = 900.0
"""Q: after this time without a trace in Jetti a write that may have been sent is taken not to have happened."""

WAIT_SECONDS = 300.0
"""Longest wait for another process that is about to make the same write."""

PAUSE_SECONDS = 0.25
"""Between two looks at a mark that another process holds."""


UNCERTAIN = "uncertain"
"""Title of the error about a write that may have been made."""


class MarkState(IntEnum):
    """How far a write has come."""

    CLAIMED = 1
    BEGUN = 2
    DONE = 3
    UNCERTAIN = 4


class Claim(Enum):
    """What a claim has led to."""

    OWN = "own"
    """The write may be made, unless Jetti shows it."""
    DONE = "done"
    """It was made lately, though Jetti may not show it yet."""
    BUSY = "busy"
    """Another process or thread is about to make it."""
    UNCERTAIN = "uncertain"
    """It may have been made lately: it counts as made only if Jetti shows it."""


@dataclass(frozen=True)
class Identity:
    """What is to be written once.

    Attributes:
        action: The name of the action.
        text: What identifies the write, in one form: without blanks and case where these mean nothing.
    """

    action: str
    text: str


@dataclass(frozen=True)
class Mark:
    """A mark as the ledger has it."""

    state: MarkState
    owner: str
    at: int
    items: frozenset[int]


class HostClaims(Protocol):
    """Claims among several machines."""

    def claim(self, identity: Identity, owner: str, *, previous: str | None) -> Claim:
        """Claim a write; `previous` is the owner of a mark that this machine knows to be free."""
        ...

    def done(self, identity: Identity) -> None:
        """Say that a write was made."""
        ...

    def release(self, identity: Identity, owner: str) -> None:
        """Give a claim back."""
        ...


class OnceMarks:
    """The marks of one account. Thread-safe.

    Args:
        ledger: Where they are kept.
        clock: For waits.
        hosts: Claims among several machines; None if there is only this one.
    """

    def __init__(self, ledger: AccountLedger, *, clock: Clock, hosts: HostClaims | None = None) -> None:
        self._ledger = ledger
        self._clock = clock
        self._hosts = hosts
        self._own: set[Identity] = set()
        self._own_lock = threading.Lock()

    @property
    def _lock(self) -> AbstractContextManager[Any]:
        return self._ledger.sent.lock

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._ledger.sent.connection

    def claim(
        self, wanted: Mapping[Identity, frozenset[int] | None], *, released: Container[Identity] = ()
    ) -> dict[Identity, Claim]:
        """Claim writes. Look in Jetti after this, and before `begin`.

        Args:
            wanted: The items of each write, empty for all there are; None if it has no items.
            released: Those that were reported as uncertain, and that a person has sent again: they need not wait.

        Raises:
            StoreError: The marks cannot be kept.
        """
        owner, now = self._ledger.owner(), self._ledger.now()
        found: dict[Identity, Claim] = {}
        previous: dict[Identity, str | None] = {}
        with self._writing():
            for identity, items in wanted.items():
                mark = self._mark(identity)
                claim = self._judge(identity, mark, items, now)
                if mark is not None and mark.state is MarkState.UNCERTAIN and identity in released:
                    claim = Claim.OWN
                found[identity] = claim
                if claim is Claim.OWN:
                    previous[identity] = mark.owner if mark is not None else None
                    self._store(identity, Mark(MarkState.CLAIMED, owner, now, _united(mark, items)))
        with self._own_lock:
            self._own |= previous.keys()
        for identity in list(previous):
            if self._hosts is not None:
                found[identity] = self._hosts.claim(identity, owner, previous=previous[identity])
                if found[identity] is not Claim.OWN:
                    self.drop(identity)
        return found

    def wait(self, identity: Identity, items: frozenset[int] | None) -> Claim:
        """Wait for whoever is about to make the same write; returns how it ended: never `Claim.BUSY`.

        Raises:
            UncertainWriteError: It still is.
            Interrupted: The run is to end.
        """
        deadline = self._clock.monotonic() + WAIT_SECONDS
        while True:
            claim = self.claim({identity: items})[identity]
            if claim is not Claim.BUSY:
                return claim
            if self._clock.monotonic() >= deadline:
                raise UncertainWriteError(
                    "busy", "another process is about to write the same; send the record again when it has ended"
                )
            self._clock.sleep(PAUSE_SECONDS)

    def begin(self, identity: Identity) -> None:
        """Take note that a write is about to leave. When this returns, that is on disk."""
        self._set(identity, MarkState.BEGUN)

    def done(self, identity: Identity, *, row_id: int | None = None) -> None:
        """Take note that a write was made, or that Jetti shows it.

        Args:
            identity: What was written.
            row_id: The id of the row that was created; None if the write has items, or if it is not known.
        """
        self._set(identity, MarkState.DONE, row_id=row_id)
        if self._hosts is not None:
            self._hosts.done(identity)
        with self._own_lock:
            self._own.discard(identity)

    def uncertain(self, identity: Identity) -> None:
        """Take note that a write may have been made."""
        self._set(identity, MarkState.UNCERTAIN)
        with self._own_lock:
            self._own.discard(identity)

    def drop(self, identity: Identity) -> None:
        """Take note that a write was not made."""
        owner = self._ledger.owner()
        with self._writing():
            self._connection.execute(
                "DELETE FROM once WHERE action = ? AND identity = ? AND owner = ? AND state IN (1, 2)",
                (identity.action, identity.text, owner),
            )
        with self._own_lock:
            self._own.discard(identity)
        if self._hosts is not None:
            self._hosts.release(identity, owner)

    def created_id(self, identity: Identity) -> int | None:
        """Return the id of the row that was created, if that is known."""
        with self._lock:
            mark = self._mark(identity)
        return next(iter(mark.items), None) if mark is not None and mark.state is MarkState.DONE else None

    def uncertain_error(self) -> UncertainWriteError:
        """Return the error about a write that may have been made lately, and that Jetti does not show."""
        later = from_epoch(self._ledger.now() / 1000 + QUIET_SECONDS)
        return UncertainWriteError(
            UNCERTAIN,
            "an earlier run may have written it, and Jetti does not show it yet. It is not sent again so soon:"
            f" check it in Jetti, or send the record again after {later}",
        )

    def close(self) -> None:
        """Give back what was claimed and not begun."""
        with self._own_lock:
            own = list(self._own)
        for identity in own:
            with self._lock:
                mark = self._mark(identity)
            if mark is not None and mark.state is MarkState.CLAIMED and mark.owner == self._ledger.owner():
                self.drop(identity)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._lock, writing(self._connection):
                yield
        except sqlite3.Error as error:
            raise StoreError(
                f"The ledger cannot be written: {error}. Without it a write that must happen only once might happen"
                " twice, so it is not made. Make room, or set ledger to a folder that can be written."
            ) from error

    def _judge(self, identity: Identity, mark: Mark | None, items: frozenset[int] | None, now: int) -> Claim:
        if mark is None:
            return Claim.OWN
        is_own = mark.owner == self._ledger.owner()
        is_old = abs(now - mark.at) >= QUIET_SECONDS * 1000
        if mark.state is MarkState.DONE:
            is_whole = items is None or not mark.items or (bool(items) and items <= mark.items)
            return Claim.DONE if is_whole and not is_old else Claim.OWN
        if mark.state is MarkState.UNCERTAIN:
            return Claim.OWN if is_old else Claim.UNCERTAIN
        if self._lives(mark.owner) and (not is_own or identity in self._own):
            return Claim.BUSY
        if mark.state is MarkState.CLAIMED:
            return Claim.OWN
        return Claim.OWN if is_old else Claim.UNCERTAIN

    def _lives(self, owner: str) -> bool:
        if owner == self._ledger.owner():
            return True
        return self._ledger.files is not None and is_held(self._ledger.files.owner(owner))

    def _mark(self, identity: Identity) -> Mark | None:
        found = self._connection.execute(
            "SELECT state, owner, at, items FROM once WHERE action = ? AND identity = ?",
            (identity.action, identity.text),
        ).fetchone()
        if found is None:
            return None
        state, owner, at, items = found
        return Mark(MarkState(state), owner, at, frozenset(json.loads(items)))

    def _set(self, identity: Identity, state: MarkState, *, row_id: int | None = None) -> None:
        now, owner = self._ledger.now(), self._ledger.owner()
        with self._writing():
            mark = self._mark(identity)
            if mark is None or mark.owner == owner or state is MarkState.DONE:
                items = mark.items if mark is not None else frozenset()
                self._store(identity, Mark(state, owner, now, items if row_id is None else frozenset({row_id})))

    def _store(self, identity: Identity, mark: Mark) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO once VALUES (?, ?, ?, ?, ?, ?)",
            (identity.action, identity.text, mark.state, mark.owner, mark.at, json.dumps(sorted(mark.items))),
        )


def collapsed(text: str) -> str:
    """Return a text without regard to case and to the number of blanks: what identifies a name."""
    return " ".join(text.split()).casefold()


def spellings(text: str) -> Sequence[str]:
    """Return the forms under which Jetti is likely to have stored a text."""
    plain = " ".join(text.split())
    return list(dict.fromkeys([text, text.strip(), plain, plain.lower(), plain.upper()]))


def _united(mark: Mark | None, items: frozenset[int] | None) -> frozenset[int]:
    """The items of a claim, with those that were done before under the same identity. None are all."""
    if not items or mark is None or mark.state is not MarkState.DONE:
        return items or frozenset()
    return items | mark.items
