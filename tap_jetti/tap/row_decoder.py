"""Turns the bytes of a page into rows that may be emitted: values of their kinds, no secrets, no unknown fields.

There are two ways to decode, with the same result:

- the fast way, `TypedDecoder`: into structs made from the schema. It serves pages whose values all are of
  the kinds in the schema.
- the general way: into dicts, field by field in Python. It serves every page in which something is odd: a
  number that is not one, credentials in a URL, an undocumented field that was not seen before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.errors import UnreliableResponseError
from tap_jetti.facts.secret_fields import is_secret, mask_deep, may_contain_credentials, without_secrets
from tap_jetti.reading.page import Page, decode_objects
from tap_jetti.tap.typed_decoder import TypedDecoder
from tap_jetti.tap.values import converters

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Mapping, Sequence

    from tap_jetti.reading.page import Row
    from tap_jetti.tap.includes import Include

UNMAPPED = "_unmapped"
"""The column that holds undocumented fields if `unknown_fields` is `keep`."""

MAX_ODD_PAGES = 3
"""Pages in a row that the fast way may fail on. After that the stream no longer tries it."""


class RowDecoder:
    """Decodes the pages of one stream.

    Args:
        stream: The resource in snake_case.
        schema: The schema of the resource.
        deselected: Documented fields that must not be emitted.
        includes: The associated models in the rows.
        unknown_fields: What to do with undocumented fields: `warn`, `keep` or `error`.
        typed: Whether rows may be structs. Otherwise all rows are dicts.
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
        self._converters = {
            name: convert for name, convert in converters(schema).items() if name not in self._deselected | included
        }
        self._unknown: set[str] = set()
        self._odd_pages = 0
        # Structs have no place for included models or for the column of undocumented fields.
        self._typed = (
            TypedDecoder(schema, self._deselected) if typed and not includes and unknown_fields == "warn" else None
        )

    def __call__(self, content: bytes) -> Page:
        """Decode one page.

        Raises:
            msgspec.DecodeError: The content is not complete JSON.
            MalformedPageError: It is not a list of rows with their keys.
            UnreliableResponseError: There are undocumented fields, and `unknown_fields` is `error`.
        """
        # The fast way cannot mask URLs, so it gets no page that may need it.
        if self._typed is not None and self._odd_pages < MAX_ODD_PAGES and not may_contain_credentials(content):
            page = self._typed.decode(content)
            if page is not None:
                self._odd_pages = 0
                return page
            self._odd_pages += 1
        return self._decode_generally(content)

    def _decode_generally(self, content: bytes) -> Page:
        page = decode_objects(content)
        known = len(self._unknown)
        for number, row in enumerate(page.rows):
            self._clean(row)
            if self._typed is not None:  # the fields of a row have the same order, whichever way decoded it
                page.rows[number] = {field: row[field] for field in self._schema["properties"] if field in row}
        if self._typed is not None and len(self._unknown) > known:
            # Pages with the fields that are known now can be decoded the fast way.
            self._typed = TypedDecoder(self._schema, self._deselected | self._unknown)
            self._odd_pages = 0
        return page

    def _clean(self, row: Row) -> None:
        """Convert the values of a row to their kinds, and remove what must not be emitted."""
        for field in row.keys() & self._deselected:
            del row[field]
        convert = self._converters
        for field, value in row.items():
            if value is not None and field in convert:
                row[field] = convert[field](value)
        for include in self._includes:
            include.remove_secrets(row)
        unknown = row.keys() - self._known
        if unknown:
            self._handle_unknown(row, unknown)

    def _handle_unknown(self, row: Row, unknown: set[str]) -> None:
        """Remove undocumented fields from a row. Report, keep or refuse them, except secrets, which are only removed.

        Raises:
            UnreliableResponseError: `unknown_fields` is `error`.
        """
        removed = {field: row.pop(field) for field in sorted(unknown)}
        public = {field for field in unknown if not is_secret(self._stream, field)}
        new = sorted(public - self._unknown)
        if new and self._policy == "error":
            raise UnreliableResponseError(
                f"Stream {self._stream} has undocumented fields: {', '.join(new)}."
                " To read it anyway, set unknown_fields to warn or keep."
            )
        if new:
            self._logger.warning(
                "Stream %s has undocumented fields, %s: %s.",
                self._stream,
                f"kept under {UNMAPPED}" if self._policy == "keep" else "left out",
                ", ".join(new),
            )
        self._unknown |= unknown
        if self._policy == "keep":
            row[UNMAPPED] = {field: mask_deep(without_secrets(removed[field])) for field in sorted(public)}
