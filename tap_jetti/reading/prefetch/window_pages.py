"""What the reader of a window reads from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.reading.pages import KeyRange, Page, decode_raw
from tap_jetti.reading.prefetch.scheduler import ScheduledSession
from tap_jetti.reading.server_profile import PageSizes, ServerProfile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_jetti.reading.prefetch.prefetcher import Prefetcher
    from tap_jetti.reading.prefetch.stream_read import StreamRead
    from tap_jetti.reading.prefetch.windows import Window, Windows


class WindowPages:
    """What the reader of a window reads from: the server, as far as there is room."""

    def __init__(
        self,
        ahead: Prefetcher,
        plan: StreamRead,
        windows: Windows,
        window: Window,
        *,
        page_size: int,
        upper: float | None,
        is_wanted: Callable[[], bool],
    ) -> None:
        self._ahead = ahead
        self._page_size = page_size
        self._upper = upper
        self._reserved = 0
        self._windows = windows
        self._window = window
        self._is_wanted = is_wanted
        self._asked = plan.pages_from(ScheduledSession(ahead, lambda: (1, window.row)), decode_raw)
        self.last_size = 0
        self.resource = self._asked.resource
        self.page_size = self._asked.page_size
        self.profile = ServerProfile(PageSizes(self._asked.profile.page_sizes))

    def began(self, at: float) -> float | None:  # noqa: ARG002 - it is a part of another read
        """The server's clock when the read of the whole stream began."""
        return self._upper

    def probe(self, where: Mapping[str, Any], bounds: Sequence[KeyRange], limit: int, skip: int) -> Page:
        """The page that is so many rows, or pages, after the first of those asked for."""
        self._reserve()
        return self._asked.page(where, bounds, limit=limit, skip=skip)[0]

    def page(self, where: Mapping[str, Any], bounds: Sequence[KeyRange]) -> tuple[Page, float]:
        """One page, see `ResourcePages.page`."""
        self._reserve()
        page, sent = self._asked.page(where, bounds)
        self.last_size = len(page)
        return page, sent

    def count(self, where: Mapping[str, Any]) -> int | None:  # noqa: ARG002 - nothing is proven here
        """None: a window proves nothing."""
        return None

    counted = count

    def try_large_page(self, rows: int) -> None:
        """Do nothing: a window proves nothing."""

    def release(self) -> None:
        """Give back the room of the last page: its rows are held now, or were not wanted."""
        self._ahead.release(self._reserved)
        self._reserved = 0

    def _reserve(self) -> None:
        self.release()
        places = self._ahead.places(self._asked.path, self._page_size)
        self._ahead.reserve(
            places,
            is_wanted=lambda: self._is_wanted() and self._window.reading,
            may_go=lambda: True if self._windows.is_awaited and self._windows.awaited is self._window else None,
        )
        self._reserved = places
