"""Several keyset readers at once, whose rows are handed over in order, as one reader would give them.

A reader of one resource asks one question after another, and waits for each answer. Where the
latency is longer than the limiter spaces requests, most of the limit is left unused. So the
questions that a reader is going to ask are asked ahead of it, by other readers in threads:

- *scouts* read the beginnings of the streams that follow. A scout is a reader of the same kind,
  and what it was answered is kept for the reader to come, question by question.
- *windows* split a long read. Each is read by a keyset reader, from where a probe has landed.

Invariants:

1.  Rows leave through one unchanged reader in the main thread, which decides all that matters:
    what comes next, what an end is, what is proven. It is only its questions that are answered
    from here, by what the server answered to the same question, or by rows held that it could
    have answered with (see `tap_jetti.client.windows`). So rows, their order and bookmarks are
    those of a read without any of this, and whatever is not held is asked then and there.
2.  Nothing is asked ahead unless the limiter would idle: latency x rate above 1. Otherwise there
    is no thread and no further request.
3.  No request ahead delays the reader: slots go to the most urgent request (see `Gate`), and
    at most `concurrency` are in flight.
4.  At most `KEPT` rows are held, not decoded, and beyond them only the page or two that the reader
    is waiting for. A reader that has no room waits, unless the one in the main thread waits for it.
5.  A failure is raised when the reader asks the question that failed. One of a probe or a window
    is none: the reader asks for those rows itself.
6.  No thread outlives `close`, which cuts the requests in flight.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tap_jetti.client.clock import Interrupted
from tap_jetti.client.gate import Gate
from tap_jetti.client.instants import to_epoch
from tap_jetti.client.keyset import FEW, FullRead, IncrementalRead
from tap_jetti.client.page import Bounds, MalformedPageError, ServerTraits, decode_raw, encode_raw
from tap_jetti.client.problems import JettiError
from tap_jetti.client.rate_limit import RateLimitStoreError
from tap_jetti.client.windows import NEAREST, UNKNOWN, Windows
from tap_jetti.resources import PRIMARY_KEY

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.gate import Urgency
    from tap_jetti.client.page import Decode, Page, PageSource, Reads, Source
    from tap_jetti.client.query import Pairs
    from tap_jetti.client.server_clock import ServerClock
    from tap_jetti.client.session import Answer, JettiSession
    from tap_jetti.client.windows import Probe, Window

KEPT = 5000
"""Rows held ahead at most."""

KEPT_BY_SCOUTS = 2000
"""How many of them may belong to streams that follow."""

SCOUTED_PAGES = 3
"""Pages that a scout reads ahead of its stream at most."""

FARTHEST = 10
"""Pages from one window's start to the next at most."""

FIRST = 4
"""Pages ahead that a probe aims while the length of the read is unknown."""

SPARE = 2
"""Requests kept going beyond those that the latency hides: some of them end early."""

LEAST_LATENCY = 0.02
"""Seconds below which answers come as fast as they can be worked on, whatever the rate."""

LEAST_GAIN = 1.03
"""The latency times the rate above which reading ahead pays."""

MOST_USELESS = 2
"""Probes in a row that may land where nothing is gained before no more are sent."""

JOIN_SECONDS = 0.8
"""How long `close` waits for its threads."""


class Reader(Protocol):
    """Reads one resource."""

    def pages(self) -> Iterator[Page]:
        """Its rows, a page at a time."""
        ...


@dataclass(frozen=True, eq=False)
class Plan:
    """How one stream is read. Threads call it, so it must not touch what the main thread changes.

    Attributes:
        pages_from: Where its pages come from, by a session and what makes pages of bytes.
        reader: A reader of it, whose first request left when the server's clock was at the
            seconds given, or has yet to leave.
    """

    pages_from: Callable[[Reads, Decode | None], PageSource]
    reader: Callable[[Source, float | None], Reader]


class _Stopped(BaseException):
    """Ends a thread whose work is not wanted any more."""


class _Paced:
    """A session whose requests pass the gate."""

    def __init__(
        self, ahead: Readahead, urgency: Callable[[], Urgency], passed: Callable[[], None] | None = None
    ) -> None:
        self._ahead = ahead
        self._urgency = urgency
        self._passed = passed
        self.server_clock = ahead.session.server_clock

    def get(self, path: str, query: Pairs | None = None, *, decode: Callable[[bytes], Any] | None = None) -> Answer:
        with self._ahead.gate.passing(self._urgency):
            if self._passed is not None:
                self._passed()
            answer = self._ahead.session.get(path, query, decode=decode, has_paid=True)
        self._ahead.observe(answer.received - answer.sent)
        return answer


class Readahead:
    """Reads ahead for the streams of one session.

    Args:
        session: What sends the requests.
        concurrency: Requests in flight at most.
        clock: This machine's clock.
        logger: Where readers report.
        least_latency: Seconds of latency below which nothing is read ahead.
        least_gain: Latency times rate above which something is.
        kept: Rows held ahead at most.
    """

    def __init__(
        self,
        session: JettiSession,
        *,
        concurrency: int,
        clock: Clock,
        logger: logging.Logger,
        least_latency: float = LEAST_LATENCY,
        least_gain: float = LEAST_GAIN,
        kept: int = KEPT,
    ) -> None:
        self.session = session
        self.gate = Gate(session, concurrency)
        self.clock = clock
        self.logger = logger
        self.changed = threading.Condition()
        """Held to look at or change anything that threads share; told of every change."""
        self.most_held = 0
        """The most rows that were held at any time."""
        self.closed = False
        self._concurrency = concurrency
        self._least_latency = least_latency
        self._least_gain = least_gain
        self._kept = kept
        self._latency: float | None = None
        self._threads: set[threading.Thread] = set()
        self._waiting = 0
        self._reserved = 0
        self._current: AheadSource | None = None
        self._following: deque[Plan] = deque()
        self._scouts: dict[Plan, _Scout] = {}
        self._scouted = 0
        self._probes_by_page = True
        self._knows_from = False
        self._useless = 0

    def follow(self, plans: Iterable[Plan]) -> None:
        """Say which streams will be read, in order."""
        self._following = deque(plans)

    def open(self, plan: Plan, decode: Decode) -> tuple[AheadSource, float | None]:
        """Begin with the next stream.

        Args:
            plan: How it is read.
            decode: Makes pages of the bytes of answers.

        Returns:
            Its pages, and the server's clock when its first request left, if that was before.
        """
        with self.changed:
            if plan in self._following:
                while self._following.popleft() is not plan:
                    pass
            scout = self._scouts.pop(plan, None)
            self._current = AheadSource(self, plan, decode, scout)
            self.changed.notify_all()
            return self._current, scout.upper if scout else None

    def close(self) -> None:
        """End all threads: the requests in flight are cut, and a slot that one waits for is lost."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
            threads = list(self._threads)
        self.gate.close()
        self.session.abort()
        give_up = self.clock.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, give_up - self.clock.monotonic()))

    def observe(self, latency: float) -> None:
        """Learn from an answer how long answers take."""
        with self.changed:
            self._latency = latency if self._latency is None else 0.7 * self._latency + 0.3 * latency

    def fill(self) -> None:
        """Start as many readers as the limiter can serve while answers are under way."""
        latency = self._latency
        if latency is None or latency < self._least_latency:
            return
        wanted = latency * self.session.reads_a_second
        if wanted <= self._least_gain or self.session.idle_in > latency:
            return
        most = min(self._concurrency, math.ceil(wanted) + SPARE)
        with self.changed:
            while not self.closed and len(self._threads) - self._waiting + 1 < most and self._start_one():
                pass

    def is_current(self, source: AheadSource) -> bool:
        """Whether it is the stream that is being read."""
        return source is self._current and not self.closed

    def held(self) -> int:
        """Rows held ahead now."""
        of_windows = self._current.held if self._current else 0
        return of_windows + sum(scout.held for scout in self._scouts.values())

    def reserve(self, rows: int, *, is_wanted: Callable[[], bool], may_go: Callable[[], bool | None]) -> None:
        """Keep room for the rows of a request, after waiting for it.

        Args:
            rows: How many rows.
            is_wanted: Whether the request is still wanted.
            may_go: Whether it must go or must not, whatever room there is; None leaves it to that.

        Raises:
            _Stopped: The request is not wanted any more.
        """
        with self.changed:
            self._waiting += 1
            try:
                while True:
                    if self.closed or not is_wanted():
                        raise _Stopped
                    go = may_go()
                    if go is None:
                        go = self.held() + self._reserved + rows <= self._kept
                    if go:
                        break
                    self.changed.wait()
            finally:
                self._waiting -= 1
            self._reserved += rows

    def release(self, rows: int) -> None:
        """Give back the room that was kept: the rows are held now, or have not come."""
        with self.changed:
            self._reserved -= rows
            self.most_held = max(self.most_held, self.held())
            self.changed.notify_all()

    def may_scout(self) -> bool:
        """Whether streams that follow may hold more."""
        return sum(scout.held for scout in self._scouts.values()) < min(KEPT_BY_SCOUTS, self._kept // 2)

    def aim(self, skip: int, page_size: int) -> tuple[int, int, int]:
        """How to ask for the page that many rows on: the limit, ``from``, and how many rows it really passes over."""
        if not self._probes_by_page:
            return page_size, skip, skip
        fewest = -(-skip // page_size)
        # Rows short of the aim are read twice, and those that the page is smaller by are left to another.
        limit, pages = min(
            ((skip // pages, pages) for pages in range(fewest, fewest + 4)),
            key=lambda choice: skip - choice[0] * choice[1] + page_size - choice[0],
        )
        return limit, pages, pages * limit

    @property
    def knows_from(self) -> bool:
        """Whether a probe has shown what ``from`` means."""
        return self._knows_from

    def judge(self, *, useful: bool) -> bool:
        """Learn from where a probe landed; answers whether to go on probing this stream."""
        if useful:
            self._knows_from, self._useless = True, 0
            return True
        self._useless += 1
        if not self._knows_from:
            self._probes_by_page = not self._probes_by_page
        return self._useless < MOST_USELESS

    def farthest(self, page_size: int) -> int:
        """Pages from one window's start to the next at most: all windows together must find room."""
        return max(NEAREST, min(FARTHEST, self._kept // (page_size * self._concurrency // 2 or 1)))

    def start(self, work: Callable[[], None]) -> None:
        """Run something in a thread. With `changed` held."""
        thread = threading.Thread(target=lambda: self._run(work, thread), name="jetti-readahead", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _run(self, work: Callable[[], None], thread: threading.Thread) -> None:
        try:
            work()
        except (_Stopped, Interrupted):
            pass
        except Exception as error:  # noqa: BLE001 - the reader will ask, and fail, itself
            self.logger.debug("Reading ahead ended: %r", error)
        finally:
            with self.changed:
                self._threads.discard(thread)
                self.changed.notify_all()
            with suppress(RateLimitStoreError):  # it is raised where the reader needs it
                self.fill()

    def _start_one(self) -> bool:
        """Start one more reader, of a following stream or of this one; answers whether there was any to start."""
        upper = self.session.server_clock.at(self.clock.monotonic())
        if self._following and upper is not None and self.may_scout():
            self._scouted += 1
            plan = self._following.popleft()
            self._scouts[plan] = scout = _Scout(self, plan, self._scouted, upper)
            self.start(scout.run)
            return True
        if self._current is not None and not self._useless_for_good():
            return self._current.start_one()
        return False

    def _useless_for_good(self) -> bool:
        return self._useless >= MOST_USELESS and not self._knows_from


class AheadSource:
    """The pages of one stream, from what is held and else from the server.

    Args:
        ahead: What reads ahead.
        plan: How the stream is read.
        decode: Makes pages of the bytes of answers.
        scout: What has read its beginning.
    """

    def __init__(self, ahead: Readahead, plan: Plan, decode: Decode, scout: _Scout | None) -> None:
        self._ahead = ahead
        self._plan = plan
        self._decode = decode
        self._scout = scout
        self._asked = plan.pages_from(_Paced(ahead, lambda: (0, 0), ahead.fill), decode)
        self._windows: Windows | None = None
        self._probing = True
        self._measured = False
        self._may_guess = not ahead.knows_from and scout is None
        self._bound: str | None = None
        self._page_size = 0
        self._last: tuple[Any, list[Any]] = (None, [])
        self.resource = self._asked.resource
        self.page_size = self._asked.page_size
        self.traits: ServerTraits = self._asked.traits

    @property
    def server_clock(self) -> ServerClock:
        """The server's clock."""
        return self._asked.server_clock

    @property
    def held(self) -> int:
        """Rows held ahead."""
        return (self._windows.held if self._windows else 0) + (self._scout.held if self._scout else 0)

    def page(self, where: Mapping[str, Any], bounds: Sequence[Bounds]) -> tuple[Page, float]:
        """One page, see `PageSource.page`."""
        is_keyset = len(bounds) == 1
        if is_keyset:
            self._go_on(bounds[0])
        answer = self._scouted(where) or self._held(bounds) or self._asked.page(where, bounds)
        if is_keyset:
            self._last = (bounds[0].lower, answer[0].values(bounds[0].name))
            self._page_size = max(self._page_size, len(answer[0]))
        self._ahead.fill()
        return answer

    def count(self, where: Mapping[str, Any]) -> int | None:
        """The rows that the server counts, see `PageSource.count`."""
        known = self._scout.take("count", where) if self._scout else None
        return known[0] if known else self._asked.count(where)

    def start_one(self) -> bool:
        """Start to read one more window; answers whether there is one to read."""
        windows = self._windows
        if windows is None or not self._probing:
            return False
        if self._scout is not None:
            self._scout.stop()
        farthest = self._ahead.farthest(self._page_size)
        if windows.total is None:
            if not self._measured:
                self._measured = True
                cursor, row = windows.own.cursor, windows.own.row
                self._ahead.start(lambda: self._measure(windows, cursor, row))
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

    def _go_on(self, bound: Bounds) -> None:
        """Take note of where the reader is."""
        cursor, (before, keys) = bound.lower, self._last
        with self._ahead.changed:
            if before is not None and cursor < before:
                self._windows, self._probing = None, False  # it reads again, and wants no help with that
            is_long = len(keys) == self._page_size >= FEW
            if self._windows is not None:
                self._windows.go_on(cursor, bisect_left(keys, cursor))
            elif self._probing and is_long and (bound.upper is not None or bound.name == PRIMARY_KEY):
                self._bound = bound.upper
                self._windows = Windows(bound.name, cursor)
            self._ahead.changed.notify_all()

    def _scouted(self, where: Mapping[str, Any]) -> tuple[Page, float] | None:
        known = self._scout.take("page", where) if self._scout else None
        if known is None:
            return None
        page, sent = known
        return self._decode(encode_raw(page.rows)), sent

    def _held(self, bounds: Sequence[Bounds]) -> tuple[Page, float] | None:
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

    def _measure(self, windows: Windows, cursor: Any, row: int) -> None:  # noqa: ANN401 - a key of either type
        """Ask how long the read is."""
        source = self._plan.pages_from(_Paced(self._ahead, lambda: (1, row)), decode_raw)
        try:
            counted = source.count(self._where(windows, cursor))
        except JettiError:
            counted = None
        with self._ahead.changed:
            windows.total = UNKNOWN if counted is None else row + counted

    def _read_window(self, windows: Windows, probe: Probe) -> None:
        """Send a probe, and read the window that it begins."""
        window = probe.window
        source = _WindowSource(
            self._ahead,
            self._plan,
            windows,
            window,
            rows=self._page_size,
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

    def _land(self, windows: Windows, probe: Probe, source: _WindowSource) -> bool:
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

    def _read(self, windows: Windows, window: Window, source: _WindowSource) -> None:
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

    def _window_reader(self, window: Window, source: _WindowSource) -> Reader:
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
            upper=to_epoch(self._bound),
        )

    def _is_current(self, windows: Windows) -> bool:
        return self._windows is windows and self._ahead.is_current(self)

    def _where(self, windows: Windows, cursor: Any) -> dict[str, Any]:  # noqa: ANN401 - a key of either type
        upto = {} if self._bound is None else {"$lte": self._bound}
        return {windows.name: {"$gte": cursor, **upto}}

    def _bounds(self, windows: Windows, cursor: Any) -> list[Bounds]:  # noqa: ANN401 - a key of either type
        return [Bounds(windows.name, cursor, self._bound)]


class _WindowSource:
    """What the reader of a window reads from: the server, as far as there is room."""

    def __init__(
        self,
        ahead: Readahead,
        plan: Plan,
        windows: Windows,
        window: Window,
        *,
        rows: int,
        is_wanted: Callable[[], bool],
    ) -> None:
        self._ahead = ahead
        self._rows = rows
        self._reserved = 0
        self._windows = windows
        self._window = window
        self._is_wanted = is_wanted
        self._asked = plan.pages_from(_Paced(ahead, lambda: (1, window.row)), decode_raw)
        self.last_size = 0
        self.resource = self._asked.resource
        self.page_size = self._asked.page_size
        self.traits = ServerTraits(largest_page=self._asked.traits.largest_page)

    @property
    def server_clock(self) -> ServerClock:
        return self._asked.server_clock

    def probe(self, where: Mapping[str, Any], bounds: Sequence[Bounds], limit: int, skip: int) -> Page:
        self._reserve()
        return self._asked.page(where, bounds, limit=limit, skip=skip)[0]

    def page(self, where: Mapping[str, Any], bounds: Sequence[Bounds]) -> tuple[Page, float]:
        self._reserve()
        page, sent = self._asked.page(where, bounds)
        self.last_size = len(page)
        return page, sent

    def count(self, where: Mapping[str, Any]) -> int | None:  # noqa: ARG002 - nothing is proven here
        return None

    def release(self) -> None:
        """Give back the room of the last page: its rows are held now, or were not wanted."""
        self._ahead.release(self._reserved)
        self._reserved = 0

    def _reserve(self) -> None:
        self.release()
        self._ahead.reserve(
            self._rows,
            is_wanted=lambda: self._is_wanted() and self._window.reading,
            may_go=lambda: True if self._windows.is_awaited and self._windows.awaited is self._window else None,
        )
        self._reserved = self._rows


class _Scout:
    """Reads the beginning of a stream that follows, and keeps what it was answered, by question."""

    def __init__(self, ahead: Readahead, plan: Plan, number: int, upper: float) -> None:
        self.upper = upper
        self._ahead = ahead
        self._plan = plan
        self._asked = plan.pages_from(_Paced(ahead, lambda: (0, 1) if self._is_awaited else (2, number)), decode_raw)
        self._answers: dict[str, tuple[Any, ...] | BaseException | None] = {}
        self._is_awaited = False
        self._stopped = False
        self.held = 0
        self.resource = self._asked.resource
        self.page_size = self._asked.page_size
        self.traits = ServerTraits(largest_page=self._asked.traits.largest_page)

    @property
    def server_clock(self) -> ServerClock:
        return self._asked.server_clock

    def run(self) -> None:
        try:
            for _ in self._plan.reader(self, self.upper).pages():
                pass
        except JettiError:
            pass  # it is kept as an answer

    def stop(self) -> None:
        """Ask nothing any more."""
        self._stopped = True

    def take(self, kind: str, where: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """What was answered to a question, after waiting if it is under way; None if it was not asked.

        Raises:
            JettiError: The question failed.
        """
        question = f"{kind} {where}"
        with self._ahead.changed:
            self._is_awaited = True
            if question not in self._answers:
                self.stop()
            while question in self._answers and self._answers[question] is None:
                self._ahead.changed.wait()
            answer = self._answers.pop(question, None)
            self.held -= _rows_of(answer)
            self._ahead.changed.notify_all()
        if isinstance(answer, JettiError):
            raise answer
        return answer if isinstance(answer, tuple) else None

    def page(self, where: Mapping[str, Any], bounds: Sequence[Bounds]) -> tuple[Page, float]:
        answer: tuple[Page, float] = self._ask(f"page {where}", lambda: self._asked.page(where, bounds))
        return answer

    def count(self, where: Mapping[str, Any]) -> int | None:
        answer: tuple[int | None] = self._ask(f"count {where}", lambda: (self._asked.count(where),))
        return answer[0]

    def _ask(self, question: str, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - of either question
        self._ahead.reserve(self.page_size, is_wanted=lambda: self._wants(question), may_go=self._may_go)
        with self._ahead.changed:
            self._answers[question] = None
        answer: Any = Interrupted()
        try:
            answer = ask()
        except JettiError as error:
            answer = error
            raise
        finally:
            with self._ahead.changed:
                self._answers[question] = answer
                self.held += _rows_of(answer)
                self._ahead.release(self.page_size)
        return answer

    def _wants(self, question: str) -> bool:
        """Whether to ask: a question that comes again belongs to a second read, which is no scout's."""
        return not self._stopped and question not in self._answers

    def _may_go(self) -> bool | None:
        if sum(bool(_rows_of(answer)) for answer in self._answers.values()) >= SCOUTED_PAGES:
            return False
        return None if self._is_awaited or self._ahead.may_scout() else False


def _rows_of(answer: object) -> int:
    """How many rows an answer holds."""
    return len(answer[0]) if isinstance(answer, tuple) and hasattr(answer[0], "rows") else 0
