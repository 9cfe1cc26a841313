"""How a stream is read, and the requests of those who read ahead of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tap_jetti.client.page import (
        Decode,
        Page,
        PageSource,
        Reads,
        Source,
    )
    from tap_jetti.client.query import Pairs
    from tap_jetti.client.readahead.gate import Urgency
    from tap_jetti.client.readahead.readahead import Readahead
    from tap_jetti.client.session import Answer


class Reader(Protocol):
    """Reads one resource."""

    def pages(self) -> Iterator[Page]:
        """Its rows, a page at a time."""
        ...

    def total(self) -> int | None:
        """How many rows these are in all, see `tap_jetti.client.keyset`."""
        ...

    def is_end(self, received: int) -> bool:
        """Whether a page of so many rows is taken for the last one, without a count."""
        ...


@dataclass(frozen=True, eq=False)
class Plan:
    """How one stream is read. Threads call it, so it must not touch what the main thread changes.

    Attributes:
        pages_from: Where its pages come from, by a session and what makes pages of bytes.
        all_rows: Conditions that its rows meet, to count them by.
        reader: A reader of it.
    """

    pages_from: Callable[[Reads, Decode | None], PageSource]
    all_rows: Mapping[str, Any]
    reader: Callable[[Source], Reader]


class Stopped(BaseException):
    """Ends a thread whose work is not wanted any more."""


class Paced:
    """A session whose requests pass the gate."""

    def __init__(
        self, ahead: Readahead, urgency: Callable[[], Urgency], passed: Callable[[], None] | None = None
    ) -> None:
        self._ahead = ahead
        self._urgency = urgency
        self._passed = passed
        self.server_clock = ahead.session.server_clock

    def get(self, path: str, query: Pairs | None = None, *, decode: Callable[[bytes], Any] | None = None) -> Answer:
        """Read from the API when the gate lets it, see `JettiSession.get`."""
        with self._ahead.gate.passing(self._urgency) as paid:
            if self._passed is not None:
                self._passed()
            try:
                answer = self._ahead.session.get(path, query, decode=decode, paid=paid)
                self._ahead.observe(path, answer)
            finally:
                self._ahead.note_outcome()
        return answer
