"""The README says what the code does."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_tables_of_the_readme_are_those_of_the_code() -> None:
    """Settings and streams in the README are generated; `python docs/tables.py` writes them anew."""
    tables = runpy.run_path(str(ROOT / "docs" / "tables.py"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tables["rendered"](text) == text
