"""`jetti sync` is ended at random moments, in every way."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from kill_syncs import play

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc names the children of a process")
@pytest.mark.parametrize("seed", [0, 1])
def test_no_row_is_lost_and_no_state_is_ahead(tmp_path: Path, seed: int) -> None:
    """Whatever is killed whenever, the state never goes back nor ahead, and in the end all rows are loaded."""
    play(seed, 2, tmp_path)
