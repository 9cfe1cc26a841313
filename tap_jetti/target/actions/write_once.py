"""Makes a write that must not be repeated, and finds out whether it took effect if its response is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tap_jetti.errors import JettiError, RetriableError, UncertainWriteError
from tap_jetti.target.delivery.ledger.once import UNCERTAIN, Claim
from tap_jetti.target.delivery.record_errors import AlreadyDoneError, record_error_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock
    from tap_jetti.target.delivery.ledger.once import Identity, OnceMarks

Found = TypeVar("Found")

PAUSES = (0.0, 1.0, 4.0)
"""Seconds before each search for the effect of a write: a slow server may still be processing it."""


@dataclass(frozen=True)
class OnceWrite:
    """A write that was claimed, so that no other process makes it.

    Attributes:
        marks: Where it was claimed.
        identity: What is written.
        items: Its items, empty for all there are; None if it has none.
        claim: What the claim has led to.
        clock: For the pauses between searches.
    """

    marks: OnceMarks
    identity: Identity
    items: frozenset[int] | None
    claim: Claim
    clock: Clock

    def make(self, write: Callable[[Callable[[], None]], object], find: Callable[[], Found | None]) -> Found | None:
        """Make the write at most once.

        Args:
            write: Makes the write. It must not retry a request that may have arrived, and must call what it is given
                just before the request leaves.
            find: Searches for the effect of the write; returns None if it finds nothing.

        Returns:
            What `find` found after the response was lost; None if there was a response.

        Raises:
            AlreadyDoneError: Another process has made it.
            UncertainWriteError: The response was lost and no effect was found, now or in an earlier run. The write is
                not sent again.
            RecordError: Jetti answered with a business error (5xx), and no effect was found.
            RequestError: The write failed and cannot have arrived.
        """
        self._take(find)
        try:
            write(lambda: self.marks.begin(self.identity))
        except RetriableError as error:
            if not error.may_have_arrived:
                self.marks.drop(self.identity)
                raise
            return self._search(error, find)
        except JettiError:
            self.marks.drop(self.identity)
            raise
        return None

    def _take(self, find: Callable[[], Found | None]) -> None:
        """Make sure that this process is the one to make the write."""
        claim = self.claim
        if claim is Claim.BUSY:
            claim = self.marks.wait(self.identity, self.items)
            if claim is not Claim.DONE and find() is not None:
                self.marks.done(self.identity)
                claim = Claim.DONE
        if claim is Claim.DONE:
            raise AlreadyDoneError
        if claim is Claim.UNCERTAIN:
            raise self.marks.uncertain_error()

    def _search(self, error: RetriableError, find: Callable[[], Found | None]) -> Found:
        for seconds in PAUSES:
            self.clock.sleep(seconds)
            found = find()
            if found is not None:
                return found
        rejection = record_error_of(error)
        if rejection is not None:
            self.marks.drop(self.identity)
            raise rejection from error
        self.marks.uncertain(self.identity)
        raise UncertainWriteError(
            UNCERTAIN,
            f"there was no response ({error.what}, {error.method} {error.path}) and no effect was found."
            " It may have been written, so it is not sent again automatically:"
            " check it in Jetti, and send the record again if it is not there",
            status=error.status,
        ) from error
