"""When a read by `updatedAt` has reached its end, and how far that is proven: one decision table.

The server may give *any prefix* of the right page at any time, an empty one too. So a short page alone proves nothing.
Two lemmas carry the rules:

- *Counted first, then paid.* A settled range ``[cursor, U - lag]`` only loses rows. The count is asked BEFORE the page
  that has to pay for it. Rows that were counted and are not on that page would stand behind it in the order, and so no
  row that was committed late can have paid for them: a short page with exactly as many rows as are owed is whole. A
  count AFTER the page can be balanced by rows that left in between, and a lower count proves nothing either.
- *Last key given.* Whatever prefix came and whatever was counted: all that is unread has a key not below the last key
  given. As long as the bookmark is that key, a wrong end makes rows late, never lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Proof(str, Enum):
    """How far the end of a read is proven; a run reports it for each stream."""

    PROVEN = "proven"
    """The server's count, or rows behind the end, show that nothing is missing."""

    TRUSTED = "trusted"
    """The page was smaller than the largest of a resource that was counted lately and did not cut its pages since."""

    UNPROVEN = "unproven"
    """Jetti does not count this resource, or is not to be asked; the end was read twice where it matters."""


class Verdict(Enum):
    """What a page means. The names are those of the rows of the table in `judge`."""

    BEYOND_UPPER = "4a"
    COUNT_IS_PAID = "4b"
    TRUSTED_SIZE = "4c"
    COUNT_IS_DUE = "4d"
    COUNT_IS_LOW = "4e"
    END_WITHOUT_COUNT = "4f"
    GO_ON = "4g"


ENDS = frozenset({Verdict.BEYOND_UPPER, Verdict.COUNT_IS_PAID, Verdict.TRUSTED_SIZE, Verdict.END_WITHOUT_COUNT})
"""The verdicts after which nothing more is read."""


@dataclass(frozen=True)
class PageFacts:
    """A page in the light of what is known of its resource.

    Attributes:
        beyond_upper: Whether rows beyond the upper bound came with it (only an unbounded first page has them).
        is_full: Whether it has as many rows as were asked for, or as a known cap lets through.
        rows: Its rows up to the upper bound, those seen before included.
        owed: Rows that were counted from its cursor on before it was asked for; None: not counted.
        must_count: Whether this read has to end by a count.
        can_count: Whether the server counts this resource.
        is_trusted_size: Whether it is smaller than the largest page of this resource, or has at most one row.
        has_new: Whether it has rows that this read has not given.
        is_first: Whether it is the first page of this read.
    """

    beyond_upper: bool
    is_full: bool
    rows: int
    owed: int | None
    must_count: bool
    can_count: bool
    is_trusted_size: bool
    has_new: bool
    is_first: bool


_TABLE: tuple[tuple[Verdict, Callable[[PageFacts], bool]], ...] = (
    (Verdict.BEYOND_UPPER, lambda page: page.beyond_upper),
    (Verdict.GO_ON, lambda page: page.is_full),
    (Verdict.COUNT_IS_PAID, lambda page: page.owed is not None and page.rows == page.owed),
    (Verdict.COUNT_IS_LOW, lambda page: page.owed is not None and page.rows > page.owed),
    (Verdict.GO_ON, lambda page: page.owed is not None),
    (Verdict.TRUSTED_SIZE, lambda page: page.is_trusted_size and not page.must_count),
    (Verdict.COUNT_IS_DUE, lambda page: page.can_count),
    (Verdict.END_WITHOUT_COUNT, lambda page: page.rows <= 1 and not page.has_new and not page.is_first),
    (Verdict.GO_ON, lambda page: True),  # noqa: ARG005 - whatever is left
)


def judge(page: PageFacts) -> Verdict:
    """What a page means: the first row of this table that fits.

    ====  ==================================================================  =====================================
    row   the page                                                            then
    ====  ==================================================================  =====================================
    4a    holds rows beyond the upper bound                                   end, proven by the order
    4g    full                                                                go on from its last row
    4b    short, counted, and exactly the owed rows                           end, proven by the count
    4e    short, counted, with more rows than were owed                       the count was too low: count again
    4g    short, counted, with fewer rows than are owed                       go on from its last row
    4c    short, not counted, of a trusted size, and no count must be asked   end, trusted
    4d    short, not counted, and the resource can be counted                 count, then ask for the page again
    4f    short, cannot be counted, not the first page, at most the row seen  end, unproven
          before: a larger instant is read by id first
    4g    anything else                                                       go on from its last row
    ====  ==================================================================  =====================================
    """
    return next(verdict for verdict, fits in _TABLE if fits(page))
