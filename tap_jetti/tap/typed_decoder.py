"""The fast way to decode a page: straight into structs that are made from the schema."""

from __future__ import annotations

import re
from collections import deque
from datetime import datetime
from itertools import chain, repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from tap_jetti.facts.json_codec import decode_json
from tap_jetti.facts.kinds import ANY_TYPE, Kind, items_of, kind_of, types_of
from tap_jetti.facts.resources import PRIMARY_KEY, REPLICATION_KEY
from tap_jetti.facts.secret_fields import without_secrets
from tap_jetti.reading.page import Page
from tap_jetti.tap.values import LARGEST_INTEGER, InvalidValueError, to_number

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from tap_jetti.tap.values import Converter

    Replace = Callable[[str, object, InvalidValueError, object], Any]
    """See `tap_jetti.tap.invalid_values.InvalidValues.replace`."""

_INTEGER = Annotated[int, msgspec.Meta(ge=-LARGEST_INTEGER - 1, le=LARGEST_INTEGER)]

_TYPES: dict[Kind, Any] = {
    Kind.TEXT: str | None,
    Kind.INTEGER: _INTEGER | None,
    Kind.BOOLEAN: bool | None,
    Kind.ARRAY: list[str | None] | None,
    Kind.JSON: Any,
}
"""The types of the kinds that msgspec checks by itself. Values of all other fields are `msgspec.Raw`: their bytes."""

_PLAIN_NUMBER = r"(?:-?(?:[1-9]\d{0,17}(?:\.\d{1,18})?|0\.(?:\d{1,6}|(?=\d{0,5}[1-9])\d{7,18}))|0|null)"
_PLAIN_NUMBERS = re.compile(rf"{_PLAIN_NUMBER}(?:,{_PLAIN_NUMBER})*".encode())
"""JSON numbers that are written as they are spelt, because a decimal or an integer made from them is spelt so, too."""

_PLAIN_INTEGER = r"(?:-?[1-9]\d{0,17}|0|null)"
_PLAIN_INTEGERS = re.compile(rf"{_PLAIN_INTEGER}(?:,{_PLAIN_INTEGER})*".encode())

_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_DATE_FORM = b'"0000-00-00T00:00:00.000Z"'
_DATE_TEXT = Annotated[str, msgspec.Meta(min_length=len(_DATE_FORM) - 2, max_length=len(_DATE_FORM) - 2)]
_DATES = msgspec.json.Decoder(list[datetime | None])
_RAW_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])

_FIELD_OF_ERROR = re.compile(r" - at `\$\[\d+\]\.([^.\[`]+)")
"""The field in an error of msgspec: ``Expected `int`, got `str` - at `$[0].companyId```."""


class TypedDecoder:
    """Decodes pages into structs with one field per property.

    msgspec decodes a whole page into such structs in C and encodes them again in C. Dates and numbers are copied byte
    by byte, after one check of all their bytes together. A field with a value of another form is decoded value by
    value, by the same converter as in the general way, and the other fields are still decoded fast.

    Args:
        schema: The schema of the rows.
        converters: The converter of each field.
        ignored: Fields that may be in a row but are not emitted, documented or not.
        columns: The name to write each field by.
        replace: Replaces invalid values.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        *,
        converters: Mapping[str, Converter],
        ignored: Collection[str],
        columns: Mapping[str, str],
        replace: Replace,
    ) -> None:
        self._properties = schema["properties"]
        self._converters = converters
        self._ignored = frozenset(ignored)
        self._columns = columns
        self._replace = replace
        self._odd: set[str] = set()
        self._error = ""
        self._build()

    def _build(self) -> None:
        """Make the structs for the fields that are known to be odd now."""
        fields: list[Any] = []
        names: dict[str, str] = {}
        self._unset: list[str] = []
        self._fields: dict[str, str] = {}
        dates: list[str] = []
        numbers: list[str] = []
        self._odd_attributes: list[str] = []
        for number, field in enumerate([*self._properties, *sorted(self._ignored - self._properties.keys())]):
            # Field names of the API may not be Python identifiers, so attributes are numbered and renamed in JSON.
            attribute = {PRIMARY_KEY: "id", REPLICATION_KEY: "key"}.get(field, f"f{number}")
            names[attribute] = field
            self._fields[attribute] = field
            if field in self._ignored:
                self._unset.append(attribute)
            if field == PRIMARY_KEY:
                # A struct needs its fields without a default first. Without an id a row is invalid.
                fields.insert(0, (attribute, _INTEGER))
                continue
            # UNSET, the default: a field that is missing in a row stays missing, which is not the same as null.
            type_: Any = msgspec.Raw
            if field == REPLICATION_KEY:
                type_ = _DATE_TEXT | None
            elif field in self._ignored:
                pass
            elif field in self._odd:
                self._odd_attributes.append(attribute)
            else:
                kind = kind_of(self._properties[field])
                type_ = _TYPES.get(kind, msgspec.Raw)
                if kind is Kind.DATE:
                    dates.append(attribute)
                elif kind is Kind.NUMBER:
                    numbers.append(attribute)
                elif not _is_checked(self._properties[field]):
                    type_ = msgspec.Raw
                    self._odd_attributes.append(attribute)
            fields.append((attribute, type_ if type_ is Any else type_ | UnsetType, UNSET))
        self._dates, self._numbers = dates, numbers
        self._json_attributes = [attribute for attribute, type_, *_ in fields if type_ is Any]
        # forbid_unknown_fields: an undocumented field fails the page, and the general way reports that field.
        # gc=False: rows hold no reference cycles that the garbage collector would have to find.
        row = msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, gc=False)
        columns = {attribute: self._columns.get(field, field) for attribute, field in names.items()}
        self._written_row = None if columns == names else msgspec.defstruct("Row", fields, rename=columns, gc=False)
        self._decoder = msgspec.json.Decoder(list[row], float_hook=to_number)  # type: ignore[valid-type]

    def decode(self, content: bytes) -> Page | None:
        """Decode one page.

        Returns:
            None if the content is not JSON, or a value needs another way, see `learn`.

        Raises:
            UnreliableResponseError: See `InvalidValues.replace`.
        """
        try:
            rows: list[Any] = self._decoder.decode(content)
            keys = [row.key for row in rows]
            if not _are_normal_keys(keys):
                self._error = ""
                return None
            self._convert_dates(rows)
            self._convert_numbers(rows)
            self._convert_odd(rows)
            self._remove_secrets(rows)
        except msgspec.DecodeError as error:
            self._error = str(error)
            return None
        ids = [row.id for row in rows]
        # Fields that are not emitted had to be in the struct to be accepted. Unset, they are not encoded.
        for attribute in self._unset:
            for row in rows:
                setattr(row, attribute, UNSET)
        if self._written_row is not None:
            # The same struct with other names, so that no name is changed in Python.
            for row in rows:
                row.__class__ = self._written_row
        return Page(rows, ids, keys)

    def learn(self) -> bool:
        """Learn from the last page that failed which field holds values of another form.

        Returns:
            Whether it is known now, so that the page can be decoded.
        """
        found = _FIELD_OF_ERROR.search(self._error)
        field = str(found[1]) if found else ""
        if field not in self._properties or field in self._odd or field in {PRIMARY_KEY, REPLICATION_KEY}:
            return False
        self._odd.add(field)
        self._build()
        return True

    def ignore(self, fields: Collection[str]) -> None:
        """Ignore these undocumented fields, too."""
        self._ignored |= frozenset(fields)
        self._build()

    def _convert_dates(self, rows: list[Any]) -> None:
        for attributes in _blocks(rows, self._dates):
            if not _are_dates(rows, attributes):
                for attribute in attributes:
                    if not _are_dates(rows, [attribute]):
                        self._convert_each(rows, attribute)

    def _convert_numbers(self, rows: list[Any]) -> None:
        for attributes in _blocks(rows, self._numbers):
            if not _spell_plainly(rows, attributes, _PLAIN_NUMBERS):
                for attribute in attributes:
                    if not _spell_plainly(rows, [attribute], _PLAIN_NUMBERS):
                        self._convert_each(rows, attribute)

    def _remove_secrets(self, rows: list[Any]) -> None:
        """Remove what sounds secret from the objects that msgspec decoded by itself."""
        for attribute in self._json_attributes:
            for row in rows:
                value = getattr(row, attribute)
                if isinstance(value, (dict, list)):
                    setattr(row, attribute, without_secrets(value))

    def _convert_odd(self, rows: list[Any]) -> None:
        for attribute in self._odd_attributes:
            is_integer = kind_of(self._properties[self._fields[attribute]]) is Kind.INTEGER
            if not (is_integer and _spell_plainly(rows, [attribute], _PLAIN_INTEGERS)):
                self._convert_each(rows, attribute)

    def _convert_each(self, rows: list[Any], attribute: str) -> None:
        field = self._fields[attribute]
        convert = self._converters[field]
        for row in rows:
            raw = getattr(row, attribute)
            value = None if raw is UNSET else decode_json(bytes(raw), huge_as_text=True)
            if value is not None:
                try:
                    value = convert(value)
                except InvalidValueError as error:
                    value = self._replace(self._columns[field], value, error, row.id)
                setattr(row, attribute, value)


def _is_checked(property_schema: Mapping[str, Any]) -> bool:
    """Whether msgspec checks all that the schema of a property promises, if it checks the type of its kind."""
    kind = kind_of(property_schema)
    if kind is Kind.ARRAY:
        return kind_of(items_of(property_schema)) is Kind.TEXT
    return kind is not Kind.JSON or types_of(property_schema) >= ANY_TYPE


def _blocks(rows: list[Any], attributes: Sequence[str]) -> list[list[str]]:
    """Return the fields that are checked together: those of the first row, and those that are missing in it."""
    if not rows:
        return []
    given = [attribute for attribute in attributes if getattr(rows[0], attribute) is not UNSET]
    missing = [attribute for attribute in attributes if attribute not in given]
    return [block for block in (given, missing) if block]


def _joined(rows: list[Any], attributes: Sequence[str]) -> tuple[bytes, int]:
    """Return the bytes of all values of fields, row by row, separated by commas, and how many values these are."""
    values: Iterable[Any] = map(attrgetter(*attributes), rows)
    if len(attributes) > 1:
        values = chain.from_iterable(values)
    found = list(values)
    try:
        return b",".join(found), len(found)
    except TypeError:  # a field is missing in a row
        given = [value for value in found if value is not UNSET]
        return b",".join(given), len(given)


def _spell_plainly(rows: list[Any], attributes: Sequence[str], plain: re.Pattern[bytes]) -> bool:
    """Make the values of number fields plain JSON numbers: nothing is done but to take texts of them out of quotes.

    Returns:
        False if a value is neither null nor a plain number, nor the text of one. Nothing is changed then.
    """
    joined, count = _joined(rows, attributes)
    if not count or plain.fullmatch(joined):
        return True
    numbers = joined.replace(b'"', b"")
    # A comma within a text, such as "1,234", makes two numbers of one.
    if not plain.fullmatch(numbers) or numbers.count(b",") != count - 1:
        return False
    if count < len(rows) * len(attributes):
        if len(attributes) > 1:
            return False
        rows = [row for row in rows if getattr(row, attributes[0]) is not UNSET]
    spelt = _RAW_ARRAY.decode(b"[%b]" % numbers)
    for number, attribute in enumerate(attributes):
        # The fastest loop over `setattr` that there is.
        deque(map(setattr, rows, repeat(attribute), spelt[number :: len(attributes)]), maxlen=0)
    return True


def _are_dates(rows: list[Any], attributes: Sequence[str]) -> bool:
    """Whether all values of fields are null or dates in the normal form."""
    return _is_dates(_joined(rows, attributes)[0])


def _is_dates(joined: bytes) -> bool:
    """Whether the items of an array, given without its brackets, are null or dates in the normal form."""
    rest = joined.translate(_ZEROS).replace(_DATE_FORM, b"").replace(b"null", b"")
    if rest.strip(b","):
        return False
    try:
        _DATES.decode(b"[%b]" % joined)  # the 30th of February has that form, too
    except msgspec.DecodeError:
        return False
    return True


def _are_normal_keys(keys: list[Any]) -> bool:
    """Whether all values of the replication key are null or have the normal form already."""
    try:
        joined = '","'.join([key for key in keys if key is not None])
    except TypeError:  # missing in a row
        return False
    return not joined or _is_dates(f'"{joined}"'.encode())
