"""The memory for rows that are held ahead: reserved before they are asked for, given back when they leave."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tap_jetti.reading.prefetch.scheduler import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import msgspec

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import Response

PLACE_BYTES = 6500
"""Bytes of a row for each place that it takes: most rows take one."""

PLACES = 5000
"""Places for rows held ahead: one per row, and one more for each `PLACE_BYTES` of it, which makes 32 MB at most."""

PLACES_OF_FOLLOWERS = 2000
"""How many of them streams that are not yet read may take."""


def places_of(rows: Iterable[msgspec.Raw]) -> int:
    """The places that rows take which are not decoded: so the places bound their number and their bytes alike."""
    return sum(1 + len(memoryview(row)) // PLACE_BYTES for row in rows)


def places_of_page(rows: int, size: int) -> int:
    """The places that a response of so many rows and bytes takes if its rows are alike."""
    return rows * (1 + size // (rows or 1) // PLACE_BYTES)


class PrefetchMemory:
    """Bounds what all threads of a prefetcher hold.

    Args:
        places: The places there are.
        clock: What threads wait through.

    Attributes:
        changed: Held to look at or change anything that the threads share; notified of every change.
        most_held: The most places that were taken at any time.
        is_closed: Whether nothing more is to be asked for.
    """

    def __init__(self, places: int, clock: Clock) -> None:
        self.changed = threading.Condition()
        self.places = places
        self.most_held = 0
        self.is_closed = False
        self.waiting = 0
        self._clock = clock
        self._held = 0
        self._held_by_followers = 0
        self._reserved = 0
        self._largest: dict[str, int] = {}

    def wait(self) -> None:
        """Wait for a change, with `changed` held."""
        self._clock.wait(self.changed)

    def observe(self, path: str, response: Response) -> None:
        """Learn from a response how large those of its path are."""
        with self.changed:
            self._largest[path] = max(self._largest.get(path, 0), response.size)

    def places_for(self, path: str, rows: int) -> int:
        """The places that a page of so many rows may take, going by the largest response from there, else of all."""
        with self.changed:
            return places_of_page(rows, self._largest.get(path) or max(self._largest.values(), default=0))

    def reserve(self, places: int, *, is_wanted: Callable[[], bool], may_go: Callable[[], bool | None]) -> None:
        """Keep places for the rows of a request, after waiting for them.

        Args:
            places: How many.
            is_wanted: Whether the request is still wanted.
            may_go: Whether it must go or must not, however many places are free; None leaves it to that.

        Raises:
            Stopped: The request is not wanted any more.
        """
        with self.changed:
            self.waiting += 1
            try:
                while True:
                    if self.is_closed or not is_wanted():
                        raise Stopped
                    go = may_go()
                    if go is None:
                        go = self._held + self._reserved + places <= self.places
                    if go:
                        break
                    self.wait()
            finally:
                self.waiting -= 1
            self._reserved += places

    def release(self, places: int) -> None:
        """Give back what was reserved: the rows are held now, or have not come."""
        with self.changed:
            self._reserved -= places
            self.changed.notify_all()

    def hold(self, places: int, *, is_follower: bool = False) -> None:
        """Take note that rows of so many places are held, or fewer if negative. With `changed` held."""
        self._held += places
        self.most_held = max(self.most_held, self._held)
        if is_follower:
            self._held_by_followers += places
        self.changed.notify_all()

    def has_room_for_followers(self) -> bool:
        """Whether streams that are not yet read may hold more."""
        return self._held_by_followers < min(PLACES_OF_FOLLOWERS, self.places // 2)
