"""What the parameter ``from`` means to the server, found out by where pages asked for with it have landed."""

from __future__ import annotations

MAX_USELESS = 2
"""Probes in a row that may land where nothing is gained before no more are sent."""


class FromProbes:
    """Aims at pages further on, by number of pages or of rows, whichever the server takes ``from`` for.

    It is documented by neither; so nothing that matters depends on where a probe lands.

    Attributes:
        is_known: Whether a probe has shown what ``from`` means.
    """

    def __init__(self) -> None:
        self.is_known = False
        self._counts_pages = True
        self._useless = 0

    @property
    def is_hopeless(self) -> bool:
        """Whether both meanings were tried in vain."""
        return self._useless >= MAX_USELESS and not self.is_known

    def aim(self, skip: int, page_size: int) -> tuple[int, int, int]:
        """How to ask for the page so many rows on: the limit, ``from``, and how many rows it really passes over."""
        if not self._counts_pages:
            return page_size, skip, skip
        fewest = -(-skip // page_size)
        # Rows short of the aim are read twice, and those that the page is smaller by are left to another.
        limit, pages = min(
            ((skip // pages, pages) for pages in range(fewest, fewest + 4)),
            key=lambda choice: skip - choice[0] * choice[1] + page_size - choice[0],
        )
        return limit, pages, pages * limit

    def judge(self, *, useful: bool) -> bool:
        """Learn from where a probe landed; answers whether to go on probing this stream."""
        if useful:
            self.is_known, self._useless = True, 0
            return True
        self._useless += 1
        if not self.is_known:
            self._counts_pages = not self._counts_pages
        return self._useless < MAX_USELESS
