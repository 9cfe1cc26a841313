"""Decides about operations by what Jetti shows of their rows, and by what was sent before."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from tap_jetti.target.delivery.ledger.feed_comparison import FORGET_DAYS, FeedComparison
from tap_jetti.target.delivery.ledger.feed_facts import FeedFacts, IdFacts
from tap_jetti.target.delivery.ledger.feed_reader import JettiFeedReader, RowForm
from tap_jetti.target.delivery.ledger.write_log import hash_of
from tap_jetti.target.delivery.verdict import Verdict

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Sequence

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import JettiSession
    from tap_jetti.reading.server_profile import ServerProfile
    from tap_jetti.target.delivery.ledger.account_ledger import AccountLedger
    from tap_jetti.target.delivery.ledger.feed_comparison import RowFacts
    from tap_jetti.target.delivery.ledger.locks import FileLock
    from tap_jetti.target.delivery.ledger.mirror import Mirror
    from tap_jetti.target.delivery.ledger.replays import ReplayGuard
    from tap_jetti.target.delivery.operations import Comparison, OperationKey, WriteOperation
    from tap_jetti.target.delivery.summary import Summary

MAX_LABELS = 5
"""Keys that a message names."""

_ID = "id"


class ChangeDetector:
    """Compares operations with the rows of their feed, so that only changes are sent.

    A few keys are looked up. For more the mirror of the feed is brought up to date, or the feed is read, whichever
    takes fewer GETs.

    Args:
        session: Reads the rows.
        comparison: Which rows to read.
        ledger: The mirror, and what was sent.
        guard: Knows which records of a rejects file were set aside by this ledger.
        clock: For the age of what was read.
        summary: Where writes without effect are counted.
        profile: What was learnt about the server.
        logger: For messages.
    """

    def __init__(
        self,
        session: JettiSession,
        comparison: Comparison,
        *,
        ledger: AccountLedger,
        guard: ReplayGuard,
        clock: Clock,
        summary: Summary,
        profile: ServerProfile,
        logger: logging.Logger,
    ) -> None:
        self._session = session
        self._summary = summary
        self._ledger = ledger
        self._guard = guard
        self._clock = clock
        self._profile = profile
        self._logger = logger
        self._comparison = comparison
        self._form = RowForm(comparison)
        self._facts: dict[int, FeedFacts] = {}
        self._id_facts = IdFacts(self._reader_of(None))

    @cached_property
    def _compared(self) -> FeedComparison:
        return FeedComparison(self._form, self._ledger.sent, is_known=self._guard.is_known, logger=self._logger)

    @cached_property
    def _mirror(self) -> tuple[Mirror, FileLock | None]:
        return self._ledger.open_mirror(self._form.fields)

    def covers(self, key: OperationKey) -> bool:
        """See `ChangeDetection.covers`."""
        return self._comparison.covers(key) or (key.field == _ID and key.resource == self._comparison.resource)

    def decide(self, operations: Sequence[WriteOperation], *, is_end: bool) -> Iterable[Verdict]:
        """See `ChangeDetection.decide`."""
        verdicts: list[Verdict] = [Verdict()] * len(operations)
        places: dict[int | None, list[int]] = {}
        for place, operation in enumerate(operations):
            places.setdefault(operation.key.parent_id, []).append(place)
        for feed, own in places.items():
            facts: RowFacts = self._id_facts if feed is None else self._facts_of(feed)
            found = self._compared.compare(
                [operations[place] for place in own], facts, now=self._ledger.now(), is_end=is_end
            )
            for place, verdict in zip(own, found, strict=True):
                verdicts[place] = verdict
        return verdicts

    def finish(self) -> None:
        """Judge what earlier runs sent and what did not come again, and say what was noticed."""
        if "_compared" not in self.__dict__:
            return  # nothing was compared
        for feed, facts in self._facts.items():
            self._compared.find_overdue(feed, facts, now=self._ledger.now())
        noticed = self._compared.noticed
        if noticed.without_effect:
            self._summary.note_without_effect(self._comparison.resource, noticed.without_effect)
        for field, number in sorted(noticed.normalised_fields.items()):
            self._logger.info(
                "Jetti keeps %d values of %s in another form than they were sent in; they count as unchanged.",
                number,
                field,
            )
        for field, number in sorted(noticed.other_fields.items()):
            self._logger.warning(
                "Jetti shows another %s than was sent to it, in %d rows. They are sent again, behind all others. Check"
                " what else changes this field, or leave it out.",
                field,
                number,
            )
        if noticed.ambiguous:
            self._logger.warning(
                "%d records have a key that several rows of their feed have, such as %s. They are always sent.",
                len(noticed.ambiguous),
                ", ".join(noticed.ambiguous[:MAX_LABELS]),
            )

    def close(self) -> None:
        """Close the files."""
        if "_compared" in self.__dict__:
            self._compared.close()
        if "_mirror" in self.__dict__:
            self._mirror[0].close()

    def _facts_of(self, feed: int) -> FeedFacts:
        if feed not in self._facts:
            self._facts[feed] = FeedFacts(
                feed,
                self._reader_of(feed),
                *self._mirror,
                make_temporary=lambda: self._ledger.open_temporary_mirror(self._form.fields),
                clock=self._clock,
                logger=self._logger,
            )
        return self._facts[feed]

    def _reader_of(self, feed: int | None) -> JettiFeedReader:
        return JettiFeedReader(
            self._session, self._form, feed, clock=self._clock, profile=self._profile, logger=self._logger
        )


class SendingOrder:
    """Compares nothing, and knows only when each key was sent last: for `max_updates` without a comparison.

    Args:
        resource: The resource whose updates are limited.
        ledger: What was sent.
    """

    def __init__(self, resource: str, ledger: AccountLedger) -> None:
        self._resource = resource
        self._ledger = ledger

    def covers(self, key: OperationKey) -> bool:
        """See `ChangeDetection.covers`."""
        return key.resource == self._resource

    def decide(self, operations: Sequence[WriteOperation], *, is_end: bool) -> Iterable[Verdict]:  # noqa: ARG002
        """See `ChangeDetection.decide`."""
        hashes = [hash_of(operation.key) for operation in operations]
        sent = self._ledger.sent.find(hashes)
        forgotten = self._ledger.now() - FORGET_DAYS * 86_400_000
        return [
            Verdict(last_sent=sent[h].at / 1000) if h in sent and sent[h].at >= forgotten else Verdict() for h in hashes
        ]

    def finish(self) -> None:
        """Do nothing: what is not compared cannot be judged."""

    def close(self) -> None:
        """Do nothing: the ledger is closed by whoever opened it."""
