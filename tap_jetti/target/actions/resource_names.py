"""The resource that a text means: in a record, or in the name of a stream."""

from __future__ import annotations

import difflib
from functools import cache

from tap_jetti.errors import RecordError
from tap_jetti.facts import resources

_SUFFIX = "updates"
"""A stream with the name of a resource and this suffix updates rows of that resource."""


def updated_resource(name: str) -> str | None:
    """Return the resource whose rows an action or a stream of this name updates: ``sales_updates``; None if none."""
    plain = _plain(name)
    return _by_plain_name().get(plain.removesuffix(_SUFFIX)) if plain.endswith(_SUFFIX) else None


def resource_named(text: str) -> str:
    """Return the resource that a text names: ``sales``, ``inventory-feeds``, ``inventoryFeeds``.

    Raises:
        RecordError: There is no such resource.
    """
    plain = _plain(text)
    found = _by_plain_name().get(plain)
    if found is None:
        near = difflib.get_close_matches(plain, _by_plain_name(), n=1)
        hint = f"; the nearest is {_by_plain_name()[near[0]]}" if near else ""
        raise RecordError("resource.unknown", f"resource must be a resource of Jetti, such as sales{hint}")
    return found


@cache
def _by_plain_name() -> dict[str, str]:
    return {_plain(name): name for name in resources.names()}


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
