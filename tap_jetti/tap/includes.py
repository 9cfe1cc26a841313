"""Associated models in the rows of a stream: the ``include`` setting."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import inflection

from tap_jetti.errors import SettingsError
from tap_jetti.facts.resources import names, schema
from tap_jetti.facts.secret_fields import is_secret, known_secrets, mask_deep, without_secrets
from tap_jetti.tap.invalid_values import loadable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tap_jetti.tap.column_names import ColumnNames

_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True)
class Include:
    """One associated model.

    Attributes:
        model: Its name in the API, such as ``SaleItem``.
        attributes: The fields to request. Empty: all fields.
        include: The models associated with this one.
    """

    model: str
    attributes: tuple[str, ...]
    include: tuple[Include, ...]

    @property
    def singular(self) -> str:
        """The key of the model in a row that belongs to one such model: ``sale_item``."""
        return _WORD_START.sub("_", self.model).lower()

    @property
    def plural(self) -> str:
        """The key of the models in a row that has many of them: ``sale_items``."""
        return inflection.pluralize(self.singular)

    @property
    def foreign_key(self) -> str:
        """The field of a row that refers to the model: ``saleItemId``."""
        return f"{self.model[0].lower()}{self.model[1:]}Id"

    def to_query(self) -> dict[str, Any]:
        """The include in the spelling of the API, with the foreign keys that its inner includes need."""
        query: dict[str, Any] = {"model": self.model}
        if self.attributes:
            query["attributes"] = [*self.attributes, *(key for key in self._inner_keys() if key not in self.attributes)]
        if self.include:
            query["include"] = [inner.to_query() for inner in self.include]
        return query

    def _inner_keys(self) -> list[str]:
        """The foreign keys of the inner includes. If they are not requested, the API fails."""
        return [inner.foreign_key for inner in self.include if inner.foreign_key in self._documented]

    @property
    def _documented(self) -> Collection[str]:
        """The fields of the model in its schema file, none if it has no such file."""
        return schema(self.plural)["properties"] if self.plural in names() else ()

    def clean(self, row: dict[str, Any], names: ColumnNames) -> None:
        """Make the models in a row ready to be emitted: without secrets, `loadable`, with fields named as columns are.

        Credentials in their URLs are masked.
        """
        for key in (self.singular, self.plural):
            found = row.get(key)
            if isinstance(found, list):
                row[key] = [self._cleaned(item, names) for item in found]
            elif found is not None:
                row[key] = self._cleaned(found, names)

    def _cleaned(self, item: Any, names: ColumnNames) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(item, dict):
            self._remove_secrets_of(item)
            for inner in self.include:
                inner.clean(item, names)
            item = names.rename_keys(item)
        return loadable(mask_deep(item))

    def _remove_secrets_of(self, item: dict[str, Any]) -> None:
        """Remove secrets from one model, and from its fields at any depth."""
        inner_keys = {key for inner in self.include for key in (inner.singular, inner.plural)}
        documented = self._documented
        for field in list(item):
            if field not in documented and is_secret(self.plural, field):
                del item[field]
            elif field not in inner_keys:  # what is in those is the business of the inner include
                item[field] = without_secrets(item[field])


def parse_includes(stream: str, wanted: Sequence[Mapping[str, Any]]) -> tuple[Include, ...]:
    """Parse the ``include`` setting of one stream.

    Args:
        stream: The stream, for the error.
        wanted: Objects with ``model``, ``attributes`` and ``include``.

    Raises:
        SettingsError: The name of a model is invalid, or a secret field is requested.
    """
    return tuple(_parse(stream, item) for item in wanted)


def _parse(stream: str, item: Mapping[str, Any]) -> Include:
    model = item.get("model")
    if not isinstance(model, str) or not re.fullmatch(r"[A-Z][A-Za-z0-9]*", model):
        raise SettingsError(
            f"Invalid model {model!r} in include of {stream}: write it in PascalCase and singular, such as SaleItem."
        )
    attributes, inner = item.get("attributes", []), item.get("include", [])
    if not (isinstance(attributes, list) and all(isinstance(field, str) for field in attributes)):
        raise SettingsError(f"Invalid include of {stream}: the attributes of {model} must be a list of field names.")
    if not (isinstance(inner, list) and all(isinstance(one, dict) for one in inner)):
        raise SettingsError(f"Invalid include of {stream}: the include of {model} must be a list of objects.")
    include = Include(model, tuple(attributes), parse_includes(stream, inner))
    secret = [field for field in include.attributes if field in known_secrets(include.plural)]
    if secret:
        raise SettingsError(
            f"Invalid include of {stream}: {model}.{secret[0]} is a secret, which is never extracted. Remove it."
        )
    return include
