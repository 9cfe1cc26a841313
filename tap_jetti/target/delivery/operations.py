"""What travels: an incoming stream, a record's way to Jetti as an item, and batches of items."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_jetti.target.actions.action import Action
    from tap_jetti.target.delivery.checkpoints import Checkpoint
    from tap_jetti.target.delivery.summary import Figures

Record = dict[str, Any]
Key = tuple[Hashable, ...]
Route = tuple[Hashable, ...]

SHOWN = 80
"""Characters that a message shows of each part of a key."""


@dataclass(eq=False)
class InputStream:
    """A stream of the input, as its last SCHEMA describes it.

    Attributes:
        stream: The name it has in the input.
        schema: The SCHEMA message, as it came.
        keys: The key properties that each record must have.
        action: What its records are written with.
        figures: Those of the action; received, added, changed, merged and left are the input's alone.
        fields: The fields that its SCHEMA announces.
    """

    stream: str
    schema: Record
    keys: Sequence[str]
    action: Action
    figures: Figures
    fields: frozenset[str] = frozenset()


class Origin(msgspec.Struct, eq=False, gc=False):
    """A record as it came, for the rejects file, and the checkpoint that waits for it."""

    input_stream: InputStream
    record: Record
    checkpoint: Checkpoint


class WriteOperation(msgspec.Struct, eq=False, gc=False):
    """One thing to write.

    Attributes:
        action: What writes it.
        route: Items of one lane can go in one call: same action, feed or channel, and way.
        key: What it writes to; items of one key are sent in the order they came.
        payload: What is sent of it.
        size: Roughly its bytes.
        origins: The records it came from, several if later ones of the key replaced earlier.
    """

    action: Action
    route: Route
    key: Key
    payload: Record
    size: int
    origins: list[Origin]

    @property
    def label(self) -> str:
        """What tells it from others, for people, who need not read all of it."""
        return " ".join(part if len(part) <= SHOWN else f"{part[:SHOWN]}…" for part in map(str, self.key[1:]))

    def absorb(self, later: WriteOperation) -> None:
        """Let a later item of the same key win."""
        self.payload = {**self.payload, **later.payload} if self.action.is_partial else later.payload
        self.size = max(self.size, later.size)
        self.origins += later.origins


@dataclass(eq=False)
class Batch:
    """Items of one lane that are handed over together.

    Attributes:
        limit: Items at which it is full.
        operations: By key.
        size: Roughly their bytes.
        is_open: Whether items can be added.
        blockers: Earlier batches with a key in common that are not done.
        followers: Later ones that wait for this one.
        opened: The monotonic clock, in seconds, when the first item came.
    """

    route: Route
    opened: float
    limit: int
    operations: dict[Key, WriteOperation] = field(default_factory=dict)
    size: int = 0
    is_open: bool = True
    blockers: set[Batch] = field(default_factory=set)
    followers: list[Batch] = field(default_factory=list)

    def absorb(self, operation: WriteOperation) -> bool:
        """Let an item replace the one of its key that waits here, unless it has to be another call's.

        Returns:
            Whether it did.
        """
        waiting = self.operations[operation.key]
        if (
            operation.route != self.route
            or waiting.action is not operation.action
            or not operation.action.replaces(waiting, operation)
        ):
            return False
        waiting.absorb(operation)
        self.size += operation.size
        return True
