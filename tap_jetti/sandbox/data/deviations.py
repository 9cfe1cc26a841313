"""How pages and counts may deviate from what was asked for: caps, cut pages, counts that are wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from tap_jetti.sandbox.options import Options

_LARGEST_ERROR = 3


@dataclass
class Deviations:
    """The deviations of one account, as its options say."""

    options: Options
    random: random.Random
    _pages: int = 0
    _counts: dict[str, int] = field(default_factory=dict)

    def page_size(self, resource: str, wanted: int) -> int:
        """The largest number of rows of the next page."""
        self._pages += 1
        caps = dict(text.rpartition("=")[::2] for text in self.options.page_caps)
        if resource in caps:
            wanted = min(wanted, int(caps[resource]))
        is_capped = self._pages > self.options.page_cap_after
        return min(wanted, self.options.page_cap) if is_capped else wanted

    def cut(self, texts: list[str]) -> list[str]:
        """The part of a page that is given: any prefix may be."""
        if self.options.page_cap_bytes:
            room, kept = self.options.page_cap_bytes, 0
            for text in texts:
                room -= len(text)
                if room < 0 and kept:
                    break
                kept += 1
            texts = texts[:kept]
        if self.options.short_pages and self.random.random() < self.options.short_pages:
            texts = texts[: self.random.randrange(len(texts) + 1)]
        return texts

    def count(self, question: str, right: int) -> int:
        """The count that is answered to a question."""
        kind = self.options.count_error
        if kind == "none":
            return right
        if kind == "stale":
            return self._counts.setdefault(question, right)
        if kind == "zero":
            return self.random.choice((0, right))
        error = self.random.randrange(_LARGEST_ERROR)
        return max(0, right - error if kind == "low" else right + error)
