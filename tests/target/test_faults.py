"""A few of the random runs with faults and kills; `fault_seeds.py` runs as many as one likes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fault_seeds import fault_run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", [2, 5, 11])
def test_nothing_is_lost_whatever_fails(seed: int, tmp_path: Path) -> None:
    """Each accepted record's last value is in Jetti, each other in the rejects, and STATE is never ahead."""
    assert fault_run(seed, tmp_path) is None
