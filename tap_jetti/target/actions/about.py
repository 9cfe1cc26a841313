"""What ``--about`` prints about the actions: their names, what they do, and the JSON Schema of their records."""

from __future__ import annotations

import inspect
import json
from typing import Any

from tap_jetti.target.actions import ACTIONS


def describe_actions() -> dict[str, dict[str, Any]]:
    """Return the title, the description and the schema of the records of every action, by name."""
    return {
        name: {
            "title": action.title,
            "description": inspect.getdoc(action) or action.title,
            "record": action.record_schema(),
        }
        for name, action in ACTIONS.items()
    }


def add_actions(text: str, output_format: str | None) -> str:
    """Add the actions to the SDK's description of the target.

    Args:
        text: The SDK's description.
        output_format: json, markdown, or None for plain text.
    """
    if output_format == "json":
        return json.dumps({**json.loads(text), "actions": describe_actions()}, indent=2)
    heading = "## Actions" if output_format == "markdown" else "Actions:"
    quote = "`" if output_format == "markdown" else ""
    lines = []
    for name, action in ACTIONS.items():
        schema = action.record_schema()
        fields = ", ".join(f"{quote}{field}{quote} {_type_of(facts)}" for field, facts in schema["properties"].items())
        lines += [f"- {quote}{name}{quote}: {action.title}; needs {_required(schema)}.", f"  Fields: {fields}."]
    end = "--about --format json prints the JSON Schema of each."
    return "\n".join([text.rstrip(), "", heading, "", *lines, "", end])


def _type_of(facts: dict[str, Any]) -> str:
    types = facts.get("type", "any")
    return "/".join(one for one in types if one != "null") if isinstance(types, list) else str(types)


def _required(schema: dict[str, Any]) -> str:
    always = " and ".join(schema.get("required", ()))
    either = " or ".join(" and ".join(one["required"]) for one in schema.get("anyOf", ()))
    return ", and ".join(filter(None, [always, either])) or "nothing"
