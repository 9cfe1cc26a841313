"""The formats of the feed file: CSV, JSON and XML.

CSV and XML have no null. In CSV a null is an empty cell, and so is an empty text; in XML its element is left out.
Lists and objects are written as JSON, and numbers without an exponent. Texts stay as they are: a program reads the
file, so a text that a spreadsheet would take for a formula needs no protection, and an id with one is another id.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from tap_jetti.errors import FeedConflictError, RecordError
from tap_jetti.facts.json_codec import encode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tap_jetti.target.delivery.operations import Record

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# The module csv cannot write this: it quotes either all texts or only those with these characters, never those with
# white space at an end, which many readers strip from cells that are not quoted.
_NEEDS_QUOTES = re.compile(r'[",\r\n]|^\s|\s$')


def as_csv(rows: Iterable[Record], columns: Sequence[str]) -> Iterator[bytes]:
    """Encode rows as comma-separated values with a header line, in UTF-8.

    Args:
        rows: The rows, in order.
        columns: The names of the fields, in order.
    """
    yield (",".join(columns) + "\n").encode()
    for row in rows:
        yield (",".join(_cell(row.get(column)) for column in columns) + "\n").encode("utf-8", "surrogatepass")


def as_json(rows: Iterable[Record], columns: Sequence[str]) -> Iterator[bytes]:
    """Encode rows as a JSON array, one row per line; a field that a row does not have is left out."""
    separator = b"[\n"
    for row in rows:
        yield separator + encode_json({column: row[column] for column in columns if column in row})
        separator = b",\n"
    yield b"\n]\n" if separator == b",\n" else b"[]\n"


def as_xml(rows: Iterable[Record], columns: Sequence[str]) -> Iterator[bytes]:
    """Encode rows as ``<variant>`` elements in ``<inventory>``, one element per field."""
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n<inventory>\n'
    for row in rows:
        fields = "".join(
            f"<{column}>{escape(_text(row[column]), {chr(13): '&#13;'})}</{column}>"
            for column in columns
            if row.get(column) is not None
        )
        if _NOT_XML.search(fields):  # rows that were stored for another format were not checked
            raise FeedConflictError(
                f"The row with externalId {row['externalId']!r} has a control character, which XML cannot hold."
                " Send it again without, or use another feed_format."
            )
        yield f"<variant>{fields}</variant>\n".encode()
    yield b"</inventory>\n"


FORMATS: dict[str, Callable[[Iterable[Record], Sequence[str]], Iterator[bytes]]] = {
    "csv": as_csv,
    "json": as_json,
    "xml": as_xml,
}
"""The encoder of each value of the setting feed_format."""


def check_xml(row: Record) -> None:
    """Check that XML can hold a row.

    Raises:
        RecordError: A value has a character that XML cannot hold.
    """
    for name, value in row.items():
        if value is not None and _NOT_XML.search(_text(value)):
            raise RecordError(f"{name}.invalid", f"{name} has a control character, which XML cannot hold")


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return value
    return format(value, "f") if isinstance(value, Decimal) else encode_json(value).decode()


def _cell(value: Any) -> str:  # noqa: ANN401 - any JSON
    if value is None:
        return ""
    text = _text(value)
    if _NEEDS_QUOTES.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text
