"""What is decided of each record as it comes: refused, unchanged, over the budget, or on its way."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tap_jetti.delivery.budget import Arrival, Ranking
from tap_jetti.delivery.failures import MissingKeyError, RefusedError
from tap_jetti.delivery.items import Item, Origin

if TYPE_CHECKING:
    from typing import Protocol

    from tap_jetti.delivery.checkpoints import Checkpoints
    from tap_jetti.delivery.current_rows import CurrentRows
    from tap_jetti.delivery.items import Incoming
    from tap_jetti.delivery.outcomes import Outcomes

    class Destination(Protocol):
        """Where items go."""

        def add(self, item: Item) -> bool:
            """Take an item; answers False if it was merged with one that waits."""

        def finish(self) -> None:
            """Return when all is done."""


COMPARED = "inventory_feed_variants"
"""The action whose records are compared with what Jetti has, and counted against the day's limit."""


_NONE = Decimal(0)


@dataclass(frozen=True)
class Policy:
    """What the settings say of which records are sent.

    Attributes:
        most: Updates of feed variants to send at most; None is any number.
        largest_first: Whether those of the largest change in inventory go, at the end of the
            input, instead of the first ones to come.
        dry_run: Whether nothing is sent at all.
    """

    most: int | None = None
    largest_first: bool = False
    dry_run: bool = False


class Intake:
    """Turns records into items. Used by the thread of the input alone.

    Args:
        destination: Where items go.
        outcomes: Where records go that are not sent.
        checkpoints: What waits for each record.
        current: What Jetti has; None sends everything.
        policy: What the settings say.
    """

    def __init__(
        self,
        destination: Destination,
        outcomes: Outcomes,
        checkpoints: Checkpoints,
        *,
        current: CurrentRows | None,
        policy: Policy,
    ) -> None:
        self._destination = destination
        self._outcomes = outcomes
        self._checkpoints = checkpoints
        self._current = current
        self._dry_run = policy.dry_run
        self._arrival = Arrival(policy.most)
        self._ranking = None
        if policy.largest_first and policy.most is not None:
            self._ranking = Ranking(policy.most, outcomes.left)
        self._announced: set[str] = set()
        self.is_announced = False
        """Whether any stream was."""

    def announce(self, incoming: Incoming) -> None:
        """Take note of a stream: the fields it announces are what its feed is compared by."""
        self._announced |= incoming.fields
        self.is_announced = True

    def take(self, incoming: Incoming, record: dict[str, Any], raw: dict[str, Any], *, line: int, size: int) -> None:
        """Take a record in.

        Args:
            incoming: Its stream.
            record: What the stream maps made of it.
            raw: As it came.
            line: The number of its line.
            size: The length of its line.

        Raises:
            RefusedError: It is rejected, and the run is to stop at a reject.
            JettiError: Something had to be asked of Jetti and could not, or the delivery failed.
        """
        incoming.figures.received += 1
        origin = Origin(incoming, raw, self._checkpoints.receive())
        try:
            for key in incoming.keys:
                if key not in record:
                    raise MissingKeyError(f"{key}.missing", f"the key property {key} is missing")
            drafts = incoming.action.drafts(record)
        except RefusedError as refusal:
            self._outcomes.rejected([origin], refusal, which=f"the record on line {line}")
            return
        for number, draft in enumerate(drafts):
            if number:  # a record that is several items is settled by each of them
                origin = Origin(incoming, raw, self._checkpoints.receive())
            if draft.part and all(raw.get(name) == record.get(name) for name in draft.part):
                origin.record = {**raw, **draft.part}  # so that feeding it back in repeats no other of them
            self._decide(Item(incoming.action, draft.lane, draft.key, draft.payload, size, [origin]))

    def refuse(self, incoming: Incoming, raw: dict[str, Any], refusal: RefusedError, *, line: int) -> None:
        """Take a record in that stream maps made nothing of.

        Raises:
            RefusedError: The run is to stop at a reject.
        """
        incoming.figures.received += 1
        origin = Origin(incoming, raw, self._checkpoints.receive())
        self._outcomes.rejected([origin], refusal, which=f"the record on line {line}")

    def finish(self) -> None:
        """Send what was held back, and return when all is done.

        Raises:
            JettiError: The delivery failed.
        """
        if self._ranking is not None:
            for item in self._ranking.release():
                self._send(item)
        self._destination.finish()

    def _decide(self, item: Item) -> None:
        figures = item.origins[0].incoming.figures
        if item.action.name != COMPARED:
            figures.changed += 1
            if self._current is not None and item.key[0] == COMPARED:  # it removes what is compared with
                self._current.forget(int(str(item.key[1])), str(item.key[2]))
            self._send(item)
            return
        is_new, change = False, _NONE
        if self._current is not None and item.lane[2] is not None:
            feed, external_id = int(str(item.lane[2])), str(item.key[-1])
            found = self._current.difference(feed, external_id, item.payload, self._announced)
            if not found.is_changed:
                self._outcomes.unchanged(item)
                return
            is_new, change = found.is_new, found.quantity
        if is_new:
            figures.added += 1
        else:
            figures.changed += 1
        if self._ranking is not None:
            if self._ranking.take(item, change):
                figures.merged += 1
        elif self._arrival.take(item, change) is None:
            self._outcomes.left(item)
        else:
            self._send(item)

    def _send(self, item: Item) -> None:
        if not self._dry_run and not self._destination.add(item):
            item.origins[0].incoming.figures.merged += 1
            self._arrival.give_back()
