"""What must hold whatever the server does.

- I1  No committed row up to the bookmark is missing from what was emitted, ever.
- I2  A read by id that ends well has every id that existed throughout it. A snapshot leaves whole or not at all.
- I3  Every run ends.
- I4  Once the server is quiet and honest, runs make the warehouse equal to it.
- I5  A run that says "proven" has every row up to its upper bound minus the lag.
- I6  Where no count was asked and the server does not cut, or cuts all pages at one size, the read is complete as well.

Beside these: requests never fill the bucket of the rate limit above its level, no run fails with a 429, prefetched rows
stay within their memory, no thread outlives a prefetcher, and its output is that of a serial read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_jetti.reading.resource_facts import BOOKMARK_KEY, ResourceFacts

if TYPE_CHECKING:
    from jetti_model import JettiModel, Version


class Violation(AssertionError):  # noqa: N818 - it is what a schedule shows, not an error of a program
    """An invariant is broken."""


class Killed(Exception):  # noqa: N818 - the same
    """The process ended here."""


@dataclass
class Warehouse:
    """What was loaded of one stream, and the states that its runs printed.

    Attributes:
        loaded: The versions of each row that were loaded: when it was changed as shown, and the write.
        latest: The write that was loaded last, of each row.
        bookmark: The bookmark of the stream in the state that the next run begins with.
        printed: All bookmarks that were printed.
    """

    resource: str = "sales"
    loaded: dict[int, set[tuple[str, int]]] = field(default_factory=dict)
    latest: dict[int, int] = field(default_factory=dict)
    bookmark: dict[str, Any] = field(default_factory=dict)
    printed: list[dict[str, Any]] = field(default_factory=lambda: [{}])

    @property
    def position(self) -> str | None:
        """Where the next run begins."""
        position: str | None = self.bookmark.get("replication_key_value")
        return position

    def load(self, row: dict[str, Any]) -> None:
        """Load a row: the last one loaded is what the warehouse shows."""
        self.loaded.setdefault(row["id"], set()).add((row["updatedAt"], row["write"]))
        self.latest[row["id"]] = row["write"]

    def print_state(self, position: str | None, facts: dict[str, Any] | None = None) -> None:
        """Write a STATE message."""
        state = dict(self.bookmark)
        if position is not None:
            state["replication_key_value"] = position
        if facts is not None:
            state[BOOKMARK_KEY] = facts
        self.bookmark = state
        self.printed.append(state)

    def has(self, row_id: int, version: Version) -> bool:
        """Whether a version of a row was loaded."""
        return (version.shown, version.write) in self.loaded.get(row_id, ())

    def check_nothing_lost(self, model: JettiModel) -> None:
        """I1, also for the rows that the state says were given at the bookmark.

        Raises:
            Violation: A row is lost.
        """
        position = self.position
        if position is None:
            return
        known = ResourceFacts.from_bookmark(self.resource, self.bookmark).ids_given_at(position) or ()
        for row_id, version in model.rows.items():
            is_covered = version.shown < position or (version.shown == position and row_id in known)
            if is_covered and not self.has(row_id, version):
                raise Violation(f"I1: row {row_id} of {version.shown} is not there, and the bookmark is {position}")

    def missing(self, model: JettiModel, before: dict[int, Version], *, upto: str, start: str = "") -> list[int]:
        """Rows that were there before a read, in its range, have not changed since, and were not loaded."""
        return [
            row_id
            for row_id, version in before.items()
            if start <= version.shown < upto and model.rows.get(row_id) == version and not self.has(row_id, version)
        ]

    def check_equal(self, model: JettiModel) -> None:
        """I4.

        Raises:
            Violation: A row is not there, or not as it is in Jetti.
        """
        wrong = [row_id for row_id, version in model.rows.items() if not self.has(row_id, version)]
        if wrong:
            raise Violation(f"I4: rows {wrong[:5]} never came")
        stale = [row_id for row_id, version in model.rows.items() if self.latest[row_id] != version.write]
        if stale:
            raise Violation(f"I4: rows {stale[:5]} are not as they are in Jetti")
