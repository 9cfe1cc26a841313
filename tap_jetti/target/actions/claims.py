"""Claims of the operations of one action that must happen only once, a batch at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.target.actions.write_once import OnceWrite
from tap_jetti.target.delivery.ledger.once import UNCERTAIN, Claim, Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from tap_jetti.target.actions.context import ActionContext
    from tap_jetti.target.delivery.operations import OperationKey, WriteOperation


class Claims:
    """The claims of one action whose operations have items in ``ids``, none for all there are.

    Args:
        action: The name of the action.
        context: What the actions of a run share.
    """

    def __init__(self, action: str, context: ActionContext) -> None:
        self._action = action
        self._marks = context.once
        self._clock = context.clock
        self._claimed: dict[OperationKey, OnceWrite] = {}

    def claim(self, operations: Sequence[WriteOperation]) -> None:
        """Claim the operations of a batch, before it is looked up what of them is done."""
        wanted = {self._identity(one): frozenset[int](one.payload["ids"]) for one in operations}
        released = {self._identity(one) for one in operations if is_released(one)}
        found = self._marks.claim(dict(wanted), released=released)
        for operation in operations:
            identity = self._identity(operation)
            self._claimed[operation.key] = OnceWrite(
                self._marks, identity, wanted[identity], found[identity], self._clock
            )

    def settle(
        self, operations: Sequence[WriteOperation], left: Collection[WriteOperation]
    ) -> Sequence[WriteOperation]:
        """Take note of what is done.

        Args:
            operations: The operations that were claimed.
            left: Those of which Jetti shows that something is left.

        Returns:
            Those that must not be sent.
        """
        done = []
        for operation in operations:
            claim = self._claimed[operation.key].claim
            if operation not in left or claim is Claim.DONE:
                done.append(operation)
                del self._claimed[operation.key]
            if operation not in left and claim is Claim.OWN:
                self._marks.done(self._identity(operation))
        return done

    def calls(self, operations: Sequence[WriteOperation]) -> Iterator[Sequence[WriteOperation]]:
        """Return the calls, those last that another process is about to make: it may wait for this one."""
        yield from ([one] for one in operations if not self._is_busy(one))
        yield from ([one] for one in operations if self._is_busy(one))

    def make(
        self, operation: WriteOperation, write: Callable[[Callable[[], None]], object], is_done: Callable[[], bool]
    ) -> None:
        """Make a claimed write, see `OnceWrite.make`.

        Args:
            operation: What is written.
            write: Makes the write.
            is_done: Looks again whether it is done.
        """
        self._claimed.pop(operation.key).make(write, lambda: operation if is_done() else None)
        self._marks.done(self._identity(operation))

    def _is_busy(self, operation: WriteOperation) -> bool:
        claimed = self._claimed.get(operation.key)
        return claimed is not None and claimed.claim is Claim.BUSY

    def _identity(self, operation: WriteOperation) -> Identity:
        key = operation.key
        return Identity(self._action, f"{key.resource} {key.parent_id or ''} {key.value}")


def is_released(operation: WriteOperation) -> bool:
    """Whether a person has sent an operation again that was rejected because nobody knew whether it was made."""
    return any(one.replay is not None and one.replay.title == UNCERTAIN for one in operation.origins)
