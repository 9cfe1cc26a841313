"""What a read leaves in the bookmark of how the server cuts its pages."""

from __future__ import annotations

import random

from jetti_model import Freedoms, JettiModel
from stream_plays import StreamRuns
from tap_jetti.reading.resource_facts import BOOKMARK_KEY


def facts_after(freedoms: Freedoms, runs: int = 1) -> dict[str, object]:
    """What is kept after reads of 40 rows by pages of 16 at most."""
    model = JettiModel(random.Random(2), freedoms)
    model.fill(40, days=30)
    stream = StreamRuns(model, 16, verify_counts="auto")
    for _ in range(runs):
        stream.run()
    found: dict[str, object] = stream.warehouse.bookmark[BOOKMARK_KEY]
    return found


def test_a_cap_is_learnt_in_the_first_read() -> None:
    """A short page of the largest size, behind which rows came, shows it."""
    facts = facts_after(Freedoms(churn=0.0, cap=5))
    assert (facts["largest_page"], facts["is_capped"]) == (5, True)


def test_a_page_cut_by_chance_is_remembered() -> None:
    """A smaller one shows that pages may be cut, so that reads end by a count for a week."""
    facts = facts_after(Freedoms(churn=0.0, cut=0.7))
    assert facts["cut_at"] is not None


def test_whole_pages_teach_neither() -> None:
    """The size of the largest is kept."""
    facts = facts_after(Freedoms(churn=0.0))
    assert (facts["largest_page"], facts["is_capped"], facts["cut_at"]) == (16, False, None)
