"""The tables of README.md: settings, streams and actions, as the code has them."""

from __future__ import annotations

import re

from singer_sdk.typing import PropertiesList

from tap_jetti.facts import resources
from tap_jetti.process.settings import CLIENT_SETTINGS
from tap_jetti.tap.column_names import to_snake_case
from tap_jetti.tap.settings import TAP_SETTINGS
from tap_jetti.target.actions import ACTIONS
from tap_jetti.target.columns import FieldNames
from tap_jetti.target.settings import TARGET_SETTINGS


def settings(*lists: PropertiesList) -> str:
    """The table of the settings of some lists."""
    schema = PropertiesList(*(setting for one in lists for setting in one.wrapped.values())).to_dict()
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for name, facts in schema["properties"].items():
        default = facts.get("default")
        shown = "" if default is None else f"`{_plain(default)}`"
        if name in schema.get("required", ()):
            shown = "**required**"
        marks = " *Secret.*" if facts.get("secret") else ""
        choices = f" One of {', '.join(f'`{_plain(value)}`' for value in facts['enum'])}." if "enum" in facts else ""
        rows.append(f"| `{name}` | {shown} | {facts['description']}{choices}{marks} |")
    return "\n".join(rows)


_MOST_FIELDS = 20
"""The table names the fields of an action up to this number; above, it names the resource that has them."""


def actions() -> str:
    """The table of the target's actions."""
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
        if not action.resource:
            others += ", and any field of that resource"
        rows.append(f"| `{name}` | {action.title} | {needed} | {others} |")
    return "\n".join(rows)


_MOST_COLUMNS = 70
"""The table of columns lists the fields of an action up to this number; above, it names the resource that has them."""


def columns() -> str:
    """The table of what the columns of a record may be called, per action."""
    rows = ["| action | fields, as the API spells them | the same in snake_case | deleted rows |", "|---|---|---|---|"]
    for name, action in ACTIONS.items():
        names = FieldNames.of_schema({"properties": action.known_fields()})
        fields = [*names.writable, *_nested(names)]
        more = f" and any field of `{action.resource}`" if len(names.writable) > _MOST_COLUMNS else ""
        if more:
            required = action.record_schema().get("anyOf", ())
            fields = sorted({field for choice in required for field in choice["required"]})
        more += " and the fields of that resource" if name == "updates" else ""
        more += " and any other" if action.sends_unknown else ""
        spelt = ", ".join(f"`{field}`" for field in fields)
        snake = ", ".join(f"`{to_snake_case(field)}`" for field in fields)
        deletions = ", ".join(f"`{one}`" for one in (*action.deletions, "ignore"))
        rows.append(f"| `{name}` | {spelt}{more} | {snake}{more} | {deletions} |")
    return "\n".join(rows)


def _nested(names: FieldNames) -> list[str]:
    """The fields within fields: ``lineItems.quantity``."""
    return [
        f"{field}.{inner}"
        for field, nested in sorted(names.objects.items())
        if nested.names is not None
        for inner in (*nested.names.writable, *_nested(nested.names))
    ]


def streams() -> str:
    """The table of the streams that are selected by default, and the list of the others."""
    rows = ["| selected by default | read | fields |", "|---|---|---|"]
    for name in resources.selected_by_default():
        how = f"incrementally, by `{key}`" if (key := resources.replication_key(name)) else "in full, by `id`"
        rows.append(f"| `{name}` | {how} | {len(resources.schema(name)['properties'])} |")
    others = [name for name in resources.names() if not resources.is_selected(name)]
    listed = ", ".join(f"`{name}`{'' if resources.replication_key(name) else '*'}" for name in others)
    return "\n".join(
        [
            *rows,
            "",
            f"<details><summary>The other {len(others)} streams, not selected by default</summary>",
            "",
            f"{listed}",
            "",
            "\\* read in full, by `id`: its dates may be null.",
            "",
            "</details>",
        ]
    )


def rendered(text: str) -> str:
    """The README with its tables as they should be; all else stays as it is.

    Args:
        text: The file as it is now.

    Raises:
        ValueError: The place of a table is missing.
    """
    tables = {
        "tap settings": settings(CLIENT_SETTINGS, TAP_SETTINGS),
        "target settings": settings(TARGET_SETTINGS),
        "actions": actions(),
        "columns": columns(),
        "streams": streams(),
    }
    for name, table in tables.items():
        begin, end = f"<!-- {name}: generated by make generate -->\n", "<!-- end -->\n"
        place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if len(place.findall(text)) != 1:
            msg = f"README.md must have one line {begin.strip()!r}, and {end.strip()!r} after it."
            raise ValueError(msg)
        text = place.sub(lambda _, lines=f"{begin}{table}\n{end}": lines, text)
    return text


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
