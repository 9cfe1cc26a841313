"""Counts of the requests of one run."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class RequestStats:
    """The requests of a session so far, for the progress line and the summary.

    Attributes:
        gets: GETs sent, retries and redirects included.
        writes: Other requests sent, retries included.
        refused: Responses with status 429.
        retries: Requests that were sent again after a failure.
        waited: Seconds that requests waited for the rate limit, in all threads together.
    """

    gets: int = 0
    writes: int = 0
    refused: int = 0
    retries: int = 0
    waited: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **figures: float) -> None:
        """Add to the counts, from any thread."""
        with self.lock:
            for name, value in figures.items():
                setattr(self, name, getattr(self, name) + value)
