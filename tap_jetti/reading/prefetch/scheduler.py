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


class _Ticket:
    def __init__(self, priority: Callable[[], Priority]) -> None:
        self.priority = priority
        self.granted: Permit | None = None
        self.is_dropped = False


class PriorityScheduler:
    """Takes the limiter's slots one at a time, and gives each to whoever is the most urgent *then*.

    A caller that took its own slot would be served in the order of asking, and a request that
    somebody waits for would stand behind those sent on the off chance. There is no thread for
    this: one of those who wait takes the slot, for itself or for another.

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
        self._waiting: list[_Ticket] = []
        self._flying = 0
        self._taking = False
        self._closed = False

    @contextmanager
    def passing(self, priority: Callable[[], Priority]) -> Iterator[Permit]:
        """Wait for a slot, and count as in flight until the context ends; yields the permit for `JettiSession.get`.

        Raises:
            Stopped: The request is not wanted any more.
            Interrupted: The gate or the clock was stopped.
            StoreError: The limiter's store failed.
        """
        ticket = _Ticket(priority)
        try:
            yield self._enter(ticket)
        finally:
            with self._condition:
                if ticket.granted:
                    self._flying -= 1
                elif ticket in self._waiting:
                    self._waiting.remove(ticket)
                self._condition.notify_all()

    def close(self) -> None:
        """Let nobody pass any more."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _enter(self, ticket: _Ticket) -> Permit:
        with self._condition:
            self._waiting.append(ticket)
        while True:
            with self._condition:
                while not self._is_called(ticket) and (self._taking or self._flying >= self._most):
                    self._clock.wait(self._condition)
                if self._closed:
                    raise Interrupted
                if ticket.is_dropped:
                    raise Stopped
                if ticket.granted:
                    return ticket.granted
                self._taking = True
            self._take()

    def _take(self) -> None:
        """Take a slot and give it away; the lock is free meanwhile."""
        permit = None
        try:
            permit = self._session.take_permit()
        finally:
            with self._condition:
                self._taking = False
                chosen = self._most_urgent() if permit else None
                if chosen:
                    chosen.granted = permit
                    self._flying += 1
                self._condition.notify_all()

    def _is_called(self, ticket: _Ticket) -> bool:
        return self._closed or ticket.is_dropped or ticket.granted is not None

    def _most_urgent(self) -> _Ticket | None:
        """Take the most urgent ticket from those that wait, and drop the unwanted ones."""
        wanted: list[tuple[tuple[int, Any], _Ticket]] = []
        for ticket in self._waiting:
            priority = ticket.priority()
            if priority is None:
                ticket.is_dropped = True
            else:
                wanted.append((priority, ticket))
        chosen = min(wanted, key=itemgetter(0), default=(None, None))[1]
        self._waiting = [ticket for _, ticket in wanted if ticket is not chosen]
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
        with self._scheduler.passing(self._priority) as permit:
            if self._granted is not None:
                self._granted()
            try:
                response = self._session.get(path, query, decode=decode, permit=permit, retry=retry)
            finally:
                self._observe(path, response)
        return response
