"""The forms in which values and keys are remembered, and which forms of a value are likely to mean the same."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from tap_jetti.target.fields import LARGEST_EXPONENT, LONGEST_VERBATIM, comparable

if TYPE_CHECKING:
    from collections.abc import Hashable

Short = str | bool | None
"""A value as it is remembered: see `short_form`."""

_DIGEST = "#"
_PLAIN = "~"
_NUMBERS = frozenset({"integer", "quantity", "number"})
_NESTED = frozenset({"array", "json"})


def key_hash(resource: str, parent: int | None, field: str, value: Hashable) -> int:
    """Return 63 bits that stand for a key."""
    text = f"{resource}\0{parent or ''}\0{field}\0{value}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def field_hash(short: Short) -> bytes:
    """Return 8 bytes that stand for a value."""
    return hashlib.blake2b(msgspec.msgpack.encode(short), digest_size=8).digest()


def short_form(kind: str, value: Any) -> Short:  # noqa: ANN401 - any JSON
    """Return a short text that is equal for values that mean the same, see `comparable`.

    Of a long text it is a digest, with a second one behind it of the text without regard to case and blanks.
    """
    short = comparable(kind, value)
    if not (isinstance(short, str) and short.startswith(_DIGEST) and len(short) > LONGEST_VERBATIM - 8):
        return short
    if kind in _NESTED:
        return f"{short}{_PLAIN}{_plain_digest(_plain_json(value))}"
    return f"{short}{_PLAIN}{_plain_digest(_plain_text(str(value)))}" if isinstance(value, str) else short


def is_likely_form(kind: str, sent: Short, shown: Short) -> bool:
    """Whether what Jetti shows is likely what it makes of a value that was sent.

    Only differences of these kinds are: blanks, case, an empty text and null, and fewer decimal places.
    """
    if isinstance(sent, bool) or isinstance(shown, bool):
        return sent is shown
    if kind in _NUMBERS:
        return _is_rounded(sent, shown)
    if kind in _NESTED:
        return _plain_of(_empty_json(sent), is_json=True) == _plain_of(_empty_json(shown), is_json=True)
    return _plain_of(sent, is_json=False) == _plain_of(shown, is_json=False)


def _plain_of(short: Short, *, is_json: bool) -> str:
    text = "" if short is None else str(short)
    if text.startswith(_DIGEST) and _PLAIN in text:
        return text.rpartition(_PLAIN)[2]
    if is_json:
        try:
            text = _plain_json(json.loads(text)) if text else ""
        except ValueError:
            text = _plain_text(text)
    else:
        text = _plain_text(text)
    return _plain_digest(text)


def _plain_text(text: str) -> str:
    return " ".join(text.split()).casefold()


def _plain_json(value: Any) -> str:  # noqa: ANN401 - any JSON
    def plain(one: Any) -> Any:  # noqa: ANN401 - the same
        if isinstance(one, str):
            return _plain_text(one)
        if isinstance(one, dict):
            return {str(name): plain(part) for name, part in one.items()}
        if isinstance(one, (list, tuple)):
            return [plain(part) for part in one]
        return one if isinstance(one, bool) or one is None else "n" + str(Decimal(str(one)).normalize())

    try:
        return json.dumps(plain(value), sort_keys=True, ensure_ascii=False)
    except (RecursionError, ArithmeticError):
        return str(value)


def _empty_json(short: Short) -> Short:
    return None if short in {"", "[]", "{}", '""'} else short


def _plain_digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _is_rounded(sent: Short, shown: Short) -> bool:
    try:
        given, found = Decimal(str(sent)), Decimal(str(shown))
    except ArithmeticError:
        return not sent and not shown
    if not all(one.is_finite() and abs(one.adjusted()) <= LARGEST_EXPONENT for one in (given, found)):
        return False
    places, fewer = (max(0, -int(one.normalize().as_tuple().exponent)) for one in (given, found))
    return fewer < places and abs(given - found) <= Decimal(5).scaleb(-fewer - 1)
