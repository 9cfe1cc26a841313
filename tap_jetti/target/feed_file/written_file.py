"""What is known of the file that stands at the place of the feed file: its digest and the number of its rows."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from xml.parsers import expat

if TYPE_CHECKING:
    from tap_jetti.target.feed_file.location import FeedLocation

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_JSON_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ROW_DEPTH = 2
"""How deep the rows of an XML file are: within the element of the document."""


@dataclass(frozen=True)
class WrittenFile:
    """A file at the place of the feed file.

    Attributes:
        digest: The SHA-256 of its content.
        rows: The number of its rows; None if the format is unknown.
    """

    digest: str
    rows: int | None

    @classmethod
    def at(cls, location: FeedLocation) -> WrittenFile | None:
        """Read the file at a location; None if there is none.

        Raises:
            FeedFileError: It cannot be read.
        """
        digest, counter = hashlib.sha256(), RowCounter()

        def consume(chunk: bytes) -> None:
            digest.update(chunk)
            counter.feed(chunk)

        if not location.read(consume):
            return None
        return cls(digest.hexdigest(), counter.rows())


class _Counter(Protocol):
    def feed(self, chunk: bytes) -> None: ...

    def rows(self) -> int | None: ...


class RowCounter:
    """Counts the rows of a CSV, JSON or XML file, part by part. The first character tells the format."""

    def __init__(self) -> None:
        self._head = b""
        self._counter: _Counter | None = None

    def feed(self, chunk: bytes) -> None:
        """Count on in the next part of the file."""
        if self._counter is None:
            chunk = self._head = self._head + chunk
            start = chunk.removeprefix(_BYTE_ORDER_MARK).lstrip()[:1]
            if not start:
                return
            self._counter = _JsonCounter() if start in b"[{" else _XmlCounter() if start == b"<" else _CsvCounter()
            self._head = b""
        self._counter.feed(chunk)

    def rows(self) -> int | None:
        """The number of rows; None if the file is damaged or no list of rows."""
        return self._counter.rows() if self._counter else 0


class _CsvCounter:
    """Counts lines that end outside of quotes, without the header."""

    def __init__(self) -> None:
        self._lines = 0
        self._is_quoted = False
        self._is_in_line = False

    def feed(self, chunk: bytes) -> None:
        for number, part in enumerate(chunk.split(b'"')):
            if number:
                self._is_quoted = not self._is_quoted
                self._is_in_line = True
            if part and not self._is_quoted:
                self._lines += part.count(b"\n")
                self._is_in_line = not part.endswith(b"\n")

    def rows(self) -> int | None:
        return None if self._is_quoted else max(0, self._lines + self._is_in_line - 1)


class _JsonCounter:
    """Counts the objects in the outermost array."""

    def __init__(self) -> None:
        self._rest = b""
        self._depth = self._count = 0
        self._depth_of_rows: int | None = None

    def feed(self, chunk: bytes) -> None:
        content, quote, rest = _JSON_TEXT.sub(b"", self._rest + chunk).partition(b'"')
        self._rest = quote + rest  # the beginning of a text
        for bracket in content.translate(None, _NOT_BRACKETS):
            if bracket in b"]}":
                self._depth -= 1
                continue
            if bracket == ord("{"):
                self._count += self._depth == self._depth_of_rows
            elif self._depth_of_rows is None:
                self._depth_of_rows = self._depth + 1
            self._depth += 1

    def rows(self) -> int | None:
        return None if self._rest or self._depth or self._depth_of_rows is None else self._count


class _XmlCounter:
    """Counts the elements directly below the element of the document."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._depth = self._count = 0
        self._is_damaged = False

    def feed(self, chunk: bytes) -> None:
        self._parse(chunk, is_final=False)

    def rows(self) -> int | None:
        self._parse(b"", is_final=True)
        return None if self._is_damaged else self._count

    def _parse(self, chunk: bytes, *, is_final: bool) -> None:
        if not self._is_damaged:
            try:
                self._parser.Parse(chunk, is_final)
            except expat.ExpatError:
                self._is_damaged = True

    def _start(self, _name: str, _attributes: dict[str, str]) -> None:
        self._depth += 1
        self._count += self._depth == _ROW_DEPTH

    def _end(self, _name: str) -> None:
        self._depth -= 1
