"""How many rows to ask for per page: as many as the server gives, found out without losing a request that matters."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import (
    AuthenticationError,
    ClientError,
    DecodeError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RequestError,
    ServerError,
    TransportError,
)
from tap_jetti.facts.timestamps import later

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from tap_jetti.errors import JettiError

FIRST_LIMIT = 100
"""Rows to begin with: the largest page that any client of the API was seen to ask for."""

MAX_SECONDS = 2.0
"""Seconds that a page may take for the next one to be larger."""

MAX_BYTES = 1 << 23
"""Bytes that a page may have for the next one to be larger."""

BYTES_IN_FLIGHT = 1 << 25
"""Bytes that all pages in flight may have together."""

MAX_FAILURES = 3
"""Pages of a run that may fail because they are larger than the server allows."""

CLOSE_ENOUGH = 1.25
"""No size is looked for between two that are closer to each other than this factor."""

REFUSAL_DAYS = 30
"""Days after which a size that was refused is tried again."""


@dataclass(frozen=True)
class Limit:
    """How many rows one request asks for.

    Attributes:
        rows: The number.
        is_probe: Whether no page so large has come in this run: such a request is sent once and not retried.
    """

    rows: int
    is_probe: bool = False


class PageLimit:
    """Chooses the size of pages for all streams of a run.

    A page that came full, fast and small is followed by one twice as large. The first request for a size that no page
    of this run has had is a *probe*: only one is in flight at a time, and it is never retried, for it may be the size
    that fails. Then the last size that worked is asked for at once, and the size counts as refused only if that works:
    a 4xx at once, anything that may pass (5xx, a time-out, a cut body) when it happens again.

    Threads may share it.

    Args:
        fixed: Rows to ask for always; None finds out.
        first: Rows to begin with.
        maximum: Rows to ask for at most.
        concurrency: Requests that may be in flight at a time.
        logger: Where a refused size is reported, once.
    """

    def __init__(
        self,
        *,
        fixed: int | None = None,
        first: int = FIRST_LIMIT,
        maximum: int = 1000,
        concurrency: int = 1,
        logger: logging.Logger | None = None,
    ) -> None:
        self._fixed = fixed
        self._maximum = maximum
        self._max_bytes = min(MAX_BYTES, BYTES_IN_FLIGHT // concurrency)
        self._logger = logger
        self._lock = threading.Lock()
        self._first = self._worked = min(first, maximum)
        self._refused: int | None = None
        self._refused_at: str | None = None
        self._doubted: int | None = None
        self._failures = 0
        self._is_probing = False

    def to_bookmark(self) -> dict[str, Any]:
        """The least size that the server refused, and when, for each stream's bookmark."""
        return {"refused_page_size": self._refused, "refused_at": self._refused_at}

    def recall(self, stored: Mapping[str, Any], *, now: str) -> None:
        """Learn from a bookmark what an earlier run found refused; what is older than 30 days is tried again."""
        rows, at = stored.get("refused_page_size"), stored.get("refused_at")
        if type(rows) is not int or rows < 1 or not isinstance(at, str):
            return
        if at < later(now, milliseconds=-REFUSAL_DAYS * 86_400_000):
            return
        with self._lock:
            if self._refused is None or rows < self._refused:
                self._refused, self._refused_at = rows, at
            self._worked = min(self._worked, max(1, self._allowed(self._worked)))

    def first(self, largest: int) -> int:
        """The size that a resource begins with, whose largest page had so many rows."""
        return self._fixed or self._allowed(max(self._first, largest))

    def ask(self, wanted: int) -> Limit:
        """What the next request asks for; whoever gets a probe must report how it ended."""
        if self._fixed is not None:
            return Limit(self._fixed)
        with self._lock:
            allowed = self._allowed(wanted)
            if allowed <= self._worked:
                return Limit(allowed)
            if self._is_probing:
                return Limit(self._worked)
            self._is_probing = True
            return Limit(allowed, is_probe=True)

    def after(self, limit: Limit, *, rows: int, seconds: float, size: int, may_grow: bool) -> int:
        """Take note of a page; returns the size that its resource wants next.

        Args:
            limit: What was asked for.
            rows: The rows that came.
            seconds: How long the request took.
            size: Bytes of the page.
            may_grow: Whether larger pages of this resource make sense.
        """
        if self._fixed is not None:
            return self._fixed
        with self._lock:
            if limit.is_probe:
                self._is_probing = False
                self._worked = max(self._worked, limit.rows)
                self._doubted = None
            is_roomy = rows == limit.rows and seconds < MAX_SECONDS and 2 * size <= self._max_bytes
            return self._allowed(2 * limit.rows if is_roomy and may_grow else limit.rows)

    def failed(self, error: JettiError) -> Limit | None:
        """Take note that a probe failed; returns what to ask for instead, or None if its size is not to blame.

        `refuse` is to follow if that works.
        """
        with self._lock:
            self._is_probing = False
            return Limit(self._worked) if may_be_too_large(error) else None

    def give_up(self, limit: Limit) -> None:
        """Take note that a request was given up before it ended."""
        if limit.is_probe:
            with self._lock:
                self._is_probing = False

    def refuse(self, limit: Limit, error: JettiError, *, now: str | None) -> None:
        """Take note that the size that worked before works where a probe has failed."""
        is_final = isinstance(error, ClientError)
        with self._lock:
            self._failures += 1
            if not is_final and self._refused is None and self._doubted != limit.rows:
                self._doubted = limit.rows  # it may have been chance: it is tried once more
                return
            self._refused, self._refused_at = limit.rows, now
            worked = self._worked
        if self._logger is not None:
            self._logger.warning(
                "Jetti returned no page of %d rows, but one of %d. Pages stay smaller than that for %d days."
                " To fix their size, set page_size to %d. The failure was: %s",
                limit.rows,
                worked,
                REFUSAL_DAYS,
                worked,
                error,
            )

    def _allowed(self, wanted: int) -> int:
        """A size up to what was wanted that may be asked for."""
        wanted = min(wanted, self._maximum)
        if self._refused is None or wanted < self._refused:
            return wanted if self._failures < MAX_FAILURES else min(wanted, self._worked)
        is_close = self._refused <= CLOSE_ENOUGH * self._worked
        if is_close or self._failures >= MAX_FAILURES:
            return min(wanted, self._worked)
        return (self._worked + self._refused) // 2


def may_be_too_large(error: JettiError) -> bool:
    """Whether a request may have failed because it asked for too many rows."""
    if isinstance(error, (AuthenticationError, ForbiddenError, NotFoundError, RateLimitedError)):
        return False
    if isinstance(error, TransportError):
        return error.may_have_arrived
    return isinstance(error, (ClientError, ServerError, DecodeError)) and isinstance(error, RequestError)
