"""What is written to Jetti: operations, their keys, routes and batches, and what the engine asks of an action."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tap_jetti.target.columns import Columns
    from tap_jetti.target.delivery.checkpoints import Checkpoint
    from tap_jetti.target.delivery.figures import Figures, Outcome

Record = dict[str, Any]

LABEL_LENGTH = 80
"""Characters of each part of a key that a message shows."""


class Route(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """Which call an operation goes in. Only operations with equal routes can share a call.

    Attributes:
        action: The name of the action.
        kind: Which of the action's calls, such as ``inbound`` or ``api``.
        parent_id: The feed or channel that the call is for; None if its hash says it, or if there is none.
        row_id: The row that the call is for, where it can be for one row only.
    """

    action: str
    kind: str
    parent_id: int | None = None
    row_id: int | None = None


class OperationKey(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """What an operation writes to. Operations with equal keys are sent in the order of arrival.

    Actions that write to the same rows use equal keys, so that their order holds among each other, too.

    Attributes:
        resource: The resource of the row.
        parent_id: The feed, channel or row that it belongs to; None if there is none, or if it is not known.
        field: The name of the field that identifies it within its parent.
        value: The value of that field.
    """

    resource: str
    parent_id: int | None
    field: str
    value: Hashable


@dataclass(frozen=True)
class Comparison:
    """How the rows that an action writes are read, so that only changes are sent.

    Attributes:
        resource: The resource of the rows.
        parent_field: The field that holds the `OperationKey.parent_id`: rows are read per parent.
        key_field: The field that holds the `OperationKey.value`.
        quantity_field: The field whose change says how urgent an update is.
    """

    resource: str
    parent_field: str
    key_field: str
    quantity_field: str

    def covers(self, key: OperationKey) -> bool:
        """Whether the key identifies one of these rows."""
        return key.field == self.key_field and key.resource == self.resource and key.parent_id is not None


class Visibility(Hashable, Protocol):
    """Checks whether writes are visible in Jetti. Writes with equal objects of this kind are checked together."""

    def key_of(self, operation: WriteOperation) -> Hashable:
        """Return what the check tells operations apart by; a later operation overwrites earlier ones of its key."""
        ...

    def visible(self, expected: Mapping[Hashable, Record]) -> Iterable[Hashable]:
        """Return the keys whose writes are visible now.

        Args:
            expected: What was sent, by key, in the order of sending.

        Raises:
            RequestError: A request failed.
        """
        ...


class WriteAction(Protocol):
    """What the engine needs of an action. `tap_jetti.target.actions.action.Action` is the base that implements it."""

    @property
    def name(self) -> str:
        """Its name in the setting ``stream_actions`` and in the summary."""
        ...

    @property
    def resource(self) -> str:
        """The resource that it writes; empty if that depends on the record."""
        ...

    def resource_of(self, record: Mapping[str, Any]) -> str:
        """Return the resource that a record writes, whose secret fields are withheld from the rejects file."""
        ...

    @property
    def key_fields(self) -> Sequence[str]:
        """The fields of a record that identify it in a message."""
        ...

    @property
    def is_limited(self) -> bool:
        """Whether the setting ``max_updates`` limits its operations."""
        ...

    @property
    def comparison(self) -> Comparison | None:
        """How its rows are read for comparison; None sends every record."""
        ...

    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        """Return what a record asks to be written.

        Raises:
            RecordError: The record cannot be written.
            RequestError: Something had to be looked up, and the request failed.
        """
        ...

    def operations_for_deleted(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        """Return what is written if the row of a record was deleted in the source; nothing to ignore it.

        Raises:
            RecordError: Such records are rejected, or this one cannot be written.
            RequestError: Something had to be looked up, and the request failed.
        """
        ...

    def key_of(self, record: Mapping[str, Any]) -> OperationKey | None:
        """Return what a record is about that cannot be written; None if that is not known.

        Raises:
            RecordError: Its key is invalid.
        """
        ...

    def batch_limit(self, route: Route) -> int:
        """Return the largest number of operations in a batch of a route."""
        ...

    def can_merge(self, earlier: WriteOperation, later: WriteOperation) -> bool:
        """Whether a later operation of this action makes an earlier one of its key, of any action, unnecessary."""
        ...

    def merged(self, earlier: Record, later: Record) -> Record:
        """Return the payload of two operations of this action that `can_merge`."""
        ...

    @property
    def group_seconds(self) -> float:
        """How long an operation waits for others of its key, which are united with it; 0 if it does not."""
        ...

    def is_queued(self, route: Route) -> bool:
        """Whether Jetti accepts the calls of a route before it processes them, perhaps in another order."""
        ...

    def already_done(self, operations: Sequence[WriteOperation]) -> Sequence[WriteOperation]:
        """Return the operations of a batch that Jetti has already and that must not be sent.

        Of the others, the payload may be reduced to what Jetti does not have.

        Raises:
            RequestError: A request failed.
        """
        ...

    def calls(self, operations: Sequence[WriteOperation]) -> Iterator[Sequence[WriteOperation]]:
        """Split a batch into the operations of each call."""
        ...

    def send(self, operations: Sequence[WriteOperation]) -> None:
        """Make one call.

        Raises:
            RecordError: The only operation cannot be written.
            RequestError: The call failed.
        """
        ...

    def visibility(self, operation: WriteOperation) -> Visibility | None:
        """Return how to check that a sent operation took effect; None if the response says so, or nothing does."""
        ...


@dataclass(eq=False)
class InputStream:
    """A stream of the input, as its last SCHEMA describes it.

    Attributes:
        name: Its name in the input.
        schema: The SCHEMA message as it was received.
        keys: The key properties that each record must have.
        action: The action that writes its records.
        figures: The action's figures. Only the input thread changes received, added, changed and merged.
        columns: Which fields its columns mean.
        fields: The fields that its SCHEMA lists.
    """

    name: str
    schema: Record
    keys: Sequence[str]
    action: WriteAction
    figures: Figures
    columns: Columns
    fields: frozenset[str] = frozenset()


class Replay(msgspec.Struct, frozen=True, gc=False):
    """What a record of a rejects file says about its rejection, when it comes again.

    Attributes:
        title: The title of the error.
        time: When it was rejected, as an instant; empty if that is not known.
        order: Its place in the order of arrival of all records of its ledger; None if it has none.
        ledger: The id of that ledger.
        withheld: The fields whose values the file does not hold.
    """

    title: str = ""
    time: str = ""
    order: int | None = None
    ledger: str = ""
    withheld: tuple[str, ...] = ()

    @classmethod
    def of(cls, rejection: object) -> Replay | None:
        """Return what a message has beside its record; None if that is not a rejection."""
        if not isinstance(rejection, dict):
            return None
        names = ("title", "time", "order", "ledger", "withheld")
        title, time, order, ledger, withheld = map(rejection.get, names)
        return cls(
            title if isinstance(title, str) else "",
            time if isinstance(time, str) else "",
            order if type(order) is int else None,
            ledger if isinstance(ledger, str) else "",
            tuple(map(str, withheld)) if isinstance(withheld, list) else (),
        )


class Origin(msgspec.Struct, eq=False, gc=False):
    """A record as it was received, or a part of it if it asks for several operations.

    Attributes:
        input_stream: Its stream.
        record: The record, for the rejects file.
        checkpoint: The checkpoint that waits for it.
        number: The number of the record in the order of arrival, starting with 1.
        parts: All parts of the record; None if it asks for one operation.
        outcome: What became of it; None if that is not known yet.
        replay: What it says about its rejection, if it comes from a rejects file.
    """

    input_stream: InputStream
    record: Record
    checkpoint: Checkpoint
    number: int = 0
    parts: list[Origin] | None = None
    outcome: Outcome | None = None
    replay: Replay | None = None


class WriteOperation(msgspec.Struct, eq=False, gc=False):
    """One thing to write.

    Attributes:
        action: The action that writes it.
        route: Which call it goes in.
        key: What it writes to.
        payload: Its part of the body of the call.
        part: The fields of the record that ask for this operation alone, if the record asks for several.
        size: Its approximate size in bytes.
        origins: The records that it comes from; several if records of one key were merged.
        is_under_way: Whether it is not sent, since an earlier run has sent the same a few minutes ago.
    """

    action: WriteAction
    route: Route
    key: OperationKey
    payload: Record
    part: Record | None = None
    size: int = 0
    origins: list[Origin] = msgspec.field(default_factory=list)
    is_under_way: bool = False

    @property
    def label(self) -> str:
        """A short text that identifies it in a message."""
        key = self.key
        resource = (key.resource,) if key.resource != self.action.resource else ()
        parent = (key.parent_id,) if key.parent_id is not None else ()
        parts = map(str, (*resource, *parent, key.field, key.value))
        return " ".join(part if len(part) <= LABEL_LENGTH else f"{part[:LABEL_LENGTH]}…" for part in parts)

    @property
    def number(self) -> int:
        """The number of the first record that it comes from."""
        return self.origins[0].number if self.origins else 0

    def merge(self, later: WriteOperation) -> None:
        """Become one with a later operation of the same key: its values win.

        Args:
            later: An operation whose action `can_merge` it with this one.
        """
        is_same = self.action is later.action
        self.payload = later.action.merged(self.payload, later.payload) if is_same else later.payload
        self.action, self.route, self.part = later.action, later.route, later.part
        self.size = max(self.size, later.size)
        self.origins += later.origins


@dataclass(eq=False)
class Batch:
    """Operations of one route that are sent together.

    Attributes:
        route: The route of all of them.
        opened: The monotonic clock, in seconds, when the first operation was added.
        limit: The number of operations at which it is full.
        operations: By key.
        size: Their approximate size in bytes.
        is_open: Whether operations can be added.
        blockers: Earlier, unfinished batches that have a key in common with this one.
        followers: Later batches that wait for this one.
    """

    route: Route
    opened: float
    limit: int
    operations: dict[OperationKey, WriteOperation] = field(default_factory=dict)
    size: int = 0
    is_open: bool = True
    blockers: set[Batch] = field(default_factory=set)
    followers: list[Batch] = field(default_factory=list)

    def merge(self, operation: WriteOperation) -> bool:
        """Merge an operation into the one with its key that waits in this batch, if both can go in one call.

        Returns:
            Whether it was merged.
        """
        waiting = self.operations[operation.key]
        if (
            operation.route != self.route
            or waiting.action is not operation.action
            or not operation.action.can_merge(waiting, operation)
        ):
            return False
        waiting.merge(operation)
        self.size += operation.size
        return True
