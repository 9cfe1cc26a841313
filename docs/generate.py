"""Write the generated parts of files: what they say of settings, streams and actions comes from the code.

Run `make generate` after a change of a setting, a schema file or an action; a test fails until then.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import golden_catalog
import meltano_plugins
import readme_tables

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent

FILES: dict[str, Callable[[str], str]] = {
    "README.md": readme_tables.rendered,
    "meltano.yml": meltano_plugins.rendered,
    "examples/meltano/meltano.yml": meltano_plugins.rendered_example,
    "tests/golden/catalog.txt": golden_catalog.rendered,
}
"""The files, and what makes the text that each should have of the text that it has."""


def main() -> None:
    """Bring all files up to date and name those that were not."""
    for name, render in FILES.items():
        path = ROOT / name
        before = path.read_text(encoding="utf-8")
        after = render(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{name} was brought up to date.")  # noqa: T201 - a script that reports


if __name__ == "__main__":
    main()
