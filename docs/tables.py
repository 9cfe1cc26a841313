"""Write the tables of README.md from the code, so that none is ever out of date.

Run it after a change of settings, schemas or actions; a test fails until then.
"""

from __future__ import annotations

import re
from pathlib import Path

from singer_sdk.typing import PropertiesList

from tap_jetti.facts import resources
from tap_jetti.process.settings import CLIENT_SETTINGS
from tap_jetti.tap.settings import TAP_SETTINGS
from tap_jetti.target.actions import ACTIONS
from tap_jetti.target.settings import TARGET_SETTINGS

README = Path(__file__).parent.parent / "README.md"


def settings(*lists: PropertiesList) -> str:
    """A table of settings."""
    schema = PropertiesList(*(setting for one in lists for setting in one.wrapped.values())).to_dict()
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for name, facts in schema["properties"].items():
        default = facts.get("default")
        shown = "" if default is None else f"`{_plain(default)}`"
        if name in schema.get("required", ()):
            shown = "**required**"
        marks = " *Secret.*" if facts.get("secret") else ""
        choices = f" One of {', '.join(f'`{value}`' for value in facts['enum'])}." if "enum" in facts else ""
        rows.append(f"| `{name}` | {shown} | {facts['description']}{choices}{marks} |")
    return "\n".join(rows)


_MOST_FIELDS = 20
"""Fields that the table names; of more it says where they are listed."""


def actions() -> str:
    """A table of the target's actions."""
    rows = ["| action | what it does | fields that a record needs | and may have |", "|---|---|---|---|"]
    for name, action in ACTIONS.items():
        schema = action.record_schema()
        always = ", ".join(f"`{field}`" for field in schema.get("required", ()))
        either = " or ".join(
            ", ".join(f"`{field}`" for field in choice["required"])
            for choice in schema.get("anyOf", ())
            if "required" in choice
        )
        needed = "; ".join(part for part in (always, either) if part)
        fields = schema["properties"]
        others = ", ".join(f"`{field}`" for field in fields if f"`{field}`" not in needed)
        if len(fields) > _MOST_FIELDS:
            others = f"any field of `{action.resource}`"
        rows.append(f"| `{name}` | {action.title} | {needed} | {others} |")
    return "\n".join(rows)


def streams() -> str:
    """The streams that are selected by default, as a table, and the others as a list."""
    rows = ["| selected by default | read | fields |", "|---|---|---|"]
    for name in resources.selected_by_default():
        how = f"incrementally, by `{key}`" if (key := resources.replication_key(name)) else "whole, by `id`"
        rows.append(f"| `{name}` | {how} | {len(resources.schema(name)['properties'])} |")
    others = [name for name in resources.names() if not resources.is_selected(name)]
    listed = ", ".join(f"`{name}`{'' if resources.replication_key(name) else '*'}" for name in others)
    return "\n".join(
        [
            *rows,
            "",
            f"<details><summary>The other {len(others)} streams, there to be selected</summary>",
            "",
            f"{listed}",
            "",
            "\\* read whole, by `id`: its dates may be null.",
            "",
            "</details>",
        ]
    )


def rendered(text: str) -> str:
    """The README with all its tables as they should be.

    Raises:
        ValueError: A table's place is missing.
    """
    tables = {
        "tap settings": settings(CLIENT_SETTINGS, TAP_SETTINGS),
        "target settings": settings(TARGET_SETTINGS),
        "actions": actions(),
        "streams": streams(),
    }
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- {name}: made by docs/tables.py -->\n)(?:.*?\n)??(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            msg = f"README.md has no place for the table {name!r}"
            raise ValueError(msg)
        text = pattern.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)
    return text


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
