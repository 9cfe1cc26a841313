"""What the reader of a window reads from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tap_jetti.reading.page import decode_raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.reading.page import Page
    from tap_jetti.reading.pages import AskedPage, KeyRange
    from tap_jetti.reading.prefetch.context import PrefetchContext
    from tap_jetti.reading.prefetch.stream_read import StreamRead
    from tap_jetti.reading.prefetch.windows import Window, Windows
    from tap_jetti.reading.resource_facts import ResourceFacts


class WindowPages:
    """The server's pages, as far as there is memory for them. A window proves nothing, and learns for itself alone.

    Args:
        context: What the parts of a prefetcher share.
        stream_read: How the stream is read.
        windows: The windows of the stream.
        window: The one that is read.
        facts: What the stream's reader knows of the resource; they are not changed.
        page_size: Rows of the largest page so far.
        upper: The server's clock when the read of the whole stream began; None for a read by id.
        is_wanted: Whether the stream is still read.
    """

    def __init__(
        self,
        context: PrefetchContext,
        stream_read: StreamRead,
        windows: Windows,
        window: Window,
        *,
        facts: ResourceFacts,
        page_size: int,
        upper: float | None,
        is_wanted: Callable[[], bool],
    ) -> None:
        self._context = context
        self._page_size = page_size
        self._upper = upper
        self._reserved = 0
        self._windows = windows
        self._window = window
        self._is_wanted = is_wanted
        self._asked = stream_read.pages_from(context.scheduled(lambda: (1, window.row)), decode_raw)
        self._asked.facts = self.facts = replace(facts)
        self.resource = self._asked.resource
        self.profile = self._asked.profile
        self.is_at_end = False
        """Whether the reader of the stream would take the last page for the end without a count."""

    def began(self, at: float) -> float | None:  # noqa: ARG002 - it is a part of another read
        """The server's clock when the read of the whole stream began."""
        return self._upper

    def probe(self, *ranges: KeyRange, limit: int, skip: int) -> Page:
        """The page that is so many rows, or pages, behind the first one of the ranges."""
        self._reserve()
        return self._asked.page_at(*ranges, limit=limit, skip=skip)

    def page(self, *ranges: KeyRange) -> AskedPage:
        """One page, see `ResourcePages.page`."""
        self._reserve()
        asked = self._asked.page(*ranges)
        rows = len(asked.page)
        # A page may have fewer rows than asked for because the server caps pages.
        self.is_at_end = not self.facts.is_full(rows, asked.limit) and self.facts.is_trusted_size(rows)
        return asked

    def newest_id(self) -> int | None:
        """None: a window ends where the next one begins."""
        return None

    def count(self, *ranges: KeyRange) -> int | None:  # noqa: ARG002 - nothing is proven here
        """None: a window proves nothing."""
        return None

    estimate = count

    def release(self) -> None:
        """Give back what was reserved for the last page: its rows are held now, or were not wanted."""
        self._context.memory.release(self._reserved)
        self._reserved = 0

    def _reserve(self) -> None:
        self.release()
        places = self._context.memory.places_for(self._asked.path, self._page_size)
        self._context.memory.reserve(
            places,
            is_wanted=lambda: self._is_wanted() and self._window.reading,
            may_go=lambda: True if self._windows.is_awaited and self._windows.awaited is self._window else None,
        )
        self._reserved = places
