"""A stream whose answers never come whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runs import config_for, run_here

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.sandbox import Sandbox


@pytest.mark.parametrize("kind", ["reset-before", "reset-after", "truncated"])
def test_the_other_streams_are_read(kind: str, sandboxes: Callable[..., Sandbox]) -> None:
    """One resource whose responses are always cut off fails; those before and after it are complete."""
    sandbox = sandboxes(fault_kinds=(kind,))
    for stream in ("products", "sales", "vendors"):
        sandbox.replace(stream, [{"id": n, "updatedAt": "2020-01-01T00:00:00.000Z"} for n in range(1, 6)])

    def cut(_number: int, _method: str, path: str) -> None:
        sandbox.options.faults = float("sales" in path)

    sandbox.on_request = cut
    output = run_here(config_for(sandbox, retry_seconds=0, concurrency=1), streams=("products", "sales", "vendors"))
    assert output.code == 75
    assert output.counts() == {"products": 5, "vendors": 5}
    assert output.bookmark("sales") is None
    assert output.bookmark("vendors")
