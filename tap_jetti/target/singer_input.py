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

from tap_jetti.errors import InputError
from tap_jetti.facts.json_codec import decode_json
from tap_jetti.facts.secret_fields import is_secret, mask_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

EXCERPT_LENGTH = 80
"""Characters of an invalid line that an error shows."""

_NAMED_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:\s*)("(?:[^"\\]|\\.)*"?|[^\s,{}\[\]]+)')


class SingerInput(GenericSingerReader[bytes]):
    """The messages on standard input, with exact decimals.

    Attributes:
        line: The number of the line that is processed, starting with 1.
        size: Its length in bytes or characters, about as much memory as its record takes.
        secrets: Values that no error shows.
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
        for line in self.default_input if file_input is None else getattr(file_input, "buffer", file_input):
            self.line += 1
            self.size = len(line)
            try:
                message = decode(line)
            except (msgspec.DecodeError, UnicodeError, RecursionError, ArithmeticError) as error:
                if not line.strip():
                    continue
                message = self._decode_repaired(line)
                if message is None:
                    raise InputError(
                        f"Line {self.line} is not valid JSON ({error}): {excerpt(line, self.secrets)}"
                    ) from None
            kind = message.get("type") if isinstance(message, dict) else None
            callback = callbacks.get(kind) if isinstance(kind, str) else None
            if callback is None:
                raise InputError(
                    f"Line {self.line} is not a Singer message, since its type is unknown:"
                    f" {excerpt(line, self.secrets)}"
                )
            callback(message)
            counts[str(kind)] += 1
        return counts

    @override
    def deserialize_json(self, line: bytes) -> dict[str, Any]:
        message: dict[str, Any] = self._decoder.decode(line)
        return message

    def _decode_repaired(self, line: bytes | str) -> object:
        """Decode a line that is JSON except for a byte order mark or half a surrogate pair; None if it is not.

        Windows puts the first at the beginning of the input. Programs in JavaScript and Python write the second when
        they cut a text within a character; U+FFFD replaces it.
        """
        content = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
        try:
            return decode_json(content.removeprefix(codecs.BOM_UTF8) if self.line == 1 else content)
        except (msgspec.DecodeError, UnicodeError, RecursionError, ArithmeticError):
            return None


def excerpt(line: bytes | str, secrets: Sequence[str] = ()) -> str:
    """Return the first characters of a line, with everything masked that is or may be a secret."""
    text = (
        line[: 4 * EXCERPT_LENGTH] if isinstance(line, str) else line[: 4 * EXCERPT_LENGTH].decode("utf-8", "replace")
    )
    for secret in secrets:
        text = text.replace(secret, "***")
    masked = _NAMED_VALUE.sub(_without_secret, mask_credentials(text.strip()))
    return masked if len(masked) <= EXCERPT_LENGTH else masked[:EXCERPT_LENGTH] + "…"


def _without_secret(found: re.Match[str]) -> str:
    name, colon, value = found.groups()
    return f'"{name}"{colon}"***"' if name == "hash" or is_secret("", name) else f'"{name}"{colon}{value}'
