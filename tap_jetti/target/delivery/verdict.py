"""What the comparison with Jetti's rows says about an operation, and what does the comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

    from tap_jetti.target.delivery.operations import OperationKey, WriteOperation


@dataclass(frozen=True)
class Verdict:
    """What the comparison with Jetti's row says about an operation.

    Attributes:
        is_unchanged: Whether Jetti has all of its values, so that nothing is sent.
        is_under_way: Whether Jetti accepted the very same values a few minutes ago and does not show them yet.
        is_outdated: Whether it comes from a rejects file, and its row was changed after it was rejected.
        is_new: Whether Jetti has no such row.
        change: The absolute change of the quantity; None if it is not known or not written.
        last_sent: When this machine sent the key last, in seconds since the epoch; None if it never did.
        had_no_effect: Whether Jetti did not take over what was sent then.
    """

    is_unchanged: bool = False
    is_under_way: bool = False
    is_outdated: bool = False
    is_new: bool = False
    change: Decimal | None = None
    last_sent: float | None = None
    had_no_effect: bool = False

    @property
    def is_needless(self) -> bool:
        """Whether nothing is to be sent."""
        return self.is_unchanged or self.is_under_way


NOT_COMPARED = Verdict()
"""The verdict on an operation that is not compared: it is sent."""


class ChangeDetection(Protocol):
    """Compares operations with Jetti's rows. Calls never overlap, but may come from different threads."""

    def covers(self, key: OperationKey) -> bool:
        """Whether the rows of this key are compared."""
        ...

    def decide(self, operations: Sequence[WriteOperation], *, is_end: bool) -> Iterable[Verdict]:
        """Compare operations whose keys are covered; those of one key are in order.

        An operation whose action has no `comparison` is always sent: what it does to the row is not known, so every
        later operation of that row is sent, too.

        Args:
            operations: The operations, few enough for the memory.
            is_end: Whether the input has ended, so that these are the last.

        Returns:
            A verdict on each.

        Raises:
            RequestError: A request failed.
        """
        ...
