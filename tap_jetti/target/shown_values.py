"""Values of records as messages show them: short, printable, and without secrets."""

from __future__ import annotations

from typing import Any

import msgspec

from tap_jetti.facts import resources
from tap_jetti.facts.secret_fields import is_secret, known_secrets, mask_credentials
from tap_jetti.target.name_matching import folded, shown_name

SHOWN_CHARACTERS = 60
"""Characters of a value that a message shows."""

_ENCODE = msgspec.json.Encoder(decimal_format="number", enc_hook=str).encode


def is_shown(resource: str, name: str) -> bool:
    """Whether messages and files may show the values of a field.

    Args:
        resource: The resource of the field in snake_case; empty if it is not known.
        name: The field.
    """
    known = resources.schema(resource)["properties"] if resource in resources.names() else {}
    if name in known:
        return True
    secrets = {folded(secret) for secret in known_secrets(resource)}
    return folded(name) not in secrets and not is_secret(resource, name)


def shown_value(resource: str, name: str, value: Any) -> str:  # noqa: ANN401 - any JSON
    """Return a value as a message shows it.

    Args:
        resource: The resource of its field in snake_case; empty if it is not known.
        name: Its field.
        value: Any JSON.
    """
    if not is_shown(resource, name):
        return "***"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "an array"
    text = mask_credentials(value) if isinstance(value, str) else _ENCODE(value).decode()
    shown = shown_name(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…")
    return f'"{shown}"' if isinstance(value, str) else shown
