"""Fixtures for tests of `jetti sync`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sync_runs import ROWS, STREAMS, Syncs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_jetti.sandbox import Sandbox


@pytest.fixture
def syncs(sandboxes: Callable[..., Sandbox], tmp_path: Path) -> Syncs:
    """Syncs of two streams with 900 rows each, from a sandbox that gives 100 rows per page."""
    sandbox = sandboxes(page_cap=100)
    for stream in STREAMS:
        rows = [
            {"id": at, "updatedAt": f"2020-01-01T00:{at // 60:02}:{at % 60:02}.000Z", "companyId": 1}
            for at in range(1, ROWS + 1)
        ]
        sandbox.replace(stream, rows)
    return Syncs(tmp_path, sandbox, {"select": list(STREAMS), "page_size": 100, "bookmark_lag": 0})
