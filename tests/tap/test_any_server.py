"""Whatever freedoms of the contract a server uses together, no row is lost, wrong or doubled."""

from __future__ import annotations

import pytest
from any_server import Play

from runs import EXAMPLES


@pytest.mark.parametrize("seed", range(5 * EXAMPLES))
def test_no_row_is_lost_or_doubled(seed: int) -> None:
    """Three runs while rows change, and one on a quiet server: what was loaded is what the server has."""
    Play(seed).play()
