"""What reads ahead of all streams of a session: its threads, the room for rows, and what was learnt."""

from __future__ import annotations

import math
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from tap_jetti.errors import Interrupted, SettingsError, StoreError
from tap_jetti.reading.prefetch.memory import places_of_page
from tap_jetti.reading.prefetch.prefetched_pages import PrefetchedPages
from tap_jetti.reading.prefetch.scheduler import PriorityScheduler, Stopped
from tap_jetti.reading.prefetch.stream_ahead import StreamPrefetch
from tap_jetti.reading.prefetch.windows import NEAREST

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import JettiSession, Response
    from tap_jetti.reading.pages import (
        Decode,
    )
    from tap_jetti.reading.prefetch.stream_read import StreamRead

KEPT = 5000
"""Places for rows held ahead: one a row, and one more for each `PLACE` bytes of it, which makes 32 MB at most."""

KEPT_BY_SCOUTS = 2000
"""How many of them may be taken by streams that follow."""

FARTHEST = 12
"""Pages from one window's start to the next at most."""

SPARE = 2
"""Requests kept going beyond those that the latency hides: some of them end early."""

SCOUTS_A_REQUEST = 2
"""Scouts for each request in flight: the counts of some wait behind the pages of others."""

LEAST_LATENCY = 0.02
"""Seconds below which answers come as fast as they can be worked on, whatever the rate."""

LEAST_GAIN = 1.05
"""The latency times the rate above which reading ahead pays."""

LEAST_GAIN_AT_FIRST = 1.5
"""The same for the first answer, also while it keeps away: it pays for the connection, too."""

ANSWERS = 4
"""Of so many answers the fastest tells the latency."""

MOST_USELESS = 2
"""Probes in a row that may land where nothing is gained before no more are sent."""

JOIN_SECONDS = 0.8
"""How long `close` waits for its threads."""


class Prefetcher:
    """Reads ahead for the streams of one session.

    Args:
        session: What sends the requests.
        concurrency: Requests in flight at most.
        clock: This machine's clock.
        logger: Where readers report.
        least_latency: Seconds of latency below which nothing is read ahead.
        least_gain: Latency times rate above which something is.
        kept: Places for rows held ahead.
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
        self.gate = PriorityScheduler(session, concurrency)
        self.clock = clock
        self.logger = logger
        self.changed = threading.Condition()
        """Held to look at or change anything that threads share; told of every change."""
        self.most_held = 0
        """The most places that were taken at any time."""
        self.closed = False
        self._concurrency = concurrency
        self._least_latency = least_latency
        self._least_gain = least_gain
        self._kept = kept
        self._latencies: deque[float] = deque(maxlen=ANSWERS)
        self._kept_waiting = 0.0
        self._has_outcome = False
        self._largest: dict[str, int] = {}
        self._threads: set[threading.Thread] = set()
        self._waiting = 0
        self._reserved = 0
        self._current: PrefetchedPages | None = None
        self._following: deque[StreamRead] = deque()
        self._scouts: dict[StreamRead, StreamPrefetch] = {}
        self._last_scout: StreamPrefetch | None = None
        self._probes_by_page = True
        self._knows_from = False
        self._useless = 0

    def follow(self, plans: Iterable[StreamRead]) -> None:
        """Say which streams will be read, in order."""
        self._following = deque(plans)

    def open(self, plan: StreamRead, decode: Decode) -> PrefetchedPages:
        """The pages of the next stream.

        Args:
            plan: How it is read.
            decode: Makes pages of the bytes of answers.
        """
        with self.changed:
            if plan in self._following:
                while self._following.popleft() is not plan:
                    pass
            if self._current is None and self._following:
                self.start(self._await_first_answer)
            scout = self._scouts.pop(plan, None)
            if scout:
                scout.hand_over()
            self._current = PrefetchedPages(self, plan, decode, scout)
            self.changed.notify_all()
            return self._current

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

    def observe(self, path: str, answer: Response) -> None:
        """Learn from an answer how long answers take, and how large they are."""
        with self.changed:
            self._latencies.append(answer.received - answer.sent)
            self._largest[path] = max(self._largest.get(path, 0), answer.size)

    def note_outcome(self) -> None:
        """Take note that a request was answered, or has failed."""
        if not self._has_outcome:
            with self.changed:
                self._has_outcome = True
                self.changed.notify_all()

    def places(self, path: str, rows: int) -> int:
        """The places that a page of so many rows may take, going by the largest answer from there, else of all."""
        with self.changed:
            return places_of_page(rows, self._largest.get(path) or max(self._largest.values(), default=0))

    def fill(self) -> None:
        """Start as many readers as the limiter can serve while answers are under way."""
        latencies = tuple(self._latencies)
        latency = min(latencies, default=self._kept_waiting)
        least_gain = self._least_gain if len(latencies) > 1 else max(self._least_gain, LEAST_GAIN_AT_FIRST)
        wanted = latency * self.session.reads_a_second
        if latency < self._least_latency or wanted <= least_gain or self.session.idle_in > latency:
            return
        most = min(self._concurrency, math.ceil(wanted) + SPARE)
        with self.changed:
            while not self.closed and self._busy < SCOUTS_A_REQUEST * most and self._start_scout():
                pass
            while not self.closed and self._busy < most and self._start_window():
                pass

    def is_current(self, source: PrefetchedPages) -> bool:
        """Whether it is the stream that is being read."""
        return source is self._current and not self.closed

    def held(self) -> int:
        """The places taken now."""
        of_windows = self._current.held if self._current else 0
        return of_windows + sum(scout.held for scout in self._scouts.values())

    def reserve(self, places: int, *, is_wanted: Callable[[], bool], may_go: Callable[[], bool | None]) -> None:
        """Keep room for the rows of a request, after waiting for it.

        Args:
            places: How many places.
            is_wanted: Whether the request is still wanted.
            may_go: Whether it must go or must not, whatever room there is; None leaves it to that.

        Raises:
            Stopped: The request is not wanted any more.
        """
        with self.changed:
            self._waiting += 1
            try:
                while True:
                    if self.closed or not is_wanted():
                        raise Stopped
                    go = may_go()
                    if go is None:
                        go = self.held() + self._reserved + places <= self._kept
                    if go:
                        break
                    self.changed.wait()
            finally:
                self._waiting -= 1
            self._reserved += places

    def release(self, places: int) -> None:
        """Give back the room that was kept: the rows are held now, or have not come."""
        with self.changed:
            self._reserved -= places
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

    def farthest(self, places: int) -> int:
        """Pages, of so many places, from one window's start to the next at most: all windows must find room."""
        return max(NEAREST, min(FARTHEST, self._kept // (places * self._concurrency // 2 or 1)))

    def start(self, work: Callable[[], None]) -> None:
        """Run something in a thread. With `changed` held.

        Raises:
            SettingsError: This machine starts no more threads.
        """
        thread = threading.Thread(target=lambda: self._run(work, thread), name="jetti-readahead", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise SettingsError(f"Reading ahead failed: {error}. Set concurrency to 1.") from error
        self._threads.add(thread)

    def _run(self, work: Callable[[], None], thread: threading.Thread) -> None:
        try:
            work()
        except (Stopped, Interrupted):
            pass
        except Exception as error:  # noqa: BLE001 - the reader will ask, and fail, itself
            self.logger.debug("Reading ahead ended: %r", error)
        finally:
            with self.changed:
                self._threads.discard(thread)
                self.changed.notify_all()
            with suppress(StoreError, SettingsError):  # raised where the reader needs it
                self.fill()

    def _await_first_answer(self) -> None:
        """Take it for slow once it has kept away for so long that reading ahead would have paid."""
        began = self.clock.monotonic()
        patience = max(LEAST_GAIN_AT_FIRST / self.session.reads_a_second, self._least_latency)
        with self.changed:
            while not self.closed and not self._has_outcome and not self.session.stats.retries:
                self._kept_waiting = self.clock.monotonic() - began
                if self._kept_waiting > patience:
                    break  # what comes next is `fill`
                self.changed.wait(patience - self._kept_waiting)

    @property
    def _busy(self) -> int:
        """The readers that have a request in flight or want one."""
        return len(self._threads) - self._waiting + 1

    def _start_scout(self) -> bool:
        """Start to read one more of the streams that follow; answers whether there was any to start."""
        upper = self.session.server_clock.at(self.clock.monotonic())
        is_known = upper is not None or not self._latencies
        if self._following and is_known and self.may_scout():
            plan = self._following.popleft()
            self._scouts[plan] = self._last_scout = StreamPrefetch(self, plan, self._last_scout, upper)
            self.start(self._last_scout.run)
            return True
        return False

    def _start_window(self) -> bool:
        """Start one more reader of this stream; answers whether there was anything to read."""
        useless_for_good = self._useless >= MOST_USELESS and not self._knows_from
        return self._current is not None and not useless_for_good and self._current.start_one()
