"""What was learnt of the server: how large its pages are, what it counts, what it refuses."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

FEW = 10
"""No server is expected to cap its pages below so many rows."""


class PageSizes:
    """What the sizes of pages have told of how many rows the server gives at most.

    Args:
        known: What others know: the reader whose rows leave, for those who read ahead of it.
    """

    def __init__(self, known: PageSizes | None = None) -> None:
        self._known = known
        self._largest = self._cut = self._whole = 0

    @property
    def largest(self) -> int:
        """Rows of the largest page of any resource so far."""
        return max(self._largest, self._known.largest if self._known else 0)

    @property
    def cut(self) -> int:
        """Rows of the largest page that was shorter than asked though more were to come, 0 if there was none."""
        return max(self._cut, self._known.cut if self._known else 0)

    @property
    def whole(self) -> int:
        """Rows of the largest page that was shorter than asked and has shown to be the last, 0 if there was none.

        Of one of `FEW` rows or more only reading on in vain shows it, of a smaller one the count, too.
        """
        return max(self._whole, self._known.whole if self._known else 0)

    def show_end(self, rows: int, asked: int) -> bool:
        """Whether a page of so many rows must be the last one: it is empty, or smaller than any page that is cut.

        That no server cuts pages below `FEW` is expected, not known. So a larger one must have come.
        """
        return rows == 0 or (rows < min(FEW, asked, self.largest) and rows != self.cut)

    def may_be_cut(self, rows: int) -> bool:
        """Whether a page of so many rows, shorter than asked, may be as large as the server gives."""
        return rows == self.cut or self.is_new(rows)

    def is_new(self, rows: int) -> bool:
        """Whether nothing is known yet of pages of so many rows, shorter than asked."""
        return rows >= self.largest > self.whole and rows != self.cut

    def note(self, rows: int) -> None:
        """A page had so many rows."""
        self._largest = max(self._largest, rows)

    def note_cut(self, rows: int) -> None:
        """A page of so many rows was shorter than asked, and more were to come."""
        self._cut = max(self._cut, rows)

    def note_whole(self, rows: int) -> None:
        """A page of so many rows was shorter than asked, and nothing more was to come; see `whole`."""
        self._whole = max(self._whole, rows)


@dataclass
class ServerProfile:
    """What the reads of one session have learnt of a server that documents little.

    Threads may share it. Only the reader whose rows leave notes the sizes of pages, for ends
    are told by them, and what leaves must not depend on what happens to be read ahead.

    Attributes:
        page_sizes: How many rows it gives at most.
        refused_fields: The length of the shortest list of fields that was refused.
        uncounted: The resources that the server does not count.
        tried_large_page: Whether it was asked for a page only to see how many rows it gives.
        said: Messages that were logged once and need not be again.
    """

    page_sizes: PageSizes = field(default_factory=PageSizes)
    refused_fields: int | None = None
    uncounted: set[str] = field(default_factory=set)
    tried_large_page: bool = False
    said: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def warn_once(self, logger: logging.Logger, message: str, *values: object) -> None:
        """Log a warning unless the same one was logged before."""
        text = message % values
        with self.lock:
            is_new = text not in self.said
            self.said.add(text)
        if is_new:
            logger.warning("%s", text)

    def refuse(self, fields: int) -> None:
        """Take note that a list of so many fields was refused."""
        with self.lock:
            self.refused_fields = min(fields, self.refused_fields or fields)
