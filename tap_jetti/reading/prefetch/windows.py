"""Where one read is split into windows, and the rows that are held of each: no threads, no requests."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Any

from tap_jetti.facts.resources import PRIMARY_KEY
from tap_jetti.facts.timestamps import later
from tap_jetti.reading.page import Page
from tap_jetti.reading.prefetch.memory import places_of

NEAREST = 2
"""Pages ahead that a probe must aim: nearer, the reader would be there before it."""

MIN_PAGE = 10
"""Rows of a page below which a read is not split: windows of fewer rows gain nothing."""

UNKNOWN = 1 << 40
"""Stands for the length of a read that the server does not tell."""

_LATEST = "9999"


@dataclass(eq=False)
class Window:
    """A part of a read that has a reader of its own.

    Row numbers are estimates: they say where to probe, never what to read.

    Attributes:
        start: The least key that belongs to it; None while its probe is under way, and there is none yet.
        end: The least key that does not, which is the next window's start; None for the last.
        cursor: Where its reader goes on.
        row: The number of the row at the cursor.
        first_row: The number of the row that it begins after.
        rows: The rows held, not decoded, in the server's order.
        ids: The ``id`` of each.
        keys: The key of each.
        reading: Whether more rows are to come.
        at_end: Whether its reader saw what may be the end of the resource.
        held: The places that its rows take.
    """

    start: Any = None
    end: Any = None
    cursor: Any = None
    row: int = 0
    first_row: int = 0
    rows: list[Any] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    reading: bool = True
    at_end: bool = False
    held: int = 0

    def add(self, page: Page, name: str) -> None:
        """Hold the rows of a page that belong here and are not held yet."""
        keys = page.values(name)
        held = range(bisect_left(self.keys, self.cursor), len(self.keys))
        seen = {self.ids[index] for index in held}
        upto = len(keys) if self.end is None else bisect_left(keys, self.end)
        fresh = [index for index in range(upto) if keys[index] > self.cursor or page.ids[index] not in seen]
        rows = [page.rows[index] for index in fresh]
        self.rows += rows
        self.held += places_of(rows)
        self.ids += [page.ids[index] for index in fresh]
        self.keys += [keys[index] for index in fresh]
        self.row += len(fresh)
        if upto < len(keys):
            self.reading = False
        elif keys:
            self.cursor = keys[-1]

    def forget(self, cursor: Any) -> None:  # noqa: ANN401 - a key of either type
        """Let go of the rows before a key: they are handed over."""
        before = bisect_left(self.keys, cursor)
        self.held -= places_of(self.rows[:before])
        del self.rows[:before], self.ids[:before], self.keys[:before]


@dataclass(frozen=True)
class Probe:
    """A page that is asked for by position, to begin a window.

    Attributes:
        base: The cursor that it counts from.
        skip: Rows that it should pass over.
        window: The window that it begins if it lands well.
    """

    base: Any
    skip: int
    window: Window


class Windows:
    """The windows of one read.

    Invariants, all of them independent of what a position means to the server:

    - The windows follow each other without a gap: each ends where the next starts. The first
      is the reader's own: it holds nothing, for the reader asks for its pages itself.
    - What a window holds are all rows from its start to its cursor, in the order of the server:
      a page is contiguous from its first row on, and so are those that follow it by keyset.
    - Therefore an answer put together of held rows is one that the server could have given.
    - A window starts a step after the first key of its probe, since of that key itself rows may
      have come before the page; and only if that is ahead of what is read already.

    Args:
        name: The key read by.
        start: The cursor of the reader's own window.
        row: The rows of the read before it.
        total: The number of rows of the read, if it is known.
    """

    def __init__(self, name: str, start: Any, row: int, total: int | None = None) -> None:  # noqa: ANN401
        self.name = name
        self.total = total
        """The number of rows of the read, once it is known."""
        self.is_awaited = False
        """Whether the reader waits for rows that are not there yet."""
        self.own = Window(start, cursor=start, row=row, first_row=row)
        self.begun: list[Window] = []
        """The windows whose probes are under way."""
        self._all = [self.own]

    @property
    def held(self) -> int:
        """The places that the rows held take."""
        return sum(window.held for window in self._all)

    @property
    def head(self) -> Window | None:
        """The window that the reader has come to, or None where it asks for itself."""
        return None if self.own.reading else self._all[1]

    @property
    def awaited(self) -> Window | None:
        """The window whose next rows the reader comes to first, or None where it asks for itself."""
        return None if self.own.reading else next((window for window in self._all[1:] if window.reading), None)

    def step(self, key: Any) -> Any:  # noqa: ANN401 - a key of either type
        """The least key after all rows that show this one."""
        return key + 1 if self.name == PRIMARY_KEY else later(key, milliseconds=1)

    def go_on(self, cursor: Any, handed: int) -> None:  # noqa: ANN401 - a key of either type
        """Take note of where the reader is after so many more rows: what lies before is let go of."""
        own = self.own
        own.cursor, own.row = cursor, own.row + handed
        while len(self._all) > 1 and self._all[1].end is not None and cursor >= self._all[1].end:
            self._all.pop(1).reading = False
        following = self._all[1] if len(self._all) > 1 else None
        own.end = following.start if following else None
        own.reading = following is None or cursor < following.start
        if following and not own.reading:
            following.forget(cursor)

    def plan(self, page_size: int, farthest: int) -> Probe | None:
        """Choose where to begin one more window: in the largest part that is left of any.

        Args:
            page_size: Rows a page.
            farthest: Pages from one window's start to the next at most.
        """
        # A page by date begins with the row that the one before it ended with.
        step = page_size - (self.name != PRIMARY_KEY)
        parts = sorted([*self._all, *self.begun], key=lambda window: window.first_row)
        ends = [*(window.first_row for window in parts[1:]), UNKNOWN if self.total is None else self.total]
        parts_left = [
            (end - window.row, number)
            for number, (window, end) in enumerate(zip(parts, ends, strict=True))
            if window.reading
        ]
        left, number = max(parts_left, default=(0, 0))
        if left < (NEAREST + 0.5) * step:
            return None
        pages = min(farthest, max(NEAREST, left // step // 2))
        # One row short of where the pages of the window before will end, so that the last of them proves its end.
        landing = parts[number].row + pages * step - 2
        base = next(part for part in reversed(parts[: number + 1]) if part.start is not None)
        begun = Window(row=landing, first_row=landing)
        self.begun.append(begun)
        return Probe(base.cursor, landing - base.row, begun)

    def land(self, probe: Probe, page: Page) -> bool:
        """Begin a window with the rows of a probe, if they are ahead of what is read; answers whether they are."""
        window, keys = probe.window, page.values(self.name)
        self.begun.remove(window)
        if not keys:
            self.total = min(UNKNOWN if self.total is None else self.total, window.first_row)
            return False
        start = self.step(keys[0])
        number = max(index for index, other in enumerate(self._all) if not index or other.start <= start)
        before = self._all[number]
        if not before.reading or start <= before.cursor:
            return False
        window.start = window.cursor = start
        window.end, before.end = before.end, start
        window.row = window.first_row
        self._all.insert(number + 1, window)
        window.add(page.only(range(bisect_left(keys, start), len(page))), self.name)
        return True

    def drop(self, window: Window) -> None:
        """Do without a window and all after it: the reader will ask for their rows itself."""
        if window in self._all:
            number = self._all.index(window)
            for dropped in self._all[number:]:
                dropped.reading = False
            del self._all[number:]
            self._all[-1].end = None
            self.own.reading = self.own.reading or number == 1

    def drop_all(self) -> None:
        """Do without all windows but the reader's own."""
        if len(self._all) > 1:
            self.drop(self._all[1])
        for window in self.begun:
            window.reading = False

    def finish(self, window: Window) -> None:
        """Take note that the reader of a window may have come to the end of the resource.

        If another window follows, one of the two is wrong. It is not for windows to say which: those that
        follow are dropped.
        """
        window.at_end, window.reading = True, False
        if window.end is not None and window in self._all:
            self.drop(self._all[self._all.index(window) + 1])

    def answer(self, cursor: Any, page_size: int) -> Page | None:  # noqa: ANN401 - a key of either type
        """The page from a cursor on, if so many rows are held or the end was seen; else None.

        A page that would prove an end by its size is not made up: the server is asked.
        """
        found = Page([], [], [])
        at_end = False
        for window in self._all[1:]:
            begin = bisect_left(window.keys, cursor)
            part = range(begin, min(len(window.keys), begin + page_size - len(found)))
            found.rows.extend(window.rows[part.start : part.stop])
            found.ids.extend(window.ids[part.start : part.stop])
            found.keys.extend(window.keys[part.start : part.stop])
            at_end = window.at_end and window.end is None
            if len(found) == page_size or window.reading:
                break
        return found if len(found) == page_size or (at_end and len(found) >= MIN_PAGE) else None

    def instant(self, instant: str, next_id: int, page_size: int) -> Page | None:
        """The rows of one instant by id, if a window has read past it."""
        head = self.head
        if head is None or not head.start <= instant < (head.end or _LATEST):
            return None
        at = range(bisect_left(head.keys, instant), bisect_right(head.keys, instant))
        if not at or (head.cursor <= instant and (head.reading or head.at_end)):
            return None
        wanted = sorted((index for index in at if head.ids[index] >= next_id), key=head.ids.__getitem__)
        if not wanted:
            return None  # the empty page that proves an instant is the server's own
        return Page(head.rows, head.ids, head.keys).only(wanted[:page_size])
