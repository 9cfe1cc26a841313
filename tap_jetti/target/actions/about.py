"""What ``--about`` says of the actions: their names, what they do, and the JSON Schema of their records."""

from __future__ import annotations

import inspect
import json
from typing import Any

from tap_jetti.target.actions import ACTIONS


def described() -> dict[str, dict[str, Any]]:
    """Every action by name: its title, its description, and the schema of its records."""
    return {
        name: {
            "title": action.title,
            "description": inspect.getdoc(action) or action.title,
            "record": action.record_schema(),
        }
        for name, action in ACTIONS.items()
    }


def added_to(text: str, output_format: str | None) -> str:
    """What the SDK says about the target, with the actions added.

    Args:
        text: What the SDK says.
        output_format: json, markdown, or None for plain text.
    """
    if output_format == "json":
        return json.dumps({**json.loads(text), "actions": described()}, indent=2)
    heading = "## Actions" if output_format == "markdown" else "Actions:"
    mark = "`" if output_format == "markdown" else ""
    lines = []
    for name, action in ACTIONS.items():
        schema = action.record_schema()
        fields = ", ".join(f"{mark}{field}{mark} {_kind(facts)}" for field, facts in schema["properties"].items())
        lines += [f"- {mark}{name}{mark}: {action.title}; needs {_needs(schema)}.", f"  Fields: {fields}."]
    return "\n".join([text.rstrip(), "", heading, "", *lines, "", "The JSON Schema of each: --about --format json."])


def _kind(facts: dict[str, Any]) -> str:
    kinds = facts.get("type", "any")
    return "/".join(kind for kind in kinds if kind != "null") if isinstance(kinds, list) else str(kinds)


def _needs(schema: dict[str, Any]) -> str:
    always = " and ".join(schema.get("required", ()))
    either = " or ".join(" and ".join(one["required"]) for one in schema.get("anyOf", ()))
    return ", and ".join(filter(None, [always, either])) or "nothing"
