"""The import direction: client <- streams | sinks <- tap | target, and no way back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tap_jetti"
FORBIDDEN = {
    "client": ("singer_sdk", "tap_jetti.streams", "tap_jetti.sinks", "tap_jetti.delivery", "tap_jetti.config"),
    "streams.py": ("tap_jetti.sinks", "tap_jetti.delivery", "tap_jetti.target"),
    "sinks": ("tap_jetti.streams", "tap_jetti.tap", "tap_jetti.rows"),
    "delivery": ("tap_jetti.streams", "tap_jetti.tap", "tap_jetti.rows"),
    "sandbox": ("tap_jetti.client", "tap_jetti.streams", "tap_jetti.sinks", "tap_jetti.tap", "tap_jetti.target"),
}


@pytest.mark.parametrize("part", FORBIDDEN)
def test_a_part_knows_nothing_of_what_is_built_on_it(part: str) -> None:
    """No module of a part imports what comes after it in the reading order."""
    root = PACKAGE / part
    for path in [root] if root.suffix else sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]:
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for name in names:
                hits = [no for no in FORBIDDEN[part] if name == no or name.startswith(no + ".")]
                assert not hits, f"{path.name} imports {name}"
