"""One page of rows, and how the bytes of a response become one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from tap_jetti.facts.json_codec import decode_json, encode_json
from tap_jetti.facts.resources import PRIMARY_KEY, REPLICATION_KEY
from tap_jetti.facts.timestamps import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = dict[str, Any]

Decode = Callable[[bytes], "Page"]
"""Makes a page of the body of a response."""


@dataclass(frozen=True)
class Page:
    """The rows of one response, of whatever type its decoder makes them, and their keys.

    Attributes:
        rows: The rows.
        ids: The ``id`` of each.
        keys: The ``updatedAt`` of each in the normal form, or None.
    """

    rows: list[Any]
    ids: list[int]
    keys: list[Any]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        """The rows."""
        return iter(self.rows)

    def only(self, wanted: Sequence[int] | range) -> Page:
        """The page with these of its rows, by position."""
        if len(wanted) == len(self.rows):
            return self
        return Page(
            [self.rows[index] for index in wanted],
            [self.ids[index] for index in wanted],
            [self.keys[index] for index in wanted],
        )

    def values(self, name: str) -> list[Any]:
        """The values of one of the two keys."""
        return self.ids if name == PRIMARY_KEY else self.keys


_LONGEST_ID = 20
"""Maximum number of digits of an `id` that is given as text."""


class MalformedPageError(ValueError):
    """An answer is well-formed JSON, but no list of rows with their keys."""


def decode_objects(content: bytes) -> Page:
    """A page of dicts, with decimals exact and keys in their normal form.

    Raises:
        msgspec.DecodeError: The content is no complete JSON.
        MalformedPageError: It is not a list of objects with an ``id``.
    """
    rows = decode_json(content, huge_as_text=True)
    if not isinstance(rows, list):
        raise MalformedPageError(f"expected a JSON array, got {type(rows).__name__}")
    for row in rows:
        _normalise_keys(row)
    return Page(rows, [row[PRIMARY_KEY] for row in rows], [row.get(REPLICATION_KEY) for row in rows])


class _Keys(msgspec.Struct, gc=False):
    id: int | str
    updatedAt: str | None = None  # noqa: N815 - the API's own spelling


_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_KEYS = msgspec.json.Decoder(list[_Keys])


def decode_raw(content: bytes) -> Page:
    """A page of rows that are not decoded yet, `msgspec.Raw` each: a tenth of the memory.

    Raises:
        msgspec.DecodeError: The content is no complete JSON.
        MalformedPageError: It is not a list of objects with an ``id``.
    """
    try:
        found = _KEYS.decode(content)
    except msgspec.ValidationError as error:
        raise MalformedPageError(f"expected rows with their keys: {error}") from error
    except msgspec.DecodeError:
        return decode_raw(encode_json(decode_json(content, huge_as_text=True)))  # with what it has a remedy for
    rows: list[dict[str, Any]] = [{PRIMARY_KEY: row.id, REPLICATION_KEY: row.updatedAt} for row in found]
    for row in rows:
        _normalise_keys(row)
    return Page(_ROWS.decode(content), [row[PRIMARY_KEY] for row in rows], [row[REPLICATION_KEY] for row in rows])


def encode_raw(rows: Sequence[msgspec.Raw]) -> bytes:
    """The body of an answer with these rows."""
    return b"[" + b",".join(map(bytes, rows)) + b"]"


def _normalise_keys(row: Any) -> None:  # noqa: ANN401 - unchecked
    if not isinstance(row, dict):
        raise MalformedPageError(f"expected each row to be an object, got {type(row).__name__}")
    key = row.get(PRIMARY_KEY)
    if type(key) is not int:
        if not (isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) <= _LONGEST_ID):
            raise MalformedPageError(f"expected an integer {PRIMARY_KEY}, got {type(key).__name__}")
        key = row[PRIMARY_KEY] = int(key)
    if not -(2**63) <= key < 2**63:
        raise MalformedPageError(f"expected an integer {PRIMARY_KEY} of 64 bits")
    date = row.get(REPLICATION_KEY)
    if date is not None:
        try:
            row[REPLICATION_KEY] = normalise(str(date))
        except ValueError as error:
            raise MalformedPageError(f"expected a date as {REPLICATION_KEY}: {error} (id {key})") from error
