"""Documents: rows as the API returns them, and as the options vary them."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from tap_jetti.facts import resources
from tap_jetti.sandbox.data import models, timestamps
from tap_jetti.sandbox.data.database import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_jetti.sandbox.options import Options

COMPANY = 1
"""The id of the company that the token belongs to."""

Document = dict[str, Any]

_ENCODER = json.JSONEncoder(separators=(",", ":"), default=str)


def to_row(resource: str, document: Mapping[str, Any], *, microseconds: bool = True) -> Row:
    """The row to store for a document, with the fields that every response has.

    Args:
        resource: The resource in snake_case.
        document: The fields; ``updatedAt`` is ISO 8601 with up to microseconds, or None.
        microseconds: Whether to keep microseconds; if not, timestamps are truncated to milliseconds.

    Raises:
        ValueError: The id is missing, or a date is invalid.
    """
    row_id = document.get("id")
    if not isinstance(row_id, int):
        msg = f"A row of {resource} needs an integer id, got {row_id!r}."
        raise ValueError(msg)  # noqa: TRY004 - invalid data, not a wrong call
    full = {"id": row_id, "companyId": COMPANY, **document}
    full.setdefault("createdAt", full.get("updatedAt"))
    full.setdefault("updatedAt", None)
    dates = []
    for name in ("updatedAt", "createdAt"):
        micros = None if full[name] is None else timestamps.parse(full[name])
        dates.append(micros if micros is None or microseconds else micros // 1000 * 1000)
    return build_row(resource, full, *dates)


def build_row(resource: str, document: Document, updated: int | None, created: int | None) -> Row:
    """The row to store for a document; sets its dates, in microseconds since the epoch, and its secret fields."""
    for name in sorted(resources.secret_fields(resource)):
        document.setdefault(name, fake_secret(resource, name, document))
    document["updatedAt"] = None if updated is None else timestamps.format_millis(updated)
    document["createdAt"] = None if created is None else timestamps.format_millis(created)
    external = document.get("externalId")
    return Row(
        document["id"],
        updated,
        created,
        None if external is None else str(external),
        _ENCODER.encode(document),
    )


def fake_secret(resource: str, name: str, document: Mapping[str, Any]) -> str:
    """A fake value of a secret field; the hash of a feed or channel is unique, as it identifies it."""
    if resource == "inventory_feeds" and name == "hash":
        return f"fake-feed-hash-{document['id']}"
    if resource == "channels" and name == "hash":
        return f"fake-channel-hash-{document['id']}"
    if resource == "custom_channels":
        return f"fake-channel-hash-{document.get('channelId') or document['id']}"
    return f"fake-{name}-{document['id']}"


@cache
def empty_document(resource: str) -> Document:
    """A document with all documented fields null. Treat it as read-only: it is shared."""
    return dict.fromkeys(resources.schema(resource)["properties"])


def is_rendered_differently(options: Options) -> bool:
    """Whether responses differ from the stored texts."""
    return options.decimals != "number" or options.company_id != "number" or not options.extra_fields


def render(resource: str, text: str, options: Options) -> Document:
    """The document of a stored text, as the options want it returned."""
    document: Document = json.loads(text)
    if options.company_id == "text":
        document["companyId"] = str(document["companyId"])
    if options.decimals != "number":
        for name in models.decimals(resource):
            value = document.get(name)
            mixed = options.decimals == "mixed" and (document["id"] + len(name)) % 2
            if isinstance(value, (int, float)) and not mixed:
                document[name] = str(value)
    if not options.extra_fields:
        for name in models.EXTRA_FIELDS.get(resource, ()):
            document.pop(name, None)
    return document
