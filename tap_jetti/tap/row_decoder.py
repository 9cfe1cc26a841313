"""Turns the bytes of a page into rows that may be emitted: values of their kinds, no secrets, no unknown fields.

There are two ways to decode, with the same result:

- the fast way, `TypedDecoder`: into structs made from the schema.
- the general way: into dicts, field by field in Python. It serves streams with included models or kept fields, and
  pages with what structs cannot express: credentials in a URL, NUL, half a surrogate pair, an undocumented field that
  was not seen before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.errors import UnreliableResponseError
from tap_jetti.facts.resources import PRIMARY_KEY
from tap_jetti.facts.secret_fields import is_secret, may_contain_credentials
from tap_jetti.reading.page import Page, decode_objects
from tap_jetti.tap.invalid_values import may_contain_nul, public
from tap_jetti.tap.typed_decoder import TypedDecoder
from tap_jetti.tap.values import InvalidValueError, converters

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Mapping, Sequence

    from tap_jetti.reading.page import Row
    from tap_jetti.tap.column_names import ColumnNames
    from tap_jetti.tap.includes import Include
    from tap_jetti.tap.invalid_values import InvalidValues

UNMAPPED = "_unmapped"
"""The column that holds undocumented fields, and the originals of invalid values, if `unknown_fields` is `keep`."""

MAX_ODD_PAGES = 3
"""Maximum number of consecutive pages that the fast way may fail on. Then the stream no longer tries it."""


class RowDecoder:
    """Decodes the pages of one stream.

    Args:
        stream: The resource in snake_case.
        schema: The schema of the resource, with the types to emit.
        deselected: Documented fields and included models that must not be emitted.
        includes: The associated models in the rows.
        unknown_fields: What to do with undocumented fields: `warn`, `keep` or `error`.
        invalid_values: What to do with values that do not fit the schema.
        names: How to name columns.
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
        invalid_values: InvalidValues,
        names: ColumnNames,
        typed: bool,
        logger: logging.Logger,
    ) -> None:
        self._stream = stream
        self._schema = schema
        self._deselected = frozenset(deselected)
        self._includes = includes
        self._policy = unknown_fields
        self._invalid = invalid_values
        self._names = names
        self._logger = logger
        included = {key for include in includes for key in (include.singular, include.plural)}
        self._columns = names.of_documented(stream, [*schema["properties"], *included])
        self._converters = {
            name: convert
            for name, convert in converters(
                schema, on_number_in_array=lambda field: invalid_values.note_number_in_array(self._columns[field])
            ).items()
            if name not in self._deselected | included
        }
        self._unknown: set[str] = set()
        self._odd_pages = 0
        # Structs have no place for included models or for the column of undocumented fields.
        self._typed = (
            TypedDecoder(
                schema,
                converters=self._converters,
                ignored=self._deselected,
                columns=self._columns,
                replace=invalid_values.replace,
            )
            if typed and not includes and unknown_fields == "warn"
            else None
        )

    def __call__(self, content: bytes) -> Page:
        """Decode one page.

        Raises:
            msgspec.DecodeError: The content is not complete JSON.
            MalformedPageError: It is not a list of rows with their keys.
            UnreliableResponseError: There are undocumented fields, and `unknown_fields` is `error`; or there is an
                invalid value, and `invalid_values` is `fail`.
        """
        self._invalid.begin_page()
        # The fast way cannot mask URLs or find NUL, so it gets no page that may have them.
        if (
            self._typed is not None
            and self._odd_pages < MAX_ODD_PAGES
            and not may_contain_nul(content)
            and not may_contain_credentials(content)
        ):
            page = self._typed.decode(content)
            while page is None and self._typed.learn():
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
            page.rows[number] = self._clean(row)
        if self._typed is not None and len(self._unknown) > known:
            # Pages with the fields that are known now can be decoded the fast way.
            self._typed.ignore(self._unknown)
            self._odd_pages = 0
        return page

    def _clean(self, row: Row) -> Row:
        """Return a row with its values converted to their kinds, without what must not be emitted."""
        for field in row.keys() & self._deselected:
            del row[field]
        kept = self._convert(row)
        for include in self._includes:
            include.clean(row, self._names)
        unknown = row.keys() - self._columns.keys() - self._deselected
        if unknown:
            kept |= self._remove_unknown(row, unknown)
        if self._typed is not None:  # the fields of a row have the same order, whichever way decoded it
            row = {self._columns[field]: row[field] for field in self._schema["properties"] if field in row}
        elif not self._names.is_api:
            row = {self._columns[field]: value for field, value in row.items()}
        if kept and self._policy == "keep":
            row[UNMAPPED] = self._names.rename_keys({field: public(value) for field, value in sorted(kept.items())})
        return row

    def _convert(self, row: Row) -> dict[str, Any]:
        """Convert the values of a row in place.

        Returns:
            The originals of those that became null because they are invalid.
        """
        row_id = row[PRIMARY_KEY]
        invalid: dict[str, Any] = {}
        convert = self._converters
        for field, value in row.items():
            if value is not None and field in convert:
                try:
                    row[field] = convert[field](value)
                except InvalidValueError as error:
                    row[field] = self._invalid.replace(self._columns[field], value, error, row_id)
                    if row[field] is None:
                        invalid[field] = value
        return invalid

    def _remove_unknown(self, row: Row, unknown: set[str]) -> dict[str, Any]:
        """Remove undocumented fields from a row and report or refuse them.

        Returns:
            Those that are not secret.

        Raises:
            UnreliableResponseError: `unknown_fields` is `error`.
        """
        removed = {field: row.pop(field) for field in unknown}
        public_fields = {field for field in unknown if not is_secret(self._stream, field)}
        new = sorted(public_fields - self._unknown)
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
        return {field: removed[field] for field in public_fields}
