"""Reads a stream before its turn, and hands the very reader over to the main thread when the turn comes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tap_jetti.errors import Interrupted
from tap_jetti.reading.page import encode_raw
from tap_jetti.reading.prefetch.memory import places_of
from tap_jetti.reading.prefetch.prefetched_pages import PrefetchedPages
from tap_jetti.reading.prefetch.scheduler import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_jetti.reading.page import Decode, Page
    from tap_jetti.reading.prefetch.context import PrefetchContext
    from tap_jetti.reading.prefetch.stream_read import StreamRead

FIRST_PLACES = 100
"""Rows of a page that nothing is known of."""


class StreamPrefetch:
    """One stream, whose reader is advanced by a thread until the main thread goes on with it.

    There is one reader, a generator, and each of its pages is taken from it once: by the thread into a queue, or by the
    main thread after the thread has ended. So pages, bookmarks and failures are those of a serial read.

    Args:
        context: What the parts of a prefetcher share.
        stream_read: How the stream is read.
        number: Its place among the streams.
    """

    def __init__(self, context: PrefetchContext, stream_read: StreamRead, number: int) -> None:
        self._context = context
        self._memory = context.memory
        self.source = PrefetchedPages(context, stream_read)
        self.source.priority = (2, number)
        self.reader = stream_read.reader(self.source)
        self._generator = self.reader.pages()
        self._queue: deque[tuple[Page, int]] = deque()
        self._failure: BaseException | None = None
        self._is_running = False
        self._is_awaited = False

    def run(self) -> None:
        """Advance the reader while there is memory, until the main thread comes."""
        try:
            while self._read_page():
                pass
        except Stopped:
            pass  # between two pages, so that the reader can go on
        finally:
            with self._memory.changed:
                self._is_running = False
                self._memory.changed.notify_all()

    def begin(self) -> None:
        """Take note that a thread runs, with `changed` held."""
        self._is_running = True

    def hand_over(self, decode: Decode) -> Iterator[Page]:
        """The pages, those that were read ahead first. For the main thread.

        Args:
            decode: Makes pages of the bytes of responses.

        Raises:
            JettiError: What the reader failed with, when all pages before are given.
        """
        self._await()
        while True:
            with self._memory.changed:
                while not self._queue and self._is_running:
                    self._memory.wait()
                page, places = self._queue.popleft() if self._queue else (None, 0)
                self._memory.hold(-places, is_follower=True)
            if page is None:
                break
            yield decode(encode_raw(page.rows))
        if self._failure is not None:
            raise self._failure
        self.source.decode = decode
        yield from self._generator

    def _await(self) -> None:
        """Let the thread end after its page, and that page come first."""
        with self._memory.changed:
            self._is_awaited = True
            self.source.priority = (0, 0)
            self.source.is_current = True
            self._memory.changed.notify_all()

    def _read_page(self) -> bool:
        """Take one page from the reader; answers whether more is to be read."""
        wanted = self._memory.places_for(self.source.path, FIRST_PLACES)
        self._memory.reserve(wanted, is_wanted=lambda: not self._is_awaited, may_go=self._may_go)
        page: Page | None = None
        try:
            page = next(self._generator, None)
        except (Interrupted, Stopped) as error:
            self._failure = error  # the reader was ended by it: the main thread must not take that for the end
            raise
        except Exception as error:  # noqa: BLE001 - it is raised in the main thread, in its turn
            self._failure = error
        finally:
            # In one step, so that a place which is reserved is not free before the rows are held that it is for.
            with self._memory.changed:
                if page is not None:
                    places = places_of(page.rows)
                    self._queue.append((page, places))
                    self._memory.hold(places, is_follower=True)
                self._memory.release(wanted)
        return page is not None and not self._is_awaited

    def _may_go(self) -> bool | None:
        return None if self._memory.has_room_for_followers() else False
