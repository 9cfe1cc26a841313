"""Associated models that a stream's rows carry along: the ``include`` setting."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import inflection

from tap_jetti.errors import SettingsError
from tap_jetti.facts.resources import names, schema
from tap_jetti.facts.secret_fields import is_secret, known_secrets, mask_deep, without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True)
class Include:
    """One associated model and what is wanted of it.

    Attributes:
        model: The API's name of it, such as ``SaleItem``.
        attributes: The only fields wanted; none means all.
        include: What it carries along itself.
    """

    model: str
    attributes: tuple[str, ...]
    include: tuple[Include, ...]

    @property
    def singular(self) -> str:
        """The key of the result in a row that belongs to one of them: ``sale_item``."""
        return _WORD_START.sub("_", self.model).lower()

    @property
    def plural(self) -> str:
        """The key of the result in a row that has many of them: ``sale_items``."""
        return inflection.pluralize(self.singular)

    @property
    def foreign_key(self) -> str:
        """The field of a row that belongs to one of them: ``saleItemId``."""
        return f"{self.model[0].lower()}{self.model[1:]}Id"

    def to_query(self) -> dict[str, Any]:
        """The include as the API spells it, with the foreign keys that it needs itself."""
        query: dict[str, Any] = {"model": self.model}
        if self.attributes:
            query["attributes"] = [*self.attributes, *(key for key in self._inner_keys() if key not in self.attributes)]
        if self.include:
            query["include"] = [inner.to_query() for inner in self.include]
        return query

    def _inner_keys(self) -> list[str]:
        """The foreign keys that the includes within this one need: without them the call fails."""
        documented = schema(self.plural)["properties"] if self.plural in names() else ()
        return [inner.foreign_key for inner in self.include if inner.foreign_key in documented]

    def clean(self, row: dict[str, Any]) -> None:
        """Take the secrets out of what a row carries of this model."""
        for key in (self.singular, self.plural):
            found = row.get(key)
            for item in found if isinstance(found, list) else [found]:
                if isinstance(item, dict):
                    for field in [name for name in item if self._hides(name)]:
                        del item[field]
                    self._clean_undocumented(item)
                    for inner in self.include:
                        inner.clean(item)
            if found is not None:
                row[key] = mask_deep(found)

    def _clean_undocumented(self, item: dict[str, Any]) -> None:
        """Take secrets out of what no schema and no inner include accounts for."""
        documented = schema(self.plural)["properties"] if self.plural in names() else ()
        expected = {key for inner in self.include for key in (inner.singular, inner.plural)}
        for field in item.keys() - expected:
            if field not in documented:
                item[field] = without_secrets(item[field])

    def _hides(self, field: str) -> bool:
        documented = schema(self.plural)["properties"] if self.plural in names() else ()
        return field not in documented and is_secret(self.plural, field)


def parse_includes(stream: str, wanted: Sequence[Mapping[str, Any]]) -> tuple[Include, ...]:
    """Read what the setting lists for one stream.

    Args:
        stream: The stream, for the error.
        wanted: Objects of ``model``, ``attributes`` and ``include``.

    Raises:
        SettingsError: A model is misspelt, or a secret field is asked for.
    """
    return tuple(_parse(stream, item) for item in wanted)


def _parse(stream: str, item: Mapping[str, Any]) -> Include:
    model = item["model"]
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", model):
        raise SettingsError(f"include of {stream}: a model is PascalCase and singular, such as SaleItem, not {model!r}")
    include = Include(model, tuple(item.get("attributes", ())), parse_includes(stream, item.get("include", ())))
    secret = [field for field in include.attributes if field in known_secrets(include.plural)]
    if secret:
        raise SettingsError(f"include of {stream}: {model}.{secret[0]} is a secret and never leaves Jetti.")
    return include
