"""Documents: rows as the API shows them, and the variations of how it may show them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tap_jetti.facts import resources
from tap_jetti.sandbox.data import models
from tap_jetti.sandbox.data import timestamps as instants
from tap_jetti.sandbox.data.database import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_jetti.sandbox.options import Options

COMPANY = 1
"""The company that the token belongs to."""

Document = dict[str, Any]

_ENCODER = json.JSONEncoder(separators=(",", ":"), default=str)


def stored(resource: str, document: Mapping[str, Any], *, microseconds: bool = True) -> Row:
    """The row to store for a document: what every response carries is filled in.

    Args:
        resource: The resource in snake_case.
        document: The fields; ``updatedAt`` with up to microseconds, or None.
        microseconds: Keep the microseconds.

    Raises:
        ValueError: The id is missing, or a date is not one.
    """
    row_id = document.get("id")
    if not isinstance(row_id, int):
        msg = f"A row of {resource} needs an integer id, got {row_id!r}."
        raise ValueError(msg)  # noqa: TRY004 - the data of a caller, not a misuse
    full = {"id": row_id, "companyId": COMPANY, **document}
    full.setdefault("createdAt", full.get("updatedAt"))
    full.setdefault("updatedAt", None)
    dates = []
    for name in ("updatedAt", "createdAt"):
        micros = None if full[name] is None else instants.parse(full[name])
        dates.append(micros if micros is None or microseconds else micros // 1000 * 1000)
    return row(resource, full, *dates)


def row(resource: str, document: Document, updated: int | None, created: int | None) -> Row:
    """The row of a document whose dates are known in microseconds; changes the document."""
    for name in sorted(resources.secret_fields(resource)):
        document.setdefault(name, fake_secret(resource, name, document))
    document["updatedAt"] = None if updated is None else instants.shown(updated)
    document["createdAt"] = None if created is None else instants.shown(created)
    external = document.get("externalId")
    return Row(
        document["id"],
        updated,
        created,
        None if external is None else str(external),
        _ENCODER.encode(document),
    )


def fake_secret(resource: str, name: str, document: Mapping[str, Any]) -> str:
    """An obviously fake value of a secret field; hashes tell feeds and channels apart."""
    if resource == "inventory_feeds" and name == "hash":
        return f"fake-feed-hash-{document['id']}"
    if resource == "channels" and name == "hash":
        return f"fake-channel-hash-{document['id']}"
    if resource == "custom_channels":
        return f"fake-channel-hash-{document.get('channelId') or document['id']}"
    return f"fake-{name}-{document['id']}"


def varied(options: Options) -> bool:
    """Whether documents are shown otherwise than they are stored."""
    return options.decimals != "number" or options.company_id != "number" or not options.extra_fields


def shown(resource: str, text: str, options: Options) -> Document:
    """A stored text as the options show it."""
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
