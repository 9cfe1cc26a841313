"""What is counted of one action, and what can become of a record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Outcome(Enum):
    """What became of a record. Of a record with several parts, the last of these that a part has."""

    IGNORED = "ignored"
    """Its row was deleted in the source, and the setting ``deleted_rows`` says to ignore it."""

    UNCHANGED = "unchanged"
    """It was not sent, since Jetti has the same values, or has just accepted them."""

    MERGED = "merged"
    """A later record of its key took its place before it was sent."""

    CONFIRMED = "confirmed"
    """It was read back as it was sent."""

    ACCEPTED = "accepted"
    """Jetti accepted it, or it is in the feed file."""

    LEFT = "left"
    """It is left for the next run by ``max_updates``."""

    REJECTED = "rejected"
    """It cannot be written."""


_RANK = {outcome: rank for rank, outcome in enumerate(Outcome)}


def worst(outcomes: Sequence[Outcome | None]) -> Outcome | None:
    """Return the outcome of a record whose parts have these; None as long as a part has none."""
    known = [outcome for outcome in outcomes if outcome is not None]
    return max(known, key=_RANK.__getitem__) if len(known) == len(outcomes) else None


@dataclass
class Figures:
    """The figures of one action. Every record has one outcome: see `Outcome`.

    Attributes:
        received: Records received.
        ignored: See `Outcome`.
        unchanged: See `Outcome`.
        merged: See `Outcome`.
        accepted: See `Outcome`. Records that were confirmed are not counted here.
        confirmed: See `Outcome`.
        rejected: See `Outcome`.
        left: See `Outcome`.
        added: Of the operations to send, those whose row Jetti does not have, as far as rows are compared.
        changed: Of the operations to send, those that differ from Jetti's row or are not compared.
        under_way: Of the unchanged records, those that Jetti accepted a few minutes ago and does not show yet.
        without_effect: Writes of earlier runs of which Jetti shows no effect.
        calls: Calls made, without retries.
        seconds: Time spent in those calls, added up over all threads.
    """

    received: int = 0
    ignored: int = 0
    unchanged: int = 0
    merged: int = 0
    accepted: int = 0
    confirmed: int = 0
    rejected: int = 0
    left: int = 0
    added: int = 0
    changed: int = 0
    under_way: int = 0
    without_effect: int = 0
    calls: int = 0
    seconds: float = 0.0

    @property
    def sent(self) -> int:
        """Records that were sent, whether they were confirmed or not."""
        return self.accepted + self.confirmed

    @property
    def open(self) -> int:
        """Records without an outcome: none if the run was complete."""
        settled: int = sum(getattr(self, outcome.value) for outcome in Outcome)
        return self.received - settled
