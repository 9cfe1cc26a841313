"""Sample values for the fields of any resource, derived from its schema."""

# ruff: noqa: ANN401, PLR0911 - a value is any JSON; one return per kind

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from tap_jetti.facts import resources
from tap_jetti.sandbox.data import models, timestamps
from tap_jetti.sandbox.data.documents import COMPANY, Document

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

_DAY = 86_400_000_000
_WORDS = [
    "amber",
    "basic",
    "bright",
    "classic",
    "compact",
    "cotton",
    "deep",
    "double",
    "early",
    "fine",
    "flat",
    "fresh",
    "gentle",
    "green",
    "heavy",
    "large",
    "light",
    "linen",
    "long",
    "matte",
    "medium",
    "narrow",
    "pale",
    "plain",
    "quiet",
    "round",
    "short",
    "slim",
    "soft",
]
_COUNTRIES = ("US", "GB", "DE", "FR", "NL", "IT", "AU", "CA")
_NULL_SHARE = 0.35
_UNDOCUMENTED_SHARE = 0.02

_BY_NAME: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"country$", re.IGNORECASE), _COUNTRIES),
    (re.compile(r"countryOfOrigin$"), _COUNTRIES),
    (re.compile(r"^iso$|[cC]urrencyCode$"), ("USD", "EUR", "GBP")),
    (re.compile(r"city$", re.IGNORECASE), ("Northtown", "Easton", "Southport", "Westfield")),
    (re.compile(r"state$", re.IGNORECASE), ("CA", "NY", "TX", "WA")),
    (re.compile(r"zip$", re.IGNORECASE), ("10001", "94105", "60601", "02110")),
    (re.compile(r"phone|fax", re.IGNORECASE), ("+1 555 0100", "+1 555 0101", "+1 555 0102")),
    (re.compile(r"email", re.IGNORECASE), ("office@example.com", "orders@example.com")),
    (re.compile(r"AddressLineOne$|^addressLineOne$"), ("1 Example Street", "22 Sample Road")),
    (re.compile(r"AddressLineTwo$|^addressLineTwo$"), ("Floor 2", "Unit 7")),
    (re.compile(r"url$|uri$|location$|endpoint$", re.IGNORECASE), ("https://example.com/resource",)),
    (re.compile(r"trackingCompany|^carrier$"), ("UPS", "FedEx", "USPS", "DHL")),
    (re.compile(r"hash$", re.IGNORECASE), ("5f1e0c4b9d", "a7c3358e21", "0be4d19f66")),
)


class SampleValues:
    """Generates documents with plausible values; the same seed gives the same documents."""

    def __init__(self, rng: random.Random, now: int, templates: int) -> None:
        """Generate `templates` different documents per resource, which its rows share."""
        self._random = rng
        self._now = now
        self._size = templates
        self._templates: dict[str, list[Document]] = {}

    def document(self, resource: str, row_id: int) -> Document:
        """A document with its own id and names; foreign keys and dates are left for the caller."""
        templates = self._templates.get(resource)
        if templates is None:
            templates = [self._template(resource) for _ in range(self._size)]
            self._templates[resource] = templates
        return {**templates[row_id % self._size], "id": row_id, **_named(resource, row_id)}

    def _template(self, resource: str) -> Document:
        values = resources.documented_values(resource)
        document = {
            name: self._value(name, kind, values.get(name, ())) for name, kind in models.kinds(resource).items()
        }
        return {**document, "companyId": COMPANY, **dict.fromkeys(resources.references(resource))}

    def _value(self, name: str, kind: str, documented: Sequence[str]) -> Any:
        rng = self._random
        if rng.random() < _NULL_SHARE:
            return None
        if kind == "date":
            return timestamps.format_millis(self._now - rng.randrange(365 * _DAY))
        if kind == "boolean":
            return rng.choice((True, False))
        if kind == "integer":
            return rng.randrange(1, 60)
        if kind == "number":
            return rng.randrange(100, 20_000) / 100
        if kind == "array":
            return rng.sample(_WORDS, rng.randrange(4))
        if kind == "text":
            return self._text(name, documented)
        return rng.choice([{"source": "sandbox", "lines": [1, 2]}, [], {"ok": True}, "text"])

    def _text(self, name: str, documented: Sequence[str]) -> str:
        rng = self._random
        if documented:
            return "unexpected" if rng.random() < _UNDOCUMENTED_SHARE else rng.choice(documented)
        for pattern, values_by_name in _BY_NAME:
            if pattern.search(name):
                return rng.choice(values_by_name)
        length = 40 if name in {"description", "content"} else rng.randrange(1, 5)
        return " ".join(rng.choices(_WORDS, k=length)).capitalize()


def _named(resource: str, row_id: int) -> Document:
    """Fields with a value of their own in each row."""
    return {name: text.format(row_id) for name, text in _names(resource).items()}


@cache
def _names(resource: str) -> dict[str, str]:
    label = models.singular(resource).replace("_", " ").capitalize()
    code = "".join(part[0] for part in models.singular(resource).split("_")).upper()
    texts = {
        "name": f"{label} {{}}",
        "externalId": f"{code}-{{}}",
        "reference": f"#{code}{{}}",
        "email": f"{models.singular(resource)}{{}}@example.com",
        "handle": f"{models.singular(resource)}-{{}}",
        "firstName": label.split()[0],
        "lastName": "Number {}",
    }
    found = {name: text for name, text in texts.items() if name in models.kinds(resource)}
    extra = dict.fromkeys(models.EXTRA_FIELDS.get(resource, ()), f"{label} {{}}")
    return {**found, **extra}
