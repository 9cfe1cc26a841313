"""How a stream is read, and the requests of those who read ahead of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tap_jetti.reading.pages import (
        Decode,
        Page,
        PageReader,
        Reads,
        ResourcePages,
    )


class Reader(Protocol):
    """Reads one resource."""

    def pages(self) -> Iterator[Page]:
        """Its rows, a page at a time."""
        ...

    def total(self) -> int | None:
        """How many rows these are in all, see `tap_jetti.reading.keyset`."""
        ...

    def is_end(self, received: int) -> bool:
        """Whether a page of so many rows is taken for the last one, without a count."""
        ...


@dataclass(frozen=True, eq=False)
class StreamRead:
    """How one stream is read. Threads call it, so it must not touch what the main thread changes.

    Attributes:
        pages_from: Where its pages come from, by a session and what makes pages of bytes.
        all_rows: Conditions that its rows meet, to count them by.
        reader: A reader of it.
    """

    pages_from: Callable[[Reads, Decode | None], ResourcePages]
    all_rows: Mapping[str, Any]
    reader: Callable[[PageReader], Reader]
