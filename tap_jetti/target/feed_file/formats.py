"""The inventory as text that Jetti can fetch: CSV, JSON or XML, and how each is read again.

CSV and XML have no null: a null is an empty cell, or an element left out, as is an empty text
in CSV. Lists and objects stand there as JSON. A text in CSV that a spreadsheet would take for
a formula is led by an apostrophe, and so is one that begins with an apostrophe itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from tap_jetti.errors import RecordError
from tap_jetti.facts.json_codec import encode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tap_jetti.target.delivery.operations import Record

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_QUOTED = re.compile(r'[",\r\n]|^\s|\s$')


def as_csv(rows: Iterable[Record], columns: Sequence[str]) -> Iterator[bytes]:
    """Comma-separated values with a head line, in UTF-8.

    Args:
        rows: In their order.
        columns: The names of the fields, in their order.
    """
    yield (",".join(columns) + "\n").encode()
    for row in rows:
        yield (",".join(_cell(row.get(column)) for column in columns) + "\n").encode("utf-8", "surrogatepass")


def as_json(rows: Iterable[Record], columns: Sequence[str]) -> Iterator[bytes]:
    """A JSON array, a row a line; a field that a record does not have is left out."""
    separator = b"[\n"
    for row in rows:
        yield separator + encode_json({column: row[column] for column in columns if column in row})
        separator = b",\n"
    yield b"\n]\n" if separator == b",\n" else b"[]\n"


def as_xml(rows: Iterable[Record], columns: Sequence[str]) -> Iterator[bytes]:
    """``<inventory>`` of ``<variant>``, an element a field."""
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n<inventory>\n'
    for row in rows:
        fields = "".join(
            f"<{column}>{escape(_text(row[column]), {chr(13): '&#13;'})}</{column}>"
            for column in columns
            if row.get(column) is not None
        )
        yield f"<variant>{fields}</variant>\n".encode()
    yield b"</inventory>\n"


FORMATS: dict[str, Callable[[Iterable[Record], Sequence[str]], Iterator[bytes]]] = {
    "csv": as_csv,
    "json": as_json,
    "xml": as_xml,
}
"""The writer of each feed_format."""


def check_xml(row: Record) -> None:
    """Refuse a row with characters that XML cannot hold.

    Raises:
        RecordError: It has such a character.
    """
    for name, value in row.items():
        if value is not None and _NOT_XML.search(_text(value)):
            raise RecordError(f"{name}.invalid", f"{name} has a control character, which XML cannot hold")


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    return value if isinstance(value, str) else encode_json(value).decode()


def _cell(value: Any) -> str:  # noqa: ANN401 - any JSON
    if value is None:
        return ""
    text = _text(value)
    if isinstance(value, str) and text.startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        text = "'" + text
    if _QUOTED.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text
