"""What the sandbox knows of the resources: fields, models and how they are associated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from tap_jetti.facts import resources
from tap_jetti.facts.secret_fields import SECRET_FIELDS

EXTRA_FIELDS = {
    "customers": ("billingFullName", "displayName"),
    "channels": ("displayName",),
    "dropship_providers": ("displayName",),
    "inventory_feed_variants": ("displayName",),
    "products": ("imagesMapped",),
    "purchases": ("displayName",),
    "sales": ("displayName",),
    "variants": ("displayName",),
}
"""Computed fields that the API shows though no reference names them."""

NULL_DATES = frozenset(
    {
        "purchase_invoices",
        "purchase_invoice_payments",
        "purchase_return_payments",
        "purchase_shipping_rates",
        "sale_invoices",
        "sale_invoice_payments",
        "sale_return_payments",
        "sale_shipping_rates",
    }
)
"""The resources whose createdAt and updatedAt may be null."""

_REFERENCE = re.compile(r"References (\w+)\.")


@dataclass(frozen=True)
class Association:
    """How the rows of one resource lead to those of another."""

    resource: str
    """The resource led to."""
    many: bool
    """Has many of them, rather than belongs to one."""
    foreign_key: str
    """The field, of the other resource if there are many."""
    name: str
    """The key of the result."""


@cache
def known(resource: str) -> bool:
    """Whether there is such a resource."""
    return resource in resources.names()


@cache
def types(resource: str) -> dict[str, frozenset[str]]:
    """The JSON types of each documented field; a date is of the type ``date-time``."""
    return {
        name: frozenset(["date-time", "null"] if "format" in field else field["type"])
        for name, field in resources.schema(resource)["properties"].items()
    }


@cache
def fields(resource: str) -> frozenset[str]:
    """All fields that the API may show: documented, secret and computed ones."""
    return (
        frozenset(types(resource))
        | SECRET_FIELDS.get(resource, frozenset())
        | frozenset(EXTRA_FIELDS.get(resource, ()))
    )


@cache
def decimals(resource: str) -> frozenset[str]:
    """The fields that hold decimals."""
    return frozenset(name for name, kinds in types(resource).items() if {"number", "null"} == kinds)


@cache
def references(resource: str) -> dict[str, str]:
    """The foreign keys of a resource and the resources they lead to."""
    found = {}
    for name, field in resources.schema(resource)["properties"].items():
        match = _REFERENCE.search(field.get("description", ""))
        if match and known(match[1]):
            found[name] = match[1]
    return found


@cache
def singular(resource: str) -> str:
    """The singular of a resource: ``purchase_statuses`` is ``purchase_status``."""
    if resource.endswith("ies"):
        return f"{resource[:-3]}y"
    if resource.endswith(("sses", "tuses")):
        return resource[:-2]
    return resource.removesuffix("s")


@cache
def model(resource: str) -> str:
    """The name of a resource's model: ``sale_items`` is ``SaleItem``."""
    return "".join(part.title() for part in singular(resource).split("_"))


@cache
def models() -> dict[str, str]:
    """The resource of each model."""
    return {model(resource): resource for resource in resources.names()}


@cache
def association(resource: str, other: str) -> Association | None:
    """How a resource leads to another one, or None if it does not."""
    own = {key for key, target in references(resource).items() if target == other}
    if own:
        return Association(other, many=False, foreign_key=_best(own, other), name=singular(other))
    theirs = {key for key, target in references(other).items() if target == resource}
    if theirs:
        return Association(other, many=True, foreign_key=_best(theirs, resource), name=other)
    return None


def _best(keys: set[str], resource: str) -> str:
    name = model(resource)
    usual = f"{name[0].lower()}{name[1:]}Id"
    return usual if usual in keys else min(keys)
