"""What travels: an incoming stream, a record's way to Jetti as an item, and batches of items."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_jetti.delivery.checkpoints import Checkpoint
    from tap_jetti.delivery.tally import Figures
    from tap_jetti.sinks.action import Action

Record = dict[str, Any]
Key = tuple[Hashable, ...]
Lane = tuple[Hashable, ...]


@dataclass(eq=False)
class Incoming:
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


@dataclass(eq=False, slots=True)
class Origin:
    """A record as it came, for the rejects file, and the checkpoint that waits for it."""

    incoming: Incoming
    record: Record
    checkpoint: Checkpoint


@dataclass(eq=False, slots=True)
class Item:
    """One thing to write.

    Attributes:
        action: What writes it.
        lane: Items of one lane can go in one call: same action, feed or channel, and way.
        key: What it writes to; items of one key are sent in the order they came.
        payload: What is sent of it.
        size: Roughly its bytes.
        origins: The records it came from, several if later ones of the key replaced earlier.
    """

    action: Action
    lane: Lane
    key: Key
    payload: Record
    size: int
    origins: list[Origin]

    def absorb(self, later: Item) -> None:
        """Let a later item of the same key win."""
        self.payload = {**self.payload, **later.payload} if self.action.is_partial else later.payload
        self.size = max(self.size, later.size)
        self.origins += later.origins


@dataclass(eq=False)
class Batch:
    """Items of one lane that are handed over together.

    Attributes:
        items: By key.
        size: Roughly their bytes.
        blockers: Earlier batches with a key in common that are not done.
        followers: Later ones that wait for this one.
        opened: The monotonic clock, in seconds, when the first item came.
    """

    lane: Lane
    opened: float
    items: dict[Key, Item] = field(default_factory=dict)
    size: int = 0
    blockers: int = 0
    followers: list[Batch] = field(default_factory=list)
