"""The base of actions that set fields of rows: what Jetti shows of a row is read first, and only changes are sent."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from typing_extensions import override

from tap_jetti.errors import ClientError, ForbiddenError, NotFoundError
from tap_jetti.target.actions.action import LARGEST_BATCH, Action

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_jetti.target.delivery.operations import OperationKey, Record, Route, WriteOperation


class ComparedAction(Action):
    """Sets fields of rows, one call per row. The rows of a batch are read together, just before it is sent.

    A row that is not shown is sent: the response tells whether it exists. So is every row that this run has written
    already, since a list that is read right after a write may not contain it; and so are all where Jetti refuses to
    show the rows, as it does for a role without the permission.
    """

    @abstractmethod
    def shown(self, operations: Sequence[WriteOperation]) -> Mapping[OperationKey, Record]:
        """Read what Jetti shows of the rows of operations, by key; rows that are not found are left out.

        Raises:
            RequestError: A request failed.
        """

    @abstractmethod
    def changes(self, operation: WriteOperation, row: Record) -> Record:
        """Return the part of a payload that is to be sent, given its row as Jetti shows it; empty if it has it all."""

    @override
    def batch_limit(self, route: Route) -> int:
        return LARGEST_BATCH

    @override
    def calls(self, operations: Sequence[WriteOperation]) -> Iterator[Sequence[WriteOperation]]:
        return ((operation,) for operation in operations)

    @override
    def already_done(self, operations: Sequence[WriteOperation]) -> Sequence[WriteOperation]:
        compared = [operation for operation in operations if operation.key not in self._context.written]
        if not compared or not self._context.skip_unchanged:
            return ()
        try:
            shown = self.shown(compared)
        except (ClientError, ForbiddenError, NotFoundError) as error:
            self._context.profile.warn_once(
                self._context.logger,
                "%s: what Jetti shows cannot be read (%s), so that all records are sent, changed or not.",
                self.name,
                f"{error.status} on {error.method} {error.path}",
            )
            return ()
        done = []
        for operation in compared:
            row = shown.get(operation.key)
            changes = operation.payload if row is None else self.changes(operation, row)
            if changes:
                operation.payload = changes
            else:
                done.append(operation)
        return done
