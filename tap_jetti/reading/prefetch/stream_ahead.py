"""Reads a stream that follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.errors import Interrupted, JettiError
from tap_jetti.reading.pages import KeyRange, Page, decode_raw
from tap_jetti.reading.prefetch.memory import places_of
from tap_jetti.reading.prefetch.scheduler import ScheduledSession, Stopped
from tap_jetti.reading.server_profile import PageSizes, ServerProfile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_jetti.reading.prefetch.prefetcher import Prefetcher
    from tap_jetti.reading.prefetch.scheduler import Priority
    from tap_jetti.reading.prefetch.stream_read import StreamRead


class StreamPrefetch:
    """Reads a stream that follows until its reader comes, and keeps what it was answered, by question.

    Args:
        ahead: What reads ahead.
        plan: How the stream is read.
        before: The scout of the stream before it, for what its reader is going to know; None if there was none.
        upper: The server's clock now; None before the first answer of all.
    """

    def __init__(self, ahead: Prefetcher, plan: StreamRead, before: StreamPrefetch | None, upper: float | None) -> None:
        self.asked_upto = upper
        """What its first page is asked for up to: without it the page is cut, as a process's first is."""
        self.upper = upper
        """The server's clock when it began, so before that of any scout after it; None while it is not known."""
        self._ahead = ahead
        self._began = ahead.clock.monotonic()
        self._plan = plan
        self.number: int = before.number + 1 if before else 1
        """Its place among the scouts, which is that of its stream."""
        self._asks_count = False
        self._asked = plan.pages_from(ScheduledSession(ahead, self._urgency), decode_raw)
        self._answers: dict[str, tuple[Any, ...] | BaseException | None] = {}
        self._is_awaited = False
        self._stopped = self._is_handed_over = False
        self.held = 0
        self.resource = self._asked.resource
        self.page_size = self._asked.page_size
        self.profile: ServerProfile = ServerProfile(PageSizes((before or self._asked).profile.page_sizes))
        self._last_size = self.page_size
        self._pages = 0
        self._reader = plan.reader(self)

    def began(self, at: float) -> float | None:  # noqa: ARG002 - it is kept for the reader to come
        """The server's clock when the scout began, see `PageReader.began`.

        Raises:
            Stopped: It is not known after the first page, so the reader goes by this machine's clock when it comes.
        """
        if self._pages and self.upper is None:
            raise Stopped
        return self.upper

    def run(self) -> None:
        """Read until the reader comes, or nothing more is to be read."""
        try:
            for _ in self._reader.pages():
                pass
        except JettiError:
            pass  # it is kept as an answer

    @property
    def is_over(self) -> bool:
        """Whether its stream goes on where it has not read."""
        return self._stopped

    def hand_over(self) -> None:
        """Ask nothing more: the reader has come, and windows read a long stream faster. With `changed` held."""
        self._is_handed_over = True

    def take(self, kind: str, where: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """What was answered to a question, after waiting if it is under way; None if it was not asked.

        Raises:
            JettiError: The question failed.
        """
        question = f"{kind} {where}"
        with self._ahead.changed:
            self._is_awaited = True
            if question not in self._answers:
                self._stopped = True
            while question in self._answers and self._answers[question] is None:
                self._ahead.changed.wait()
            answer = self._answers.pop(question, None)
            self.held -= _places_of(answer)
            self._ahead.changed.notify_all()
        if isinstance(answer, JettiError):
            raise answer
        return answer if isinstance(answer, tuple) else None

    def page(self, where: Mapping[str, Any], bounds: Sequence[KeyRange]) -> tuple[Page, float]:
        """One page, see `ResourcePages.page`.

        Raises:
            Stopped: Whether to ask for it depends on what the reader is just about to learn.
        """
        if self._last_size < self.page_size and self.profile.page_sizes.is_new(self._last_size):
            raise Stopped
        answer: tuple[Page, float] = self._ask(f"page {where}", lambda: self._page(where, bounds))
        self._last_size = len(answer[0])
        self._pages += 1
        return answer

    def count(self, where: Mapping[str, Any]) -> int | None:
        """The rows that the server counts, see `ResourcePages.count`.

        Raises:
            Stopped: The reader does not ask for it any more, for it knows its only page to be the last.
        """
        self._asks_count = True
        answer: tuple[int | None] = self._ask(f"count {where}", lambda: (self._asked.count(where),))
        return answer[0]

    def counted(self, where: Mapping[str, Any]) -> int | None:  # noqa: ARG002 - it asks nothing ahead
        """None: a scout asks what its reader would ask."""
        return None

    def try_large_page(self, rows: int) -> None:
        """Do nothing: it is the reader's to ask, once for all."""

    def _page(self, where: Mapping[str, Any], bounds: Sequence[KeyRange]) -> tuple[Page, float]:
        page, _ = self._asked.page(where, bounds)
        if self.upper is None:
            self.upper = self._asked.began(self._began)
        return page, self._began

    def _urgency(self) -> Priority:
        """Pages of all streams come first: their counts can then be asked at the same time, and the last ones are."""
        if self._asks_count and self._pages == 1 and self._reader.is_end(self._last_size):
            return None
        return (0, 1) if self._is_awaited else (2 + self._asks_count, self.number)

    def _ask(self, question: str, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - of either question
        places = self._ahead.places(self._asked.path, self.page_size)
        with self._ahead.changed:
            self._ahead.reserve(places, is_wanted=lambda: self._wants(question), may_go=self._may_go)
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
                self.held += _places_of(answer)
                self._ahead.release(places)
        return answer

    def _wants(self, question: str) -> bool:
        """Whether to ask: a question that comes again belongs to a second read, which is no scout's."""
        return not self._stopped and not self._is_handed_over and question not in self._answers

    def _may_go(self) -> bool | None:
        return None if self._is_awaited or self._ahead.may_scout() else False


def _places_of(answer: object) -> int:
    """The places that the rows of an answer take."""
    return places_of(answer[0].rows) if isinstance(answer, tuple) and hasattr(answer[0], "rows") else 0
