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
    ResponseTooLargeError,
    RetriableError,
    ServerError,
    TransportError,
    UnreliableResponseError,
)
from tap_jetti.facts.timestamps import later

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from tap_jetti.errors import JettiError

FIRST_LIMIT = 100
"""Rows to begin with: the largest page that any client of the API was seen to ask for."""

DEFAULT_LIMIT = 50
"""Rows of a page that is asked for without a limit (source: the vendor's guide): no server refuses so few."""

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
        is_probe: Whether no page so large of its resource has come in this run: such a request is sent once and not
            retried.
        resource: The resource.
    """

    rows: int
    is_probe: bool = False
    resource: str = ""


class PageLimit:
    """Chooses the size of pages for all streams of a run.

    A page that came full, fast and small is followed by one twice as large. The first request for a size that no page
    of its resource has had in this run is a *probe*. It is never retried, for it may be the size that fails, and what
    works for small rows may fail for large ones. Only one probe of a resource is in flight at a time, and only one in
    all of a size that no resource has had.

    When a probe fails, the last size that worked is asked for at once. The size counts as refused only if that works:

    - A 4xx, or something else than rows, is believed at once.
    - Anything that may pass (5xx, a time-out, a cut body) is doubted. The next probe is smaller, halfway to the size
      that worked, and only if that fails, too, does its size count as refused.
    - A 429 and a connection that was not made say nothing of the size.

    The size to begin with is no probe: it has its retries. If it is refused all the same, `DEFAULT_LIMIT` is asked for.

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
        self._first = min(first, maximum)
        self._worked: dict[str, int] = {}
        self._refused: int | None = None
        self._refused_at: str | None = None
        self._doubted: int | None = None
        self._failures = 0
        self._probes: dict[str, int] = {}

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
            if rows <= self._first:
                self._first = max(1, rows // 2)

    def first(self, resource: str, largest: int) -> int:
        """The size that a resource begins with, whose largest page had so many rows."""
        if self._fixed is not None:
            return self._fixed
        with self._lock:
            return self._allowed(resource, max(self._first, largest))

    def ask(self, resource: str, wanted: int) -> Limit:
        """What the next request asks for; whoever gets a probe must report how it ended."""
        if self._fixed is not None:
            return Limit(self._fixed, resource=resource)
        with self._lock:
            worked = self._worked_for(resource)
            allowed = self._allowed(resource, wanted)
            if allowed <= worked:
                return Limit(allowed, resource=resource)
            known = max(self._worked.values(), default=self._first)
            if resource in self._probes or (allowed > known and max(self._probes.values(), default=0) > known):
                return Limit(worked, resource=resource)
            self._probes[resource] = allowed
            return Limit(allowed, is_probe=True, resource=resource)

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
                self._probes.pop(limit.resource, None)
                self._worked[limit.resource] = max(self._worked_for(limit.resource), limit.rows)
                self._doubted = None
            is_roomy = rows == limit.rows and seconds < MAX_SECONDS and 2 * size <= self._max_bytes
            return self._allowed(limit.resource, 2 * limit.rows if is_roomy and may_grow else limit.rows)

    def failed(self, limit: Limit, error: JettiError) -> Limit | None:
        """Take note that a probe failed; returns what to ask for instead, or None if that would fail, too.

        `refuse` is to follow if it works.
        """
        with self._lock:
            self._probes.pop(limit.resource, None)
            worked = Limit(self._worked_for(limit.resource), resource=limit.resource)
            return worked if may_be_too_large(error) or isinstance(error, RetriableError) else None

    def below_first(self, limit: Limit, error: JettiError) -> Limit | None:
        """What to ask for where not even the first page of a resource came; None if that would fail, too.

        `refuse` is to follow if it works.
        """
        is_refusal = isinstance(error, (ClientError, ResponseTooLargeError)) or (
            isinstance(error, ServerError) and error.maybe_permanent
        )
        if self._fixed is not None or limit.rows <= DEFAULT_LIMIT or not (is_refusal and may_be_too_large(error)):
            return None
        return Limit(DEFAULT_LIMIT, resource=limit.resource)

    def give_up(self, limit: Limit) -> None:
        """Take note that a request was given up before it ended."""
        if limit.is_probe:
            with self._lock:
                self._probes.pop(limit.resource, None)

    def refuse(self, limit: Limit, error: JettiError, *, worked: Limit, now: str | None) -> None:
        """Take note that a smaller size works where another has failed.

        A 429 and a connection that was not made say nothing of the size.
        """
        if not may_be_too_large(error):
            return
        is_retried = not limit.is_probe
        is_final = is_retried or isinstance(error, (ClientError, ResponseTooLargeError, UnreliableResponseError))
        with self._lock:
            self._failures += 1
            self._first = min(self._first, worked.rows)
            if not is_final and self._refused is None and self._doubted is None:
                self._doubted = limit.rows
                return
            self._refused, self._refused_at = limit.rows, now
        if self._logger is not None:
            self._logger.warning(
                "Jetti returned no page of %d rows, but one of %d. Pages stay smaller than that for %d days."
                " To fix their size, set page_size to %d. The failure was: %s",
                limit.rows,
                worked.rows,
                REFUSAL_DAYS,
                worked.rows,
                error,
            )

    def _worked_for(self, resource: str) -> int:
        """The largest size that has worked for a resource in this run, or that reads begin with."""
        return self._worked.get(resource, self._first)

    def _allowed(self, resource: str, wanted: int) -> int:
        """A size up to what was wanted that may be asked for."""
        wanted, worked = min(wanted, self._maximum), self._worked_for(resource)
        if self._failures >= MAX_FAILURES:
            return min(wanted, worked)
        failed = self._refused or self._doubted
        if failed is None or wanted < failed:
            return wanted
        if failed <= CLOSE_ENOUGH * worked:
            return min(wanted, worked if self._refused else failed)
        return (worked + failed) // 2


def may_be_too_large(error: JettiError) -> bool:
    """Whether a request may have failed because it asked for too many rows."""
    if isinstance(error, (AuthenticationError, ForbiddenError, NotFoundError, RateLimitedError)):
        return False
    if isinstance(error, TransportError):
        return error.may_have_arrived
    return isinstance(error, (ClientError, ResponseTooLargeError, ServerError, DecodeError, UnreliableResponseError))
