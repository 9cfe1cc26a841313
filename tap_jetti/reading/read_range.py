"""The range of instants that one read covers: from its start to the server's clock, or to an end before that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.errors import SettingsError
from tap_jetti.facts.timestamps import from_epoch, later, to_epoch

if TYPE_CHECKING:
    import logging

    from tap_jetti.client.clock import Clock
    from tap_jetti.reading.pages import PageReader

EARLIEST = "1970-01-01T00:00:00.000Z"
"""Where a read without a start begins: rows without a date are of no incremental stream."""

CLOCK_TOLERANCE = 60.0
"""Seconds by which clocks and bookmarks may differ before it is said, or is an error."""


class ReadRange:
    """What a read asks for, and what of it belongs to it.

    Args:
        source: Where the pages come from, which tells the server's clock.
        start: The first instant; None: the earliest.
        end: The first instant that does not belong to it any more; None: it goes on to the server's clock.
        lag: Seconds that bookmarks stay behind the server's clock.
        clock: This machine's clock.
        logger: Where differences between clocks are reported.

    Attributes:
        start: The first instant.
        upper: U, the server's clock when the read began; None while it is not known.
        ceiling: U minus the lag: rows before it are settled, and no bookmark passes it.
    """

    def __init__(
        self,
        source: PageReader,
        *,
        start: str | None,
        end: str | None,
        lag: float,
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        self.start = start or EARLIEST
        self.upper: str | None = None
        self.ceiling = EARLIEST
        self._source = source
        self._end = end
        self._lag = lag
        self._clock = clock
        self._logger = logger
        self._began = clock.monotonic()

    @property
    def bound(self) -> str | None:
        """The latest key to ask for; None as long as nothing is known of it.

        The end is asked for, too, though its rows belong to the next slice: rows stored with microseconds lie between
        it and the millisecond before. Where its rows come, they prove that all before them have come.
        """
        return min(filter(None, (self.upper, self._end)), default=None)

    @property
    def newest(self) -> str | None:
        """The latest key that belongs to this read; None as long as nothing is known of it."""
        before_end = later(self._end, milliseconds=-1) if self._end else None
        return min(filter(None, (self.upper, before_end)), default=None)

    @property
    def now(self) -> str:
        """The server's clock when the read began, or this machine's as long as that is not known."""
        return self.upper or from_epoch(self._clock.time())

    def is_behind(self, cursor: str) -> bool:
        """Whether nothing of the range is left from a key on."""
        newest = self.newest
        return newest is not None and cursor > newest

    def learn(self, *, is_last_chance: bool = False) -> None:
        """Learn U as soon as a response has told the server's clock.

        Args:
            is_last_chance: Whether this machine's clock is to stand in for a server that does not tell its own.

        Raises:
            SettingsError: The read begins so much later that its bookmark cannot be right.
        """
        if self.upper is not None:
            return
        seconds = self._source.began(self._began)
        machine = self._clock.time() - (self._clock.monotonic() - self._began)
        if seconds is None:
            if not is_last_chance:
                return
            self._source.profile.warn_once(
                self._logger,
                "Jetti sends no Date header, so this machine's clock is used instead. Check that it is right.",
            )
            seconds = machine
        self.upper = from_epoch(seconds)
        self.ceiling = from_epoch(seconds - self._lag)
        if abs(seconds - machine) > CLOCK_TOLERANCE:
            self._source.profile.warn_once(
                self._logger,
                "Jetti's clock is %d min %s this machine's. Rows are read up to Jetti's clock: if it is wrong,"
                " rows are missed or read late. Check this machine's clock; if it is right, tell Jetti's support.",
                round(abs(seconds - machine) / 60),
                "ahead of" if seconds > machine else "behind",
            )
        if to_epoch(self.start) > seconds + CLOCK_TOLERANCE:
            raise SettingsError(
                f"{self._source.resource}: the bookmark or start_date {self.start} is later than Jetti's clock,"
                f" {self.upper}, so nothing would ever be read. Correct the state or start_date."
            )
