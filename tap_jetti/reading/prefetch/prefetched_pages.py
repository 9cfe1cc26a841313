"""The pages of the stream that is read, and the threads that read its windows."""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import JettiError
from tap_jetti.facts.resources import PRIMARY_KEY
from tap_jetti.facts.timestamps import to_epoch
from tap_jetti.reading.keyset import FullRead, IncrementalRead
from tap_jetti.reading.pages import Decode, KeyRange, MalformedPageError, Page, decode_raw, encode_raw
from tap_jetti.reading.prefetch.scheduler import ScheduledSession
from tap_jetti.reading.prefetch.window_pages import WindowPages
from tap_jetti.reading.prefetch.windows import UNKNOWN, Probe, Window, Windows
from tap_jetti.reading.server_profile import FEW, ServerProfile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.reading.prefetch.prefetcher import Prefetcher
    from tap_jetti.reading.prefetch.stream_ahead import StreamPrefetch
    from tap_jetti.reading.prefetch.stream_read import Reader, StreamRead

FIRST = 4
"""Pages ahead that a probe aims while the length of the read is unknown."""


class PrefetchedPages:
    """The pages of one stream, from what is held and else from the server.

    Args:
        ahead: What reads ahead.
        plan: How the stream is read.
        decode: Makes pages of the bytes of answers.
        scout: What has read its beginning.
    """

    def __init__(self, ahead: Prefetcher, plan: StreamRead, decode: Decode, scout: StreamPrefetch | None) -> None:
        self._ahead = ahead
        self._plan = plan
        self._decode = decode
        self._scout = scout
        self._asked = plan.pages_from(ScheduledSession(ahead, lambda: (0, 0), ahead.fill), decode)
        self._windows: Windows | None = None
        self._probing = True
        self._measured = self._is_measuring = self._is_measure_awaited = False
        self._may_guess = not ahead.knows_from and scout is None
        self._bound: str | None = None
        self._page_size = 0
        self._has_begun = False
        self._last: tuple[Any, list[Any]] = (None, [])
        self._row = 0
        self._counted: int | None = None
        self.resource = self._asked.resource
        self.page_size = self._asked.page_size
        self.profile: ServerProfile = self._asked.profile

    def began(self, at: float) -> float | None:
        """The server's clock when the read began, which may have been the scout's; see `PageReader.began`."""
        if self._scout is None or (self._has_begun and self._scout.upper is None):
            return self._asked.began(at)
        return self._scout.upper if self._has_begun else self._scout.asked_upto

    @property
    def held(self) -> int:
        """The places that the rows held ahead take."""
        return (self._windows.held if self._windows else 0) + (self._scout.held if self._scout else 0)

    def page(self, where: Mapping[str, Any], bounds: Sequence[KeyRange]) -> tuple[Page, float]:
        """One page, see `ResourcePages.page`."""
        is_keyset = len(bounds) == 1
        if is_keyset:
            self._go_on(bounds[0])
        answer = self._scouted(where) or self._held(bounds) or self._asked.page(where, bounds)
        self._has_begun = True
        if is_keyset:
            self._last = (bounds[0].lower, answer[0].values(bounds[0].name))
            self._page_size = max(self._page_size, len(answer[0]))
        self._ahead.fill()
        return answer

    def count(self, where: Mapping[str, Any]) -> int | None:
        """The rows that the server counts, see `ResourcePages.count`."""
        known = self._scout.take("count", where) if self._scout else None
        return known[0] if known else self._asked.count(where)

    def counted(self, where: Mapping[str, Any]) -> int | None:
        """The rows that the server counted when the read began, if it was to tell their number."""
        with self._ahead.changed:
            while self._is_measuring:
                self._is_measure_awaited = True
                self._ahead.changed.wait()
        return self._counted if where == self._plan.all_rows else None

    def try_large_page(self, rows: int) -> None:
        """See whether the server gives a page of so many rows, see `ResourcePages.try_large_page`."""
        self._asked.try_large_page(rows)

    def start_one(self) -> bool:
        """Start to read one more window; answers whether there is one to read."""
        windows = self._windows
        is_scouted = self._scout is not None and not self._scout.is_over  # most streams end within that
        if windows is None or not self._probing or is_scouted:
            return False
        farthest = self._ahead.farthest(self._ahead.places(self._asked.path, self._page_size))
        if windows.total is None:
            if not self._measured:
                self._ahead.start(lambda: self._measure(windows))
                self._measured = self._is_measuring = True
                return True
            if not self._may_guess or windows.begun or windows.own.end:
                return False
            farthest = min(FIRST, farthest)
        elif windows.begun and not self._ahead.knows_from:
            return False
        probe = windows.plan(self._page_size, farthest)
        if probe is None:
            return False
        self._ahead.start(lambda: self._read_window(windows, probe))
        return True

    def _go_on(self, bound: KeyRange) -> None:
        """Take note of where the reader is."""
        cursor, (before, keys) = bound.lower, self._last
        with self._ahead.changed:
            if before is not None and cursor < before:
                self._windows, self._probing = None, False  # it reads again, and wants no help with that
            is_long = len(keys) == self._page_size >= FEW
            handed = bisect_left(keys, cursor)
            self._row += handed
            if self._windows is not None:
                self._windows.go_on(cursor, handed)
            elif self._probing and is_long and (bound.upper is not None or bound.name == PRIMARY_KEY):
                self._bound = bound.upper
                self._windows = Windows(bound.name, cursor, row=self._row)
            self._ahead.changed.notify_all()

    def _scouted(self, where: Mapping[str, Any]) -> tuple[Page, float] | None:
        known = self._scout.take("page", where) if self._scout else None
        if known is None:
            return None
        page, sent = known
        return self._decode(encode_raw(page.rows)), sent

    def _held(self, bounds: Sequence[KeyRange]) -> tuple[Page, float] | None:
        """The answer put together of rows that are held, after waiting for those under way; None if there are none."""
        windows, is_keyset = self._windows, len(bounds) == 1
        if windows is None:
            return None
        with self._ahead.changed:
            while windows.head is not None:
                if is_keyset:
                    page = windows.answer(bounds[0].lower, self._page_size)
                else:
                    page = windows.instant(bounds[1].lower, bounds[0].lower, self._page_size)
                    if page is None:
                        return None
                if page is not None:
                    if is_keyset and len(page) < self._page_size:
                        windows.drop(windows.head)  # what it ended with is no evidence for another question
                    break
                if windows.awaited is None:
                    windows.drop(windows.head)
                    return None
                windows.is_awaited = True
                self._ahead.changed.notify_all()
                self._ahead.changed.wait()
                windows.is_awaited = False
            else:
                return None
        try:
            return self._decode(encode_raw(page.rows)), self._ahead.clock.monotonic()
        except MalformedPageError:
            return None

    def _measure(self, windows: Windows) -> None:
        """Ask how long the read is, in words that let the answer prove its end, too."""
        paced = ScheduledSession(self._ahead, lambda: (0 if self._is_measure_awaited else 1, 0))
        counted = None
        try:
            with suppress(JettiError):
                counted = self._plan.pages_from(paced, decode_raw).count(self._plan.all_rows)
        finally:
            with self._ahead.changed:
                windows.total = UNKNOWN if counted is None else counted
                self._counted = counted
                self._is_measuring = False
                self._ahead.changed.notify_all()

    def _read_window(self, windows: Windows, probe: Probe) -> None:
        """Send a probe, and read the window that it begins."""
        window = probe.window
        source = WindowPages(
            self._ahead,
            self._plan,
            windows,
            window,
            page_size=self._page_size,
            upper=None if self._bound is None else to_epoch(self._bound),
            is_wanted=lambda: self._is_current(windows),
        )
        try:
            if self._land(windows, probe, source) and window.reading:
                self._read(windows, window, source)
        except JettiError:
            with self._ahead.changed:
                if window in windows.begun:
                    windows.begun.remove(window)
                    self._probing = self._ahead.judge(useful=False)
                windows.drop(window)
                self._ahead.changed.notify_all()
        except BaseException:
            with self._ahead.changed:
                windows.drop(window)
                self._ahead.changed.notify_all()
            raise
        finally:
            source.release()

    def _land(self, windows: Windows, probe: Probe, source: WindowPages) -> bool:
        window = probe.window
        limit, skip, passed = self._ahead.aim(probe.skip, self._page_size)
        window.first_row += passed - probe.skip
        window.row = window.first_row + limit - 1
        page = source.probe(self._where(windows, probe.base), self._bounds(windows, probe.base), limit, skip)
        with self._ahead.changed:
            # Whether it is ahead shows only when the page after its base is there.
            while (
                not self._ahead.knows_from
                and windows.own.cursor == probe.base
                and windows.own.reading
                and self._is_current(windows)
            ):
                self._ahead.changed.wait()
            useful = windows.land(probe, page)
            if useful and window.end is None and len(page) < limit:
                windows.finish(window)
            self._probing = self._ahead.judge(useful=useful)
            self._ahead.changed.notify_all()
        self._ahead.fill()
        return useful

    def _read(self, windows: Windows, window: Window, source: WindowPages) -> None:
        for page in self._window_reader(window, source).pages():
            with self._ahead.changed:
                window.add(page, windows.name)
                if window.end is None and source.last_size < self._page_size:
                    windows.finish(window)
                source.release()
                if not window.reading:
                    return
            self._ahead.fill()
        with self._ahead.changed:
            windows.finish(window)
            self._ahead.changed.notify_all()

    def _window_reader(self, window: Window, source: WindowPages) -> Reader:
        if self._bound is None:
            return FullRead(source, first_id=window.cursor, verify_counts=False, logger=self._ahead.logger)
        return IncrementalRead(
            source,
            start=window.cursor,
            end=None,
            bookmark_lag=0,
            verify_counts=False,
            clock=self._ahead.clock,
            logger=self._ahead.logger,
        )

    def _is_current(self, windows: Windows) -> bool:
        return self._windows is windows and self._ahead.is_current(self)

    def _where(self, windows: Windows, cursor: Any) -> dict[str, Any]:  # noqa: ANN401 - a key of either type
        upto = {} if self._bound is None else {"$lte": self._bound}
        return {windows.name: {"$gte": cursor, **upto}}

    def _bounds(self, windows: Windows, cursor: Any) -> list[KeyRange]:  # noqa: ANN401 - a key of either type
        return [KeyRange(windows.name, cursor, self._bound)]
