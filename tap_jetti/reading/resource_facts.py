"""What was learnt of one resource, kept in its bookmark from run to run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tap_jetti.facts.timestamps import later, normalise

BOOKMARK_KEY = "server_profile"
"""Where the facts stand in a stream's bookmark, beside ``replication_key_value``."""

MOST_IDS = 200
"""Ids of the newest instant that a bookmark keeps at most."""

CUT_DAYS = 7
"""Days after a cut page in which each read must end by a count."""

PROOF_DAYS = (5, 7)
"""Days after a count in which reads may end without one. Spread over the streams, so that their counts are, too."""

_DAY = 24 * 60 * 60 * 1000


@dataclass
class ResourceFacts:
    """What the pages of a resource have shown of the server.

    Attributes:
        resource: The resource in snake_case.
        largest: Rows of the largest page it ever gave.
        is_capped: Whether pages of that size were cut though more rows were asked for and there.
        proven_at: When a count last proved an end, as an instant; None: never.
        is_counted: Whether it was a count that proved it; otherwise the resource cannot be counted.
        cut_at: When a page smaller than the largest was last cut; None: never.
        last_instant: The instant of the bookmark that `last_ids` belong to; None: not known.
        last_ids: The ids of all rows of that instant that were given.
    """

    resource: str
    largest: int = 0
    is_capped: bool = False
    proven_at: str | None = None
    is_counted: bool = True
    cut_at: str | None = None
    last_instant: str | None = None
    last_ids: frozenset[int] = frozenset()

    @classmethod
    def from_bookmark(cls, resource: str, bookmark: Mapping[str, Any]) -> ResourceFacts:
        """The facts that a bookmark holds. What cannot be used is not known, which costs requests, never rows."""
        stored = bookmark.get(BOOKMARK_KEY)
        if not isinstance(stored, Mapping):
            return cls(resource)
        largest, ids = stored.get("largest_page"), stored.get("last_ids")
        last_ids = ids if isinstance(ids, list) and all(type(one) is int for one in ids) else None
        return cls(
            resource,
            largest=largest if type(largest) is int and largest > 0 else 0,
            is_capped=stored.get("is_capped") is True,
            proven_at=_instant(stored.get("proven_at")),
            is_counted=stored.get("is_counted") is not False,
            cut_at=_instant(stored.get("cut_at")),
            last_instant=None if last_ids is None else _instant(stored.get("last_instant")),
            last_ids=frozenset(last_ids or ()),
        )

    def to_bookmark(self, *, is_all_written: bool = True) -> dict[str, Any]:
        """The facts for a bookmark. Every key is there, for what merges states never takes one away.

        Args:
            is_all_written: Whether all rows that were read were written, too. A reader can be far ahead of what is
                written. Otherwise the ids are left out: the next run would not give their rows.
        """
        instant, ids = (self.last_instant, self.last_ids) if is_all_written else (None, frozenset())
        return {
            "largest_page": self.largest,
            "is_capped": self.is_capped,
            "proven_at": self.proven_at,
            "is_counted": self.is_counted,
            "cut_at": self.cut_at,
            "last_instant": instant,
            "last_ids": sorted(ids),
        }

    def note_page(self, rows: int) -> None:
        """Take note that a page had so many rows."""
        self.largest = max(self.largest, rows)

    def is_full(self, rows: int, limit: int) -> bool:
        """Whether a page of so many rows is as large as the server makes them."""
        return rows >= limit or (self.is_capped and rows >= max(self.largest, 2))

    def is_trusted_size(self, rows: int) -> bool:
        """Whether a short page of so many rows is smaller than what this resource is known to give at once."""
        return rows < self.largest or rows <= 1

    def must_count(self, now: str) -> bool:
        """Whether a read that begins now must end by a count: none is young enough, or a page was cut lately."""
        least, most = PROOF_DAYS
        spread = int.from_bytes(hashlib.sha256(self.resource.encode()).digest()[:4], "big") / 2**32
        proof_days = least + (most - least) * spread
        is_proven = _is_within(self.proven_at, proof_days, now) and (self.proven_at or "") <= now
        return not is_proven or _is_within(self.cut_at, CUT_DAYS, now)

    def note_cut(self, rows: int, now: str) -> None:
        """Learn from a short page of so many rows behind which settled rows came.

        One of the largest size shows that pages are capped at it. A smaller one shows that pages are cut for another
        reason; the second such page within a week shows that a cap is smaller now, and the sizes are learnt anew.
        """
        if rows >= self.largest:
            self.is_capped = True
            return
        if _is_within(self.cut_at, CUT_DAYS, now):
            self.largest, self.is_capped = 0, False
        self.cut_at = now

    def ids_given_at(self, instant: str) -> frozenset[int] | None:
        """The ids of all rows of a bookmark's instant that were given; None: not known.

        A settled instant gains no row: one that is not among them was there before, on a page that was cut.
        """
        return self.last_ids if self.last_instant == instant else None

    def note_ids(self, instant: str | None, ids: frozenset[int] = frozenset()) -> None:
        """Keep the ids of the rows of the bookmark's instant, unless they are too many; None: they are not known."""
        is_kept = instant is not None and len(ids) <= MOST_IDS
        self.last_instant, self.last_ids = (instant, ids) if is_kept else (None, frozenset())

    def note_proof(self, now: str, *, by_count: bool) -> None:
        """Take note that an end was proven by a count, or read twice where nothing can be counted."""
        self.proven_at, self.is_counted = now, by_count


def _is_within(then: str | None, days: float, now: str) -> bool:
    """Whether an instant lies in the days before now, or later: the server's clock may have been set back."""
    return then is not None and then >= later(now, milliseconds=-round(days * _DAY))


def _instant(value: object) -> str | None:
    try:
        return normalise(value) if isinstance(value, str) else None
    except ValueError:
        return None
