"""From a page's bytes to rows that are fit to leave: their types, nothing secret, nothing unknown.

There are two ways, with the same result. The typed one decodes straight into a struct made
from the schema, without a line of Python a field; it serves pages whose values are what the
schema says. Whatever is odd - a decimal that is none, credentials in a URL, an undocumented
field seen for the first time - sends its page the general way, a dict a row.
"""

from __future__ import annotations

import re
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from tap_jetti.errors import UnreliableResponseError
from tap_jetti.facts.resources import PRIMARY_KEY, REPLICATION_KEY
from tap_jetti.facts.secret_fields import is_secret, mask_deep, without_secrets
from tap_jetti.facts.timestamps import normalise
from tap_jetti.reading.pages import Page, decode_objects
from tap_jetti.tap.values import converters

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Mapping, Sequence

    from tap_jetti.reading.pages import Row
    from tap_jetti.tap.includes import Include

UNMAPPED = "_unmapped"
"""The column that holds undocumented fields where `unknown_fields` is `keep`."""

NEEDED = frozenset({PRIMARY_KEY, REPLICATION_KEY})
"""The fields that reading itself needs: asked for even if they are not selected."""

MOST_ODD_PAGES = 3
"""Pages in a row that the typed way may fail on before a stream does without it."""

_CREDENTIALS = re.compile(rb"://[^\s\"]*@")
_INSTANT = Annotated[str, msgspec.Meta(min_length=24, max_length=24)]


class RowDecoder:
    """Decodes the pages of one stream.

    Args:
        stream: The resource in snake_case.
        schema: Its schema.
        deselected: Documented fields that are not to leave.
        includes: The associated models that rows carry along.
        unknown_fields: What to do with undocumented fields: `warn`, `keep` or `error`.
        typed: Whether rows may be structs; otherwise they are dicts.
        logger: Where undocumented fields are reported.
    """

    def __init__(
        self,
        stream: str,
        schema: Mapping[str, Any],
        *,
        deselected: Collection[str],
        includes: Sequence[Include],
        unknown_fields: str,
        typed: bool,
        logger: logging.Logger,
    ) -> None:
        self._stream = stream
        self._schema = schema
        self._deselected = frozenset(deselected)
        self._includes = includes
        self._policy = unknown_fields
        self._logger = logger
        included = {key for include in includes for key in (include.singular, include.plural)}
        self._known = frozenset(schema["properties"]) | included
        self._convert = {
            name: convert for name, convert in converters(schema).items() if name not in self._deselected | included
        }
        self._unknown: set[str] = set()
        self._odd_pages = 0
        self._typed = (
            _TypedDecoder(schema, self._deselected) if typed and not includes and unknown_fields == "warn" else None
        )

    def __call__(self, content: bytes) -> Page:
        """Decode one page.

        Raises:
            msgspec.DecodeError: The content is no complete JSON.
            MalformedPageError: It is not a list of rows with their keys.
            UnreliableResponseError: There are undocumented fields, and they are an error.
        """
        if self._typed is not None and self._odd_pages < MOST_ODD_PAGES and not _needs_a_look(content):
            page = self._typed.decode(content)
            if page is not None:
                self._odd_pages = 0
                return page
            self._odd_pages += 1
        page = decode_objects(content)
        known = len(self._unknown)
        for number, row in enumerate(page.rows):
            self._clean(row)
            if self._typed is not None:  # the order of its fields must not tell which way a row came
                page.rows[number] = {field: row[field] for field in self._schema["properties"] if field in row}
        if self._typed is not None and len(self._unknown) > known:
            self._typed = _TypedDecoder(self._schema, self._deselected | self._unknown)
            self._odd_pages = 0
        return page

    def _clean(self, row: Row) -> None:
        """Bring values to their types, and take out what is not to leave."""
        for field in row.keys() & self._deselected:
            del row[field]
        convert = self._convert
        for field, value in row.items():
            if value is not None and field in convert:
                row[field] = convert[field](value)
        for include in self._includes:
            include.clean(row)
        unknown = row.keys() - self._known
        if unknown:
            self._handle_unknown(row, unknown)

    def _handle_unknown(self, row: Row, unknown: set[str]) -> None:
        kept = {field: row.pop(field) for field in sorted(unknown)}
        named = {field for field in unknown if not is_secret(self._stream, field)}
        new = named - self._unknown
        if new and self._policy == "error":
            raise UnreliableResponseError(
                f"{self._stream} has undocumented fields: {', '.join(sorted(new))}."
                " Set unknown_fields to warn or keep to read it all the same."
            )
        if new:
            self._logger.warning(
                "%s has undocumented fields, %s: %s.",
                self._stream,
                f"kept under {UNMAPPED}" if self._policy == "keep" else "left out",
                ", ".join(sorted(new)),
            )
        self._unknown |= unknown
        if self._policy == "keep":
            row[UNMAPPED] = {field: mask_deep(without_secrets(kept[field])) for field in sorted(named)}


class _TypedDecoder:
    """Decodes pages whose values are what a schema says, into structs.

    Args:
        schema: The schema.
        ignored: Fields that may come and are not to leave, documented or not.
    """

    def __init__(self, schema: Mapping[str, Any], ignored: Collection[str]) -> None:
        fields: list[Any] = []
        names: dict[str, str] = {}
        self._ignored: list[str] = []
        self._numbers: list[Callable[[Any], Any]] = []
        for number, field in enumerate([*schema["properties"], *(set(ignored) - set(schema["properties"]))]):
            attribute = {PRIMARY_KEY: "id", REPLICATION_KEY: "key"}.get(field, f"f{number}")
            names[attribute] = field
            if field in ignored and field not in NEEDED:
                self._ignored.append(attribute)
                fields.append((attribute, msgspec.Raw | UnsetType, UNSET))
            elif field == PRIMARY_KEY:
                fields.insert(0, (attribute, int))
            else:
                kind = _type_of(schema["properties"][field])
                fields.append((attribute, kind | UnsetType, UNSET))
                if kind == Decimal | None:  # the text "NaN" is a decimal, but no JSON number
                    self._numbers.append(attrgetter(attribute))
        row = msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, gc=False)
        # Not strict: a text is taken for the number that its field should be, by C.
        self._decoder = msgspec.json.Decoder(list[row], strict=False)  # type: ignore[valid-type]

    def decode(self, content: bytes) -> Page | None:
        """One page, or None if a value is not what the schema says."""
        try:
            rows: list[Any] = self._decoder.decode(content)
        except msgspec.DecodeError:  # also what is no JSON: the other way says so
            return None
        keys = [row.key for row in rows]
        try:
            if any(key is not None and normalise(key) is not key for key in keys):
                return None
        except (TypeError, ValueError):
            return None
        if not all(all(map(Decimal.is_finite, filter(None, map(number, rows)))) for number in self._numbers):
            return None
        for attribute in self._ignored:
            for row in rows:
                setattr(row, attribute, UNSET)
        return Page(rows, [row.id for row in rows], keys)


def _needs_a_look(content: bytes) -> bool:
    """Whether a page may hold credentials in a URL, plain or escaped. Cheap where it does not."""
    if b"@" in content and b"\\" in content:
        return True
    if b"\\u0040" in content:
        return True
    return b"@" in content and b"://" in content and _CREDENTIALS.search(content) is not None


def _type_of(facts: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a type
    types = [kind for kind in facts["type"] if kind != "null"]
    if len(types) > 1:
        return msgspec.Raw
    if facts.get("format") == "date-time":
        return _INSTANT | None
    return {
        "string": str | None,
        "integer": int | None,
        "number": Decimal | None,
        "boolean": bool | None,
        "array": list[str | None] | None,
    }[types[0]]
