"""The pages of one stream, from the rows that its windows hold and else from the server."""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import JettiError
from tap_jetti.facts.resources import PRIMARY_KEY
from tap_jetti.facts.timestamps import to_epoch
from tap_jetti.reading.id_read import IdRead
from tap_jetti.reading.keyset import IncrementalRead
from tap_jetti.reading.page import MalformedPageError, decode_raw, encode_raw
from tap_jetti.reading.pages import AskedPage, KeyRange
from tap_jetti.reading.prefetch.window_pages import WindowPages
from tap_jetti.reading.prefetch.windows import MIN_PAGE, UNKNOWN, Probe, Window, Windows

if TYPE_CHECKING:
    from tap_jetti.reading.page import Decode
    from tap_jetti.reading.prefetch.context import PrefetchContext
    from tap_jetti.reading.prefetch.scheduler import Priority
    from tap_jetti.reading.prefetch.stream_read import Reader, StreamRead

FIRST_DISTANCE = 4
"""Pages ahead that a probe aims while the length of the read is unknown."""


class PrefetchedPages:
    """What the reader of a stream reads from, whichever thread advances it.

    While the stream is the one whose rows leave, windows of it are read ahead; before, its reader alone is.

    Args:
        context: What the parts of a prefetcher share.
        stream_read: How the stream is read.

    Attributes:
        decode: Makes pages of the bytes of responses.
        priority: How urgent the reader's requests are.
        is_current: Whether the stream is the one whose rows leave.
    """

    def __init__(self, context: PrefetchContext, stream_read: StreamRead) -> None:
        self._context = context
        self._stream_read = stream_read
        self.priority: Priority = (0, 0)
        self.is_current = False
        self._asked = stream_read.pages_from(context.scheduled(lambda: self.priority, self._fill), decode_raw)
        self.resource = self._asked.resource
        self.facts = self._asked.facts
        self.profile = self._asked.profile
        self.path = self._asked.path
        self._windows: Windows | None = None
        self._held = 0
        self._may_probe = True
        self._has_measured = False
        self._total: int | None = None if stream_read.may_count else UNKNOWN
        self._all: tuple[KeyRange, ...] | None = None
        self._bound: str | None = None
        self._page_size = 0
        self._last: tuple[Any, list[Any]] = (None, [])
        self._row = 0

    @property
    def decode(self) -> Decode:
        """What makes pages of the bytes of responses."""
        return self._asked.decode

    @decode.setter
    def decode(self, decode: Decode) -> None:
        self._asked.decode = decode

    def began(self, at: float) -> float | None:
        """The server's clock when the read began, see `PageReader.began`."""
        return self._asked.began(at)

    def page(self, *ranges: KeyRange) -> AskedPage:
        """One page, see `ResourcePages.page`."""
        is_keyset = len(ranges) == 1
        if is_keyset:
            self._go_on(ranges[0])
        asked = self._held_page(ranges) or self._asked.page(*ranges)
        if is_keyset:
            self._last = (ranges[0].lower, asked.page.values(ranges[0].name))
            self._page_size = max(self._page_size, len(asked.page))
        self._fill()
        return asked

    def newest_id(self) -> int | None:
        """The largest id there is, see `ResourcePages.newest_id`."""
        return self._asked.newest_id()

    def count(self, *ranges: KeyRange) -> int | None:
        """The rows that the server counts, see `ResourcePages.count`.

        What was counted must be paid by pages that were asked for later: rows that are held are given up. The first
        count of a read tells its length.
        """
        with self._context.memory.changed:
            if self._windows is not None:
                self._give_up_windows()
        counted = self._asked.count(*ranges)
        if self._all is None:
            self._total = counted
        return counted

    def estimate(self, *ranges: KeyRange) -> int | None:
        """How many rows there are, see `PageReader.estimate`."""
        windows = self._windows
        if windows is not None and windows.total not in {None, UNKNOWN}:
            return windows.total
        return self._asked.count(*ranges)

    def start_window(self) -> bool:
        """Start to read one more window, with `changed` held; answers whether there is one to read."""
        windows = self._windows
        if windows is None or not self._may_probe:
            return False
        places = self._context.memory.places_for(self.path, self._page_size)
        distance = self._context.max_distance(places)
        if windows.total is None:
            if not self._has_measured:
                self._context.workers.start(lambda: self._measure(windows))
                self._has_measured = True
                return True
            if self._context.probes.is_known or windows.begun or windows.own.end:
                return False
            distance = min(FIRST_DISTANCE, distance)
        elif windows.begun and not self._context.probes.is_known:
            return False
        probe = windows.plan(self._page_size, distance)
        if probe is None:
            return False
        self._context.workers.start(lambda: self._read_window(windows, probe))
        return True

    def leave(self) -> None:
        """Hold nothing any more, with `changed` held: the stream is over."""
        self.is_current = False
        self._give_up_windows()

    def _fill(self) -> None:
        if self.is_current:
            self._context.fill()

    def _go_on(self, wanted: KeyRange) -> None:
        """Take note of where the reader is."""
        cursor, (before, keys) = wanted.lower, self._last
        with self._context.memory.changed:
            if self._all is None:
                self._all = (wanted,)
            is_full = len(keys) == self._page_size >= MIN_PAGE
            handed = bisect_left(keys, cursor)
            self._row += handed
            is_bounded = wanted.upper is not None or wanted.name == PRIMARY_KEY
            if self._windows is not None:
                self._windows.go_on(cursor, handed)
                self._account()
            elif is_full and is_bounded and before is not None and self._may_split():
                self._bound = wanted.upper
                self._windows = Windows(wanted.name, cursor, row=self._row, total=self._total)
            self._context.memory.changed.notify_all()

    def _may_split(self) -> bool:
        """Whether windows may begin. Pages that still grow read a stream faster than windows of small ones."""
        return self.is_current and self._may_probe and not self._asked.is_growing

    def _held_page(self, ranges: tuple[KeyRange, ...]) -> AskedPage | None:
        """A page put together of rows that are held, after waiting for those under way; None if there are none."""
        windows, is_keyset = self._windows, len(ranges) == 1
        if windows is None:
            return None
        memory = self._context.memory
        with memory.changed:
            while windows.head is not None:
                if is_keyset:
                    page = windows.answer(ranges[0].lower, self._page_size)
                else:
                    page = windows.instant(ranges[1].lower, ranges[0].lower, self._page_size)
                    if page is None:
                        return None
                if page is not None:
                    if is_keyset and len(page) < self._page_size:
                        windows.drop(windows.head)  # what it ended with is no evidence for another question
                        self._account()
                    break
                if windows.awaited is None:
                    windows.drop(windows.head)
                    self._account()
                    return None
                windows.is_awaited = True
                memory.changed.notify_all()
                memory.wait()
                windows.is_awaited = False
            else:
                return None
        try:
            decoded = self.decode(encode_raw(page.rows))
        except MalformedPageError:
            return None
        return AskedPage(decoded, self._page_size, self._context.clock.monotonic())

    def _measure(self, windows: Windows) -> None:
        """Ask how long the read is."""
        counted = None
        try:
            with suppress(JettiError):
                pages = self._stream_read.pages_from(self._context.scheduled(lambda: (1, 0)), decode_raw)
                counted = pages.count(*(self._all or ()))
        finally:
            with self._context.memory.changed:
                windows.total = UNKNOWN if counted is None else counted
                self._context.memory.changed.notify_all()

    def _read_window(self, windows: Windows, probe: Probe) -> None:
        """Send a probe, and read the window that it begins."""
        window, changed = probe.window, self._context.memory.changed
        source = WindowPages(
            self._context,
            self._stream_read,
            windows,
            window,
            facts=self.facts,
            page_size=self._page_size,
            upper=None if self._bound is None else to_epoch(self._bound),
            is_wanted=lambda: self._reads(windows),
        )
        try:
            if self._land(windows, probe, source) and window.reading:
                self._read(windows, window, source)
        except JettiError:
            with changed:
                if window in windows.begun:
                    windows.begun.remove(window)
                    self._may_probe = self._context.probes.judge(useful=False)
                windows.drop(window)
                self._account(windows)
        except BaseException:
            with changed:
                windows.drop(window)
                self._account(windows)
            raise
        finally:
            source.release()

    def _land(self, windows: Windows, probe: Probe, source: WindowPages) -> bool:
        """Ask for a page further on, and begin a window with it if it is ahead of what is read."""
        window, memory, probes = probe.window, self._context.memory, self._context.probes
        limit, skip, passed = probes.aim(probe.skip, self._page_size)
        window.first_row += passed - probe.skip
        window.row = window.first_row + limit - 1
        page = source.probe(KeyRange(windows.name, probe.base, self._bound), limit=limit, skip=skip)
        with memory.changed:
            # Whether it is ahead shows only when the page after its base is there.
            while (
                not probes.is_known
                and windows.own.cursor == probe.base
                and windows.own.reading
                and self._reads(windows)
            ):
                memory.wait()
            useful = windows.land(probe, page)
            if useful and window.end is None and len(page) < limit:
                windows.finish(window)
            self._may_probe = probes.judge(useful=useful)
            self._account(windows)
        self._fill()
        return useful

    def _read(self, windows: Windows, window: Window, source: WindowPages) -> None:
        """Read a window to its end, which is where the next one begins."""
        changed = self._context.memory.changed
        for page in self._window_reader(window, source).pages():
            with changed:
                window.add(page, windows.name)
                windows.is_awaited = False  # until the reader has seen what came, nothing more goes without memory
                if window.end is None and source.is_at_end:
                    windows.finish(window)
                source.release()
                self._account(windows)
                if not window.reading:
                    return
            self._fill()
        with changed:
            windows.finish(window)
            self._account(windows)

    def _window_reader(self, window: Window, source: WindowPages) -> Reader:
        if self._bound is None:
            return IdRead(source, first_id=window.cursor, verify_counts="never", logger=self._context.logger)
        return IncrementalRead(
            source,
            start=window.cursor,
            end=None,
            bookmark_lag=0,
            verify_counts="never",
            clock=self._context.clock,
            logger=self._context.logger,
        )

    def _reads(self, windows: Windows) -> bool:
        """Whether these windows are still those of the stream whose rows leave."""
        return self._windows is windows and self.is_current and not self._context.memory.is_closed

    def _give_up_windows(self) -> None:
        """Do without the windows there are; others may begin later."""
        windows, self._windows = self._windows, None
        if windows is not None:
            windows.drop_all()
        self._account()

    def _account(self, windows: Windows | None = None) -> None:
        """Tell the memory what the windows hold now, unless they are not those of this stream any more."""
        if windows is not None and windows is not self._windows:
            return
        held = self._windows.held if self._windows else 0
        self._context.memory.hold(held - self._held)
        self._held = held
