"""Whatever freedoms of the contract a server uses together, no write is lost, wrong or doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from any_server_writes import Play

from runs import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", range(8 * EXAMPLES))
def test_no_write_is_lost_or_doubled(seed: int, tmp_path: Path) -> None:
    """The last value of every key is there after a run that ends well, and after a second one."""
    Play(seed, tmp_path).play()
