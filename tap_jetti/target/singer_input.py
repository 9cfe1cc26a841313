"""Reads Singer messages line by line, and says which line is wrong without showing a secret."""

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

from tap_jetti.errors import InputError
from tap_jetti.facts.json_codec import decode_json
from tap_jetti.facts.secret_fields import is_secret, mask_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SHOWN = 80
"""Characters of a bad line that an error shows."""

_NAMED_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:\s*)("(?:[^"\\]|\\.)*"?|[^\s,{}\[\]]+)')


class SingerInput(GenericSingerReader[bytes]):
    """The messages on standard input, decimals exact.

    Attributes:
        line: The number of the line being processed, from 1.
        size: Its length in bytes or characters: roughly what its record takes in memory.
        secrets: Values that no error may show.
    """

    def __init__(self) -> None:
        super().__init__()
        self.line = 0
        self.size = 0
        self.secrets: tuple[str, ...] = ()
        self._decoder = msgspec.json.Decoder(float_hook=Decimal)

    @property
    @override
    def default_input(self) -> IO[bytes]:
        return sys.stdin.buffer

    @override
    def process_lines(
        self, file_input: IO[Any] | None, callbacks: Mapping[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Hand each message to the callback of its type.

        Args:
            file_input: Lines of bytes or text; None is standard input.
            callbacks: By message type.

        Raises:
            InputError: A line is no JSON object with a known type.
        """
        counts: Counter[str] = Counter()
        decode = self._decoder.decode
        for line in self.default_input if file_input is None else getattr(file_input, "buffer", file_input):
            self.line += 1
            self.size = len(line)
            try:
                message = decode(line)
            except (msgspec.DecodeError, UnicodeError, RecursionError, ArithmeticError) as error:
                if not line.strip():
                    continue
                message = self._mended(line)
                if message is None:
                    raise InputError(f"Line {self.line} is no JSON ({error}): {self._shown(line)}") from None
            kind = message.get("type") if isinstance(message, dict) else None
            callback = callbacks.get(kind) if isinstance(kind, str) else None
            if callback is None:
                raise InputError(f"Line {self.line} is no Singer message: its type is unknown: {self._shown(line)}")
            callback(message)
            counts[str(kind)] += 1
        return counts

    @override
    def deserialize_json(self, line: bytes) -> dict[str, Any]:
        message: dict[str, Any] = self._decoder.decode(line)
        return message

    def _mended(self, line: bytes | str) -> object:
        """The message of a line that is JSON but for a byte order mark or half a surrogate pair; None if it is not.

        Windows puts the first at the beginning of the input; programs in JavaScript and Python
        write the second of a text that was cut, and U+FFFD takes its place.
        """
        content = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
        try:
            return decode_json(content.removeprefix(codecs.BOM_UTF8) if self.line == 1 else content)
        except (msgspec.DecodeError, UnicodeError, RecursionError, ArithmeticError):
            return None

    def _shown(self, line: bytes | str) -> str:
        return shown(line, self.secrets)


def shown(line: bytes | str, secrets: Sequence[str] = ()) -> str:
    """The first characters of a line, with what is or may be a secret masked."""
    text = line[: 4 * SHOWN] if isinstance(line, str) else line[: 4 * SHOWN].decode("utf-8", "replace")
    for secret in secrets:
        text = text.replace(secret, "***")
    masked = _NAMED_VALUE.sub(_without_secret, mask_credentials(text.strip()))
    return masked if len(masked) <= SHOWN else masked[:SHOWN] + "…"


def _without_secret(found: re.Match[str]) -> str:
    name, colon, value = found.groups()
    return f'"{name}"{colon}"***"' if name == "hash" or is_secret("", name) else f'"{name}"{colon}{value}'
