"""Sends a batch, and finds the one record in it that Jetti refuses, so that its neighbours still go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.client.problems import JettiError, NotFoundError
from tap_jetti.delivery.failures import refusal_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_jetti.client.clock import Clock
    from tap_jetti.delivery.items import Batch, Item
    from tap_jetti.delivery.outcomes import Outcomes
    from tap_jetti.delivery.tally import Tally


class Courier:
    """Turns a batch into calls, and answers into outcomes.

    A refused call of several items is sent again in halves until the refused item is alone:
    2 log2 n calls for one poison record among n. Jetti applies none of a refused batch, and every
    batch call is an upsert, so nothing is done twice that matters.

    A 404 may be about an item or about the path, which no item would get through: the first and the
    last item tell, sent alone. If neither gets through, those between them are refused unsent.
    """

    def __init__(self, outcomes: Outcomes, tally: Tally, clock: Clock) -> None:
        self._outcomes = outcomes
        self._tally = tally
        self._clock = clock

    def deliver(self, batch: Batch) -> None:
        """Send a batch.

        Raises:
            JettiError: It was not about one record: nothing else will work either.
        """
        items = list(batch.items.values())
        action = items[0].action
        started = self._clock.monotonic()
        try:
            done = action.already_done(items)
            for item in done:
                self._outcomes.unchanged(item)
            for call in action.calls([item for item in items if item not in done] if done else items):
                self._send(call)
        finally:
            self._tally.add(action.name, seconds=self._clock.monotonic() - started)

    def _send(self, items: Sequence[Item], *, leads_somewhere: bool = False) -> bool:
        """Send items, in several calls if need be; answers whether the path leads somewhere."""
        try:
            items[0].action.send(items)
        except JettiError as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            is_missing = isinstance(error, NotFoundError) and not leads_somewhere
            if len(items) == 1:
                self._outcomes.refused(items[0], refusal)
                return not is_missing
            if is_missing:
                leads_somewhere = any([self._send(items[:1]), self._send(items[-1:])])
                items = items[1:-1]
                if not leads_somewhere:
                    for item in items:
                        self._outcomes.refused(item, refusal)
                    return False
            middle = len(items) // 2
            for half in filter(None, (items[:middle], items[middle:])):
                self._send(half, leads_somewhere=True)
        else:
            self._outcomes.sent(items)
        return True
