"""The request log: every request that arrived at the sandbox, in order of arrival."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

TOO_MANY_REQUESTS = 429


@dataclass
class LoggedRequest:
    """One request that arrived."""

    time: float
    """Seconds since the epoch by the server's clock, at arrival."""
    method: str
    path: str
    query: str
    """As it was sent, percent-encoded."""
    body: Any
    """The parsed JSON body, its text if it is not JSON, or None."""
    status: int = 0
    """The status of the response; 0 if the connection was closed without one."""
    cost: float = 0.0
    """Units of the rate limit."""

    @property
    def inbound(self) -> bool:
        """Whether the request went to the inbound host."""
        return self.path.startswith("/webhooks/")


class RequestLog:
    """The requests that arrived. Safe to read while the server adds requests."""

    def __init__(self, size: int) -> None:
        """Create an empty log that keeps the last `size` requests."""
        self._entries: deque[LoggedRequest] = deque(maxlen=size)
        self._lock = threading.Lock()

    def add(self, entry: LoggedRequest) -> None:
        """Add a request at its arrival; its status is set when it is answered."""
        with self._lock:
            self._entries.append(entry)

    def clear(self) -> None:
        """Remove all entries."""
        with self._lock:
            self._entries.clear()

    def entries(self, since: float = 0.0) -> list[LoggedRequest]:
        """A copy of the entries that arrived at or after a time, in seconds since the epoch."""
        with self._lock:
            return [entry for entry in self._entries if entry.time >= since]

    def __iter__(self) -> Iterator[LoggedRequest]:
        """Iterate over a copy."""
        return iter(self.entries())

    def __len__(self) -> int:
        """The number of entries."""
        return len(self._entries)

    def __getitem__(self, index: int) -> LoggedRequest:
        """The entry at an index; -1 is the last one."""
        with self._lock:
            return self._entries[index]

    @property
    def refused(self) -> list[LoggedRequest]:
        """Requests that were answered 429."""
        return [entry for entry in self if entry.status == TOO_MANY_REQUESTS]

    @property
    def gets(self) -> list[LoggedRequest]:
        """GET requests."""
        return [entry for entry in self if entry.method == "GET"]

    @property
    def writes(self) -> list[LoggedRequest]:
        """Requests of any other method, inbound ones included."""
        return [entry for entry in self if entry.method != "GET"]

    @property
    def inbound(self) -> list[LoggedRequest]:
        """Requests to the inbound host."""
        return [entry for entry in self if entry.inbound]

    def max_units_in_window(self, seconds: float = 1.0) -> float:
        """The maximum number of rate limit units that arrived within any window of this length.

        Refused requests count, too.
        """
        window: deque[LoggedRequest] = deque()
        units = highest = 0.0
        for entry in self:
            window.append(entry)
            units += entry.cost
            while window[0].time <= entry.time - seconds:
                units -= window.popleft().cost
            highest = max(highest, units)
        return highest

    def summary(self, since: float = 0.0) -> dict[str, Any]:
        """The counts of the entries since a time, for the control endpoints."""
        entries = self.entries(since)
        return {
            "requests": len(entries),
            "gets": sum(entry.method == "GET" for entry in entries),
            "writes": sum(entry.method != "GET" for entry in entries),
            "inbound": sum(entry.inbound for entry in entries),
            "refused": sum(entry.status == TOO_MANY_REQUESTS for entry in entries),
            "units": sum(entry.cost for entry in entries),
            "max_units_in_a_second": self.max_units_in_window(1.0),
        }
