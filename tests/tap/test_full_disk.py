"""Output that has no room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runs import REPOSITORY, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.sandbox import Sandbox

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is full")
def test_a_full_disk_is_named(sandboxes: Callable[..., Sandbox], tmp_path: Path) -> None:
    """A run whose output has no room ends with 1 and one line that says so, and nothing after it."""
    sandbox = sandboxes()
    for name, content in (("config", config_for(sandbox)), ("catalog", catalog_of("sales"))):
        (tmp_path / name).write_text(json.dumps(content))
    with FULL.open("wb") as full:
        ended = subprocess.run(
            [
                sys.executable,
                "-c",
                "from tap_jetti.cli import tap; tap()",
                "--config",
                "config",
                "--catalog",
                "catalog",
            ],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            timeout=60,
            check=False,
        )
    errors = ended.stderr.decode()
    assert ended.returncode == 1
    assert "Cannot write to standard output: No space left on device" in errors.splitlines()[-1]
    assert "Traceback" not in errors
