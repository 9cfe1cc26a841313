"""How the columns of a stream are named: as the API spells its fields, or in snake_case."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

API = "api"
SNAKE_CASE = "snake_case"
STYLES = (API, SNAKE_CASE)
"""The values of the setting column_names."""

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def to_snake_case(field: str) -> str:
    """Spell a field in snake_case: ``updatedAt`` is ``updated_at``, ``shopifySKU`` is ``shopify_sku``."""
    return _WORD_START.sub("_", field).lower()


@dataclass(frozen=True)
class ColumnNames:
    """The names of columns in the catalog, in SCHEMA and in RECORD messages. Requests and STATE keep the API's names.

    Attributes:
        style: ``api`` or ``snake_case``.
    """

    style: str = API

    @property
    def is_api(self) -> bool:
        """Whether columns are named as the API names its fields."""
        return self.style == API

    @property
    def other(self) -> ColumnNames:
        """The other style, to recognise catalogs that were made with it."""
        return ColumnNames(SNAKE_CASE if self.is_api else API)

    def of(self, field: str) -> str:
        """Return the column of a field."""
        return field if self.is_api else to_snake_case(field)

    def of_documented(self, stream: str, fields: Iterable[str]) -> dict[str, str]:
        """Return the column of each field of a stream.

        Raises:
            SettingsError: Two fields would share a column.
        """
        columns: dict[str, str] = {}
        fields_of: dict[str, str] = {}
        for field in fields:
            column = columns[field] = self.of(field)
            if fields_of.setdefault(column, field) != field:
                raise SettingsError(
                    f"Stream {stream} has two fields for the column {column}: {fields_of[column]} and {field}."
                    " Set column_names to api."
                )
        return columns

    def rename_keys(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Rename the keys of an object whose fields are not known in advance.

        A name that two fields would share goes to neither: both keep the API's name, so that no value is lost.
        """
        if self.is_api:
            return dict(fields)
        taken: set[str] = set()
        shared: set[str] = set()
        for field in fields:
            column = self.of(field)
            (shared if column in taken else taken).add(column)
        return {field if self.of(field) in shared else self.of(field): value for field, value in fields.items()}
