"""Lets the requests of several threads go, the most urgent first."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.query import Pairs
    from tap_jetti.client.rate_limit import Permit
    from tap_jetti.client.session import JettiSession, Response

Priority = tuple[int, Any] | None
"""The least goes first, and None not at all. It is looked at when there is a slot, and may change until then."""


class Stopped(BaseException):
    """Ends a thread whose work is not wanted any more."""


class _Flight:
    """A request, from its first permit to its end, with all its attempts."""

    def __init__(self, priority: Callable[[], Priority]) -> None:
        self.priority = priority
        self.has_begun = False
        self.granted: Permit | None = None
        self.is_dropped = False

    def begin_attempt(self) -> None:
        """Need a permit again."""
        self.granted = None


class PriorityScheduler:
    """Takes the limiter's permits one at a time, and gives each to the most urgent request *then*, retries included.

    A caller that took its own permit would be served in the order of asking, and a request that somebody waits for
    would stand behind those sent on the off chance. There is no thread for this: one of those who wait takes the
    permit, for itself or for another.

    Args:
        session: Whose limiter it is.
        most: Requests in flight at most.
        clock: What threads wait through.
    """

    def __init__(self, session: JettiSession, most: int, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._most = most
        self._condition = threading.Condition()
        self._waiting: list[_Flight] = []
        self._flying = 0
        self._taking = False
        self._closed = False

    @contextmanager
    def request(self, priority: Callable[[], Priority]) -> Iterator[Callable[[], Permit]]:
        """Count a request as in flight from its first permit until the context ends.

        Yields:
            What waits for the permit of each attempt. It raises `Stopped` if the request is not wanted any more,
            `Interrupted` if the scheduler or the clock was stopped, and `StoreError` if the limiter's store failed.
        """
        flight = _Flight(priority)
        try:
            yield lambda: self._acquire(flight)
        finally:
            with self._condition:
                if flight.has_begun:
                    self._flying -= 1
                if flight in self._waiting:
                    self._waiting.remove(flight)
                self._condition.notify_all()

    def close(self) -> None:
        """Let nobody pass any more."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _acquire(self, flight: _Flight) -> Permit:
        with self._condition:
            flight.begin_attempt()
            self._waiting.append(flight)
        while True:
            with self._condition:
                while not self._is_called(flight) and (self._taking or not self._may_fly(flight)):
                    self._clock.wait(self._condition)
                if self._closed:
                    raise Interrupted
                if flight.is_dropped:
                    raise Stopped
                if flight.granted:
                    return flight.granted
                self._taking = True
            self._take()

    def _take(self) -> None:
        """Take a permit and give it away; the lock is free meanwhile."""
        permit = None
        try:
            permit = self._session.take_permit()
        finally:
            with self._condition:
                self._taking = False
                chosen = self._most_urgent() if permit else None
                if chosen:
                    chosen.granted = permit
                    self._flying += not chosen.has_begun
                    chosen.has_begun = True
                self._condition.notify_all()

    def _is_called(self, flight: _Flight) -> bool:
        return self._closed or flight.is_dropped or flight.granted is not None

    def _may_fly(self, flight: _Flight) -> bool:
        """Whether a request may be sent beside those in flight, as one of which a retry counts already."""
        return flight.has_begun or self._flying < self._most

    def _most_urgent(self) -> _Flight | None:
        """Take the most urgent request from those that wait, and drop the unwanted ones."""
        wanted: list[tuple[tuple[int, Any], _Flight]] = []
        for flight in self._waiting:
            priority = flight.priority()
            if priority is None:
                flight.is_dropped = True
            else:
                wanted.append((priority, flight))
        chosen = min((one for one in wanted if self._may_fly(one[1])), key=itemgetter(0), default=(None, None))[1]
        self._waiting = [flight for _, flight in wanted if flight is not chosen]
        return chosen


class ScheduledSession:
    """A session whose requests pass the scheduler.

    Args:
        scheduler: What lets them go.
        session: What sends them.
        priority: How urgent they are.
        granted: Told when a request may go, before it is sent.
        observe: Told of each response and its path, and of None where there was none.
    """

    def __init__(
        self,
        scheduler: PriorityScheduler,
        session: JettiSession,
        *,
        priority: Callable[[], Priority],
        observe: Callable[[str, Response | None], None],
        granted: Callable[[], None] | None = None,
    ) -> None:
        self.server_clock = session.server_clock
        self._scheduler = scheduler
        self._session = session
        self._priority = priority
        self._granted = granted
        self._observe = observe

    def get(
        self,
        path: str,
        query: Pairs | None = None,
        *,
        decode: Callable[[bytes], Any] | None = None,
        retry: bool = True,
    ) -> Response:
        """Read from the API when the scheduler lets it, see `JettiSession.get`."""
        response = None
        with self._scheduler.request(self._priority) as acquire:
            try:
                response = self._session.get(
                    path, query, decode=decode, acquire=lambda: self._sent_with(acquire()), retry=retry
                )
            finally:
                self._observe(path, response)
        return response

    def _sent_with(self, permit: Permit) -> Permit:
        """Let others begin when a request may go, before it is sent."""
        if self._granted is not None:
            self._granted()
        return permit
