"""What the reads of one run have learnt of a server that documents little, whatever the resource."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_jetti.reading.page_limit import PageLimit

if TYPE_CHECKING:
    import logging


@dataclass
class ServerProfile:
    """Shared by all streams of a run, and by their threads.

    Attributes:
        page_limit: How many rows to ask for per page.
        refused_fields: The length of the shortest list of fields that was refused.
        uncounted: The resources that the server does not count.
    """

    page_limit: PageLimit = field(default_factory=PageLimit)
    refused_fields: int | None = None
    uncounted: set[str] = field(default_factory=set)
    _warned: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def warn_once(self, logger: logging.Logger, message: str, *values: object) -> None:
        """Log a warning unless the same one was logged before."""
        text = message % values
        with self._lock:
            is_new = text not in self._warned
            self._warned.add(text)
        if is_new:
            logger.warning("%s", text)

    def refuse_fields(self, number: int) -> None:
        """Take note that a list of so many fields was refused."""
        with self._lock:
            self.refused_fields = min(number, self.refused_fields or number)

    def stop_counting(self, resource: str) -> None:
        """Take note that the server does not count a resource, or not as it should."""
        with self._lock:
            self.uncounted.add(resource)
