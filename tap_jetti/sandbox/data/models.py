"""What the sandbox knows of the resources: the kinds of their fields, their models and their associations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import inflection

from tap_jetti.facts import resources
from tap_jetti.facts.kinds import kind_of

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
"""Computed fields that the API shows although they are not documented."""


@dataclass(frozen=True)
class Association:
    """How the rows of one resource lead to those of another."""

    resource: str
    """The other resource."""
    many: bool
    """Whether a row has many of the other's rows; if not, it belongs to one."""
    foreign_key: str
    """The foreign key: a field of the other resource if `many`, else of the resource itself."""
    name: str
    """The key of an included object or list in a response."""


@cache
def known(resource: str) -> bool:
    """Whether there is such a resource."""
    return resource in resources.names()


@cache
def kinds(resource: str) -> dict[str, str]:
    """The kind of each documented field of a resource, by the names of `Kind`."""
    return {name: kind_of(facts).value for name, facts in resources.schema(resource)["properties"].items()}


@cache
def fields(resource: str) -> frozenset[str]:
    """All fields that the API may show: documented, secret and computed ones."""
    return frozenset(kinds(resource)) | resources.secret_fields(resource) | frozenset(EXTRA_FIELDS.get(resource, ()))


@cache
def decimals(resource: str) -> frozenset[str]:
    """The fields that hold decimals."""
    return frozenset(name for name, kind in kinds(resource).items() if kind == "number")


@cache
def singular(resource: str) -> str:
    """The singular of a resource: ``purchase_statuses`` is ``purchase_status``."""
    return inflection.singularize(resource)


@cache
def model(resource: str) -> str:
    """The name of a resource's model: ``sale_items`` is ``SaleItem``."""
    return inflection.camelize(singular(resource))


@cache
def models() -> dict[str, str]:
    """The resource of each model."""
    return {model(resource): resource for resource in resources.names()}


@cache
def association(resource: str, other: str) -> Association | None:
    """How a resource leads to another one, or None if it does not."""
    own = {key for key, target in resources.references(resource).items() if target == other}
    if own:
        return Association(other, many=False, foreign_key=_usual_key(own, other), name=singular(other))
    theirs = {key for key, target in resources.references(other).items() if target == resource}
    if theirs:
        return Association(other, many=True, foreign_key=_usual_key(theirs, resource), name=other)
    return None


def _usual_key(keys: set[str], resource: str) -> str:
    """Of several keys to a resource the one that is named for it: ``variantId`` of ``variants``."""
    usual = f"{inflection.camelize(singular(resource), uppercase_first_letter=False)}Id"
    return usual if usual in keys else min(keys)
