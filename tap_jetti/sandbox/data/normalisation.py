"""How the account may normalise what is written, so that a row shows other values than were sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.sandbox.data import models

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_KEYS = frozenset({"externalId", "sku", "vendorSku"})
"""Fields that identify a row stay as they are."""

_PLACES = 2


def normalised(resource: str, fields: Mapping[str, Any], ways: Collection[str]) -> dict[str, Any]:
    """The fields of a write as they are stored.

    Args:
        resource: The resource in snake_case.
        fields: What is written.
        ways: What is done to it, of the choices of the option ``normalise``.
    """
    kinds = models.kinds(resource)
    return {name: _value(name, kinds.get(name, ""), value, ways) for name, value in fields.items()}


def _value(name: str, kind: str, value: Any, ways: Collection[str]) -> Any:  # noqa: ANN401 - any JSON
    if name in _KEYS:
        return value
    if "lower" in ways and kind == "array" and isinstance(value, list):
        return [one.lower() if isinstance(one, str) else one for one in value]
    if "round" in ways and kind == "number" and isinstance(value, float):
        return round(value, _PLACES)
    if not isinstance(value, str) or kind != "text":
        return value
    if "compact" in ways and name == "trackingNumber":
        value = "".join(value.split()).upper()
    if "trim" in ways:
        value = value.strip()
    return None if "empty" in ways and not value else value
