"""A run that is killed loses nothing: the next one goes on from the last state that got out."""

from __future__ import annotations

import pytest
from kill_seeds import Outcome, catalog, read, try_seed


@pytest.mark.parametrize("seed", [1000, 1001, 1002])
def test_a_kill_loses_nothing(seed: int) -> None:
    """With churn, ties of 1,500, capped pages and faults, a run after a SIGKILL completes what the first one began."""
    outcome = try_seed(seed, catalog(), faults=0.01)
    assert outcome.good, outcome


def test_the_check_of_an_output_sees_a_torn_line_and_a_bookmark_that_goes_back() -> None:
    """What the seeds are judged by finds a line that is no message, and a bookmark that went back."""
    states = [
        b'{"type": "STATE", "value": {"bookmarks": {"sales": {"replication_key_value": "%d"}}}}\n' % day
        for day in (2, 1)
    ]
    outcome = Outcome(0)
    read([b'{"type": "REC\n', *states, b'{"type"'], outcome, cut=True)
    assert len(outcome.wrong) == 2
