"""How one stream is read: where its pages come from, and what reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_jetti.reading.page import Decode, Page
    from tap_jetti.reading.pages import PageReader, Reads, ResourcePages
    from tap_jetti.reading.proof import Proof


class Reader(Protocol):
    """Reads one resource, see `tap_jetti.reading.keyset` and `tap_jetti.reading.id_read`."""

    proof: Proof

    def pages(self) -> Iterator[Page]:
        """Its rows, a page at a time."""
        ...

    def total(self) -> int | None:
        """How many rows these are in all."""
        ...


@dataclass(frozen=True, eq=False)
class StreamRead:
    """How one stream is read. Threads call it, so it must not touch what the main thread changes.

    Attributes:
        pages_from: Its pages, by a session and what makes pages of bytes.
        reader: A reader of pages.
        may_count: Whether the server may be asked to count.
    """

    pages_from: Callable[[Reads, Decode | None], ResourcePages]
    reader: Callable[[PageReader], Reader]
    may_count: bool = True
