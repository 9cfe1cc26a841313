"""Reads Singer messages line by line. Errors name the line and show no secret."""

from __future__ import annotations

import codecs
import re
import sys
from collections import Counter
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any

import msgspec
from singer_sdk.singerlib.encoding import GenericSingerReader
from typing_extensions import override

from tap_jetti.errors import InputError, RecordError
from tap_jetti.facts.json_codec import DEEPEST, decode_with, is_too_deep
from tap_jetti.facts.redaction import Redactor
from tap_jetti.facts.secret_fields import is_secret
from tap_jetti.target.name_matching import shown_name
from tap_jetti.target.shown_values import shown_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EXCERPT_LENGTH = 80
"""Characters of an invalid line that an error shows."""

_SHORTEST_DEEP = 2 * DEEPEST
"""The length of a line up to which it cannot be nested too deep."""

_NAMED_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:\s*)("(?:[^"\\]|\\.)*"?|[^\s,{}\[\]]+)')


class UnreadableRecord(dict[str, Any]):
    """The record of a line that is JSON but for a number. It is rejected alone.

    Args:
        record: The record; a number that JSON does not have is there as it was written.
        fault: Why it is rejected.
    """

    def __init__(self, record: dict[str, Any], fault: RecordError) -> None:
        super().__init__(record)
        self.fault = fault


class SingerInput(GenericSingerReader[bytes]):
    """The messages on standard input, with exact decimals.

    Attributes:
        line: The number of the line that is processed, starting with 1.
        size: Its length in bytes or characters, about as much memory as its record takes.
        redactor: What no error shows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.line = 0
        self.size = 0
        self.redactor = Redactor()
        self._decoder = msgspec.json.Decoder(float_hook=Decimal)

    @property
    @override
    def default_input(self) -> IO[bytes]:
        if sys.stdin is None:
            raise InputError("Standard input is closed. Pipe the output of a tap into the target.")
        return sys.stdin.buffer

    @override
    def process_lines(
        self, file_input: IO[Any] | None, callbacks: Mapping[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Pass each message to the callback of its type.

        Args:
            file_input: Lines of bytes or text; None for standard input.
            callbacks: By message type.

        Raises:
            InputError: A line is not a JSON object with a known type.
        """
        counts: Counter[str] = Counter()
        decode = self._decoder.decode
        source = self.default_input if file_input is None else getattr(file_input, "buffer", file_input)
        for line in source:
            self.line += 1
            self.size = size = len(line)
            try:
                message = decode(line)
            except (msgspec.DecodeError, UnicodeError, RecursionError, ArithmeticError) as error:
                if not line.strip():
                    continue
                message = self._decode_repaired(line)
                if message is None:
                    raise InputError(
                        f"Line {self.line} is not valid JSON ({error}): {excerpt(line, self.redactor)}"
                    ) from None
            if size > _SHORTEST_DEEP and _has_many_levels(line) and is_too_deep(message):
                raise InputError(
                    f"Line {self.line} is nested deeper than {DEEPEST} levels: {excerpt(line, self.redactor)}"
                )
            kind = message.get("type") if isinstance(message, dict) else None
            if not isinstance(kind, str) or (callback := callbacks.get(kind)) is None:
                raise InputError(
                    f"Line {self.line} is not a Singer message, since its type is unknown:"
                    f" {excerpt(line, self.redactor)}"
                )
            callback(message)
            counts[kind] += 1
        return counts

    @override
    def deserialize_json(self, line: bytes) -> dict[str, Any]:
        message: dict[str, Any] = self._decoder.decode(line)
        return message

    def _decode_repaired(self, line: bytes | str) -> object:
        """Decode a line that is JSON but for a byte order mark, half a surrogate pair, or a number in a record.

        It returns None for any other line.

        Windows puts the first at the beginning of the input. Programs in JavaScript and Python write the second when
        they cut a text within a character; U+FFFD replaces it.
        """
        content = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
        message = decode_with(
            content.removeprefix(codecs.BOM_UTF8) if self.line == 1 else content, huge=_raw, constant=_raw
        )
        is_readable = _find_raw(message) is None or _mark(message)
        return message if is_readable else None


def _has_many_levels(line: bytes | str) -> bool:
    """Whether a line may be nested too deep: fast, because nothing is decoded."""
    if isinstance(line, str):
        return line.count("[") + line.count("{") > DEEPEST
    return line.count(b"[") + line.count(b"{") > DEEPEST


def _raw(number: str) -> msgspec.Raw:
    return msgspec.Raw(number.encode())


def _mark(message: object) -> bool:
    """Make the record of a message one that is rejected; returns whether nothing else of it is at fault."""
    if not isinstance(message, dict) or message.get("type") != "RECORD" or not isinstance(message.get("record"), dict):
        return False
    record = message["record"]
    found = _find_raw(record)
    if found is None or _find_raw({**message, "record": None}) is not None:
        return False
    path, value = found
    detail = f"{shown_name(path)} must be a number of JSON, not {shown_value('', path.split('.')[0], value)}"
    message["record"] = UnreadableRecord(record, RecordError("column.invalid", detail))
    return True


def _find_raw(value: object) -> tuple[str, object] | None:
    """Where in a JSON value a number is none, by the names and positions that lead to it, and what it is."""
    waiting: list[tuple[str, object]] = [("", value)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, msgspec.Raw):
            return path, item
        inner = [*item.items()] if isinstance(item, dict) else [*enumerate(item)] if isinstance(item, list) else []
        waiting += [(f"{path}.{key}" if path else str(key), one) for key, one in reversed(inner)]
    return None


def excerpt(line: bytes | str, redactor: Redactor) -> str:
    """Return the first characters of a line, with everything masked that is or may be a secret."""
    text = (
        line[: 4 * EXCERPT_LENGTH] if isinstance(line, str) else line[: 4 * EXCERPT_LENGTH].decode("utf-8", "replace")
    )
    masked = redactor.clean(_NAMED_VALUE.sub(_without_secret, text.strip()))
    return masked if len(masked) <= EXCERPT_LENGTH else masked[:EXCERPT_LENGTH] + "…"


def _without_secret(found: re.Match[str]) -> str:
    name, colon, value = found.groups()
    return f'"{name}"{colon}"***"' if name == "hash" or is_secret("", name) else f'"{name}"{colon}{value}'
