"""What becomes of a record: sent, confirmed, unchanged, left, or rejected; each one exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections import Counter
    from collections.abc import Iterable, Sequence

    from tap_jetti.delivery.checkpoints import Checkpoint, Checkpoints
    from tap_jetti.delivery.confirmation import Confirmation
    from tap_jetti.delivery.failures import RefusedError
    from tap_jetti.delivery.items import Item, Origin
    from tap_jetti.delivery.rejects import RejectsFile
    from tap_jetti.delivery.tally import Tally

_NAMED = 5


class Outcomes:
    """Settles records, so that STATE can follow. Threads may share it.

    Args:
        checkpoints: What waits for the records.
        tally: Where they are counted.
        rejects: Where rejected records go; None counts them only, as a dry run does.
        stops: Whether the first rejected record ends the run.
        logger: Where rejects are reported.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        tally: Tally,
        *,
        rejects: RejectsFile | None,
        stops: bool,
        logger: logging.Logger,
    ) -> None:
        self.confirmation: Confirmation | None = None
        self._checkpoints = checkpoints
        self._tally = tally
        self._rejects = rejects
        self._stops = stops
        self._logger = logger
        self._reported = 0

    def unchanged(self, item: Item) -> None:
        """Jetti has it already."""
        self._tally.add(item.action.name, unchanged=1)
        self._settle(item.origins)

    def sent(self, items: Sequence[Item]) -> None:
        """Jetti accepted it; where that says nothing, it is settled when it was read back."""
        self._tally.add(items[0].action.name, sent=len(items))
        if self.confirmation is not None:
            items = self.confirmation.hold(items)
        self._settle(origin for item in items for origin in item.origins)

    def placed(self, action: str, waiting: Counter[Checkpoint]) -> None:
        """It is in the feed file: so many records of each checkpoint."""
        self._tally.add(action, sent=waiting.total())
        self._checkpoints.settle(waiting.elements())

    def confirmed(self, item: Item) -> None:
        """It was read back as it was sent."""
        self._tally.add(item.action.name, confirmed=1)
        self._settle(item.origins)

    def refused(self, item: Item, refusal: RefusedError) -> None:
        """Jetti does not write it, see `rejected`."""
        self.rejected(item.origins, refusal, which=item.label)

    def left(self, item: Item) -> None:
        """It waits for the next run, and STATE with it."""
        self._tally.add(item.action.name, left=1)
        self._checkpoints.hold()

    def rejected(self, origins: Sequence[Origin], refusal: RefusedError, *, which: str) -> None:
        """It cannot be written.

        Args:
            origins: The records that it came from.
            refusal: Why.
            which: What tells it from others: a line, or its key.

        Raises:
            RefusedError: The run is to stop at the first rejected record.
        """
        action = origins[0].incoming.action.name
        self._tally.add(action, rejected=1)
        if self._stops:
            text = f"{action}: {which} cannot be written: {refusal}. Mend it, or let on_reject set such records aside."
            refusal.args = (text,)
            raise refusal
        self._reported += 1
        if self._reported <= _NAMED:
            self._logger.warning("%s: %s is rejected: %s", action, which, refusal)
        if self._rejects is None:
            return
        for origin in origins:
            self._rejects.add(origin.incoming, origin.record, refusal)
        self._settle(origins)

    def _settle(self, origins: Iterable[Origin]) -> None:
        self._checkpoints.settle([origin.checkpoint for origin in origins])
