"""Validation of the bodies of writes."""

# ruff: noqa: ANN401, C901 - a value is any JSON; one branch per kind

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tap_jetti.facts import resources
from tap_jetti.sandbox.data import models, timestamps
from tap_jetti.sandbox.http.problems import Problem

if TYPE_CHECKING:
    from tap_jetti.sandbox.data.documents import Document

REQUIRED = {
    "dropship_providers": ("name",),
    "inventory_feed_variants": ("vendorSku",),
    "inventory_feeds": ("dropshipProviderId", "name", "resourceType"),
}
"""Fields that must not be null."""

LARGEST_BATCH = 50

_READ_ONLY = frozenset({"id", "companyId", "createdAt", "updatedAt"})
_RESOURCE_TYPES = frozenset(
    [
        "api",
        "bigCommerce",
        "channelEngine",
        "channelEngineCsv",
        "etsy",
        "ftpCsv",
        "googleDrive",
        "json",
        "magento",
        "magentoLegacy",
        "manual",
        "prestaShop",
        "salesforce",
        "selz",
        "shopify_csv",
        "shopify",
        "squareSpace",
        "tradeGecko",
        "upload",
        "webhook",
        "wooCommerce",
        "wooCommerceLegacy",
        "wix",
        "xml",
    ]
)
_INTEGER = re.compile(r"-?\d+")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def as_object(body: object) -> Mapping[str, Any]:
    """The body, which must be an object.

    Raises:
        Problem: It is not an object.
    """
    if not isinstance(body, Mapping):
        raise Problem(400, "api.body.invalid", "The body must be a JSON object.")
    return body


def as_batch(body: object) -> list[Any]:
    """The body, which must be an array of at most 50 items.

    Raises:
        Problem: It is not an array, or it is too large.
    """
    if not isinstance(body, list):
        raise Problem(400, "api.body.invalid", "The body must be a JSON array.")
    if len(body) > LARGEST_BATCH:
        raise Problem(422, "api.batch.too_large", f"A batch has at most {LARGEST_BATCH} items, got {len(body)}.")
    return body


def require(body: Mapping[str, Any], title: str, *names: str) -> None:
    """Check that a body has these fields.

    Raises:
        Problem: A field is missing, null or empty.
    """
    for name in names:
        if body.get(name) in (None, ""):
            raise Problem(422, title, f"{name} is missing.", field=name)


def writable_fields(resource: str, body: Mapping[str, Any], *, strict: bool = True) -> Document:
    """The fields of a body that a client may write, converted to the kinds of the schema.

    Fields that the resource does not have are ignored, as the API does.

    Args:
        resource: The resource in snake_case.
        body: What was sent.
        strict: Refuse invalid values; if not, they are stored as they are.

    Raises:
        Problem: A value is invalid.
    """
    known = models.kinds(resource).keys() | resources.secret_fields(resource)
    fields = {name: value for name, value in body.items() if name in known and name not in _READ_ONLY}
    if not strict:
        return fields
    for name in REQUIRED.get(resource, ()):
        if name in fields and fields[name] in (None, ""):
            raise _invalid(resource, name, "must not be null")
    return {name: _converted(resource, name, value) for name, value in fields.items()}


def require_columns(resource: str, fields: Mapping[str, Any]) -> None:
    """Check that a new row has the fields that must not be null.

    Raises:
        Problem: A field is missing.
    """
    require(fields, f"api.{resource}.create.missing", *REQUIRED.get(resource, ()))


def _converted(resource: str, name: str, value: Any) -> Any:
    kind = models.kinds(resource).get(name, "text")  # secret fields are texts
    if value is None or kind == "json":
        return value
    if kind == "integer":
        value = _integer(resource, name, value)
        if name == "inventoryQuantity" and value < 0:
            raise _invalid(resource, name, "must not be negative")
    elif kind == "number":
        value = _decimal(resource, name, value)
    elif kind == "boolean" and not isinstance(value, bool):
        raise _invalid(resource, name, "must be a boolean")
    elif kind == "array" and not isinstance(value, list):
        raise _invalid(resource, name, "must be an array")
    elif kind == "date":
        _date(resource, name, value)
    elif kind == "text":
        if not isinstance(value, (str, int, float)):
            raise _invalid(resource, name, "must be a text")
        value = str(value)
        if (resource, name) == ("inventory_feeds", "resourceType") and value not in _RESOURCE_TYPES:
            raise _invalid(resource, name, "is not a resource type")
    return value


def _integer(resource: str, name: str, value: object) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _invalid(resource, name, "must be an integer")
    return value


def _decimal(resource: str, name: str, value: object) -> float | int:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _invalid(resource, name, "must be a number")
    return value


def _date(resource: str, name: str, value: object) -> None:
    try:
        timestamps.parse(value if isinstance(value, str) else "")
    except ValueError:
        raise _invalid(resource, name, "must be a date") from None


def _invalid(resource: str, name: str, reason: str) -> Problem:
    return Problem(422, f"api.{resource}.{name}.invalid", f"{name} {reason}.", field=name)
