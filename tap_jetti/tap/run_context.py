"""What the streams of one run share."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.process.settings import open_session
from tap_jetti.reading.page_limit import PageLimit
from tap_jetti.reading.prefetch import Prefetcher
from tap_jetti.reading.resource_facts import BOOKMARK_KEY
from tap_jetti.reading.server_profile import ServerProfile
from tap_jetti.tap.column_names import ColumnNames
from tap_jetti.tap.failed_streams import FailedStreams
from tap_jetti.tap.progress.progress import Progress
from tap_jetti.tap.progress.terminal_line import TerminalLine, can_show_line
from tap_jetti.tap.settings import date_setting
from tap_jetti.tap.state_cadence import StateCadence

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import JettiSession
    from tap_jetti.facts.redaction import Redactor
    from tap_jetti.reading.page import Decode, Page
    from tap_jetti.reading.prefetch import StreamRead
    from tap_jetti.reading.prefetch.stream_read import Reader
    from tap_jetti.tap.run_summary import RunSummary
    from tap_jetti.tap.writer import MessageWriter


class RunContext:
    """Everything that a stream needs besides its own schema and state.

    Nothing is opened before it is used: discovery needs no token and sends no request.

    Args:
        settings: The settings of the tap, validated.
        writer: Writes the messages.
        clock: The clock of everything that waits or measures time.
        started_at: When the run began, in seconds since the epoch.
        redactor: What errors must not show.
        logger: The logger of the tap.
        summary: Where the figures of the run are kept.

    Attributes:
        profile: What the reads of this run have learnt about the server.
        failed_streams: The streams that failed while the run went on with the others.
        state_cadence: Tells when a STATE message is due.
        summary: The figures of the run.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        writer: MessageWriter,
        clock: Clock,
        started_at: float,
        redactor: Redactor,
        logger: logging.Logger,
        summary: RunSummary,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.started_at = started_at
        self.profile = ServerProfile(
            page_limit=PageLimit(
                fixed=settings.get("page_size"),
                maximum=settings["max_page_size"],
                concurrency=settings["concurrency"],
                logger=logger,
            )
        )
        self.summary = summary
        self.failed_streams = FailedStreams(logger, summary.causes)
        self.state_cadence = StateCadence(clock)
        self._writer = writer
        self._redactor = redactor
        self._logger = logger

    @cached_property
    def session(self) -> JettiSession:
        """The HTTP session of all streams."""
        session = open_session(self.settings, clock=self.clock, logger=self._logger, redactor=self._redactor)
        self.summary.stats = session.stats
        return session

    @cached_property
    def progress(self) -> Progress:
        """What the user sees of the run while it goes on."""
        mode = self.settings["progress"]
        # If the messages go to the terminal, too, a live line would be in their midst.
        is_live = mode != "never" and can_show_line(sys.stderr) and not sys.stdout.isatty()
        return Progress(
            TerminalLine(sys.stderr) if is_live else None,
            is_logged=mode == "always" and not is_live,
            is_quiet=mode == "never",
            figures=self.summary.streams,
            logger=self._logger,
            clock=self.clock,
            stats=self.session.stats,
            rate=self.session.reads_a_second,
        )

    @cached_property
    def prefetcher(self) -> Prefetcher:
        """Reads ahead of the streams."""
        return Prefetcher(self.session, concurrency=self.settings["concurrency"], clock=self.clock, logger=self._logger)

    @cached_property
    def start_date(self) -> str | None:
        """Where streams without a later bookmark begin, in the normal form."""
        return date_setting(self.settings, "start_date")

    @cached_property
    def end_date(self) -> str | None:
        """The exclusive upper bound of `updatedAt`, in the normal form."""
        return date_setting(self.settings, "end_date")

    @cached_property
    def column_names(self) -> ColumnNames:
        """How columns are named."""
        return ColumnNames(self.settings["column_names"])

    @property
    def verify_counts(self) -> str:
        """When to ask the server's count: ``auto``, ``always`` or ``never``."""
        return str(self.settings["verify_counts"])

    def recall(self, bookmarks: Mapping[str, Any]) -> None:
        """Learn from the state what earlier runs have learnt of the server as a whole."""
        for bookmark in bookmarks.values():
            profile = bookmark.get(BOOKMARK_KEY)
            if isinstance(profile, dict):
                self.profile.page_limit.recall(profile, now=from_epoch(self.clock.time()))

    def open(self) -> None:
        """Open the session and begin the progress, so that a wrong setting fails the run, not its first stream.

        Raises:
            SettingsError: A setting does not work.
        """
        _ = self.session, self.progress

    def prefetch(self, reads: Iterable[StreamRead]) -> None:
        """Say which streams will be read, in order, so that they can be read ahead."""
        if self.settings["concurrency"] > 1:
            self.prefetcher.follow(reads)

    def open_read(self, read: StreamRead, decode: Decode) -> tuple[Reader, Iterator[Page]]:
        """Begin to read the next stream, or go on with what was prefetched of it.

        Args:
            read: How the stream is read.
            decode: Decodes the body of a response into a page.

        Returns:
            Its reader, and the pages that come from it.
        """
        if self.settings["concurrency"] == 1:
            reader = read.reader(read.pages_from(self.session, decode))
            return reader, reader.pages()
        stream = self.prefetcher.open(read)
        return stream.reader, stream.hand_over(decode)

    def write_rows(self, stream: str, rows: list[Any], *, version: int | None) -> None:
        """Write rows as RECORD messages, all in one write.

        Args:
            stream: The name of the stream.
            rows: Dicts, or structs whose fields are those of the stream.
            version: The version of the table, if the stream replaces it.
        """
        self._writer.write_rows(stream, rows, extracted=self.clock.time(), version=version)

    def deferred_interrupts(self) -> AbstractContextManager[None]:
        """While this lasts, a signal waits: what is written meanwhile leaves whole."""
        return self._writer.deferred_interrupts()

    def close(self, outcome: str) -> None:
        """End the run: its threads, its summary, its connections.

        Args:
            outcome: How the run ended, see `Progress.summarise`.
        """
        if "prefetcher" in self.__dict__:
            self.prefetcher.close()
        if "session" in self.__dict__:
            self.progress.summarise(outcome)
            self.session.close()
