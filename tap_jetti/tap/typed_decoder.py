"""The fast way to decode a page: straight into structs that are made from the schema."""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from tap_jetti.facts.kinds import Kind, kind_of
from tap_jetti.facts.resources import PRIMARY_KEY, REPLICATION_KEY
from tap_jetti.facts.timestamps import normalise
from tap_jetti.reading.page import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

KEY_FIELDS = frozenset({PRIMARY_KEY, REPLICATION_KEY})
"""Fields that reading itself needs. They are requested and emitted even if they are not selected."""

_DATE = Annotated[str, msgspec.Meta(min_length=24, max_length=24)]
"""A text of the length of ``2019-11-22T20:56:57.564Z``. Any other date is left to the general way."""

_TYPES: dict[Kind, Any] = {
    Kind.TEXT: str | None,
    Kind.INTEGER: int | None,
    Kind.NUMBER: Decimal | None,
    Kind.BOOLEAN: bool | None,
    Kind.DATE: _DATE | None,
    Kind.ARRAY: list[str | None] | None,
    Kind.JSON: msgspec.Raw,  # copied byte by byte: nothing in it needs a conversion
}
"""The type of the struct's field for each kind."""


class TypedDecoder:
    """Decodes pages whose values all are of the kinds in a schema.

    The struct has one field per property. msgspec decodes a whole page into such structs in C and
    encodes them again in C, so no line of Python runs per field.

    Args:
        schema: The schema of the rows.
        ignored: Fields that may be in a row but are not emitted, documented or not.
    """

    def __init__(self, schema: Mapping[str, Any], ignored: Collection[str]) -> None:
        fields: list[Any] = []
        names: dict[str, str] = {}
        self._ignored: list[str] = []
        self._numbers: list[Callable[[Any], Any]] = []
        undocumented = set(ignored) - set(schema["properties"])
        for number, field in enumerate([*schema["properties"], *undocumented]):
            # Field names of the API may not be Python identifiers, so attributes are numbered and renamed in JSON.
            attribute = {PRIMARY_KEY: "id", REPLICATION_KEY: "key"}.get(field, f"f{number}")
            names[attribute] = field
            if field in ignored and field not in KEY_FIELDS:
                self._ignored.append(attribute)
                fields.append((attribute, msgspec.Raw | UnsetType, UNSET))
            elif field == PRIMARY_KEY:
                # A struct needs its fields without a default first. Without an id a row is invalid.
                fields.insert(0, (attribute, int))
            else:
                # UNSET, the default: a field that is missing in a row stays missing, which is not the same as null.
                kind = kind_of(schema["properties"][field])
                fields.append((attribute, _TYPES[kind] | UnsetType, UNSET))
                if kind is Kind.NUMBER:
                    self._numbers.append(attrgetter(attribute))
        # forbid_unknown_fields: an undocumented field fails the page, and the general way reports that field.
        # gc=False: rows hold no reference cycles, and the garbage collector need not visit them.
        row = msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, gc=False)
        # strict=False: C code also takes "1.50" for a number and "true" for a boolean.
        self._decoder = msgspec.json.Decoder(list[row], strict=False)  # type: ignore[valid-type]

    def decode(self, content: bytes) -> Page | None:
        """Decode one page.

        Returns:
            None if a value is not of its kind, or if the content is not JSON.
        """
        try:
            rows: list[Any] = self._decoder.decode(content)
        except msgspec.DecodeError:
            return None
        keys = [row.key for row in rows]
        if not (_are_normal(keys) and self._are_finite(rows)):
            return None
        # Deselected fields had to be in the struct to be accepted. Unset, they are not encoded.
        for attribute in self._ignored:
            for row in rows:
                setattr(row, attribute, UNSET)
        return Page(rows, [row.id for row in rows], keys)

    def _are_finite(self, rows: list[Any]) -> bool:
        """Whether no number is NaN or infinite: the text "NaN" decodes to a decimal, but JSON has no such number."""
        return all(all(map(Decimal.is_finite, filter(None, map(number, rows)))) for number in self._numbers)


def _are_normal(keys: list[Any]) -> bool:
    """Whether all values of the replication key are null or have the normal form already."""
    try:
        return all(key is None or normalise(key) is key for key in keys)
    except (TypeError, ValueError):  # missing, or not a date
        return False
