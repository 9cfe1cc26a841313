"""What happens to values that do not fit their SCHEMA: the setting ``invalid_values``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import UnreliableResponseError
from tap_jetti.facts.json_codec import encode_json
from tap_jetti.facts.secret_fields import mask_deep, without_secrets
from tap_jetti.tap.values import InvalidValueError, to_number

if TYPE_CHECKING:
    import logging

NULL = "null"
KEEP = "keep"
FAIL = "fail"
POLICIES = (NULL, KEEP, FAIL)
"""The values of the setting invalid_values."""

LOGGED_VALUES = 5
"""Maximum number of values per field in the log."""

_LOGGED_CHARACTERS = 40
"""Maximum length of a value in the log."""


@dataclass
class _Field:
    """The invalid values of one field."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


class InvalidValues:
    """The invalid values of one stream: replaces, counts and reports them.

    A value of a row that is read again right away, because it is at the boundary of two pages, is counted once.

    Args:
        stream: The name of the stream.
        policy: `NULL`, `KEEP` or `FAIL`.
        logger: Where they are reported.

    Attributes:
        count: The number of invalid values so far.
    """

    def __init__(self, stream: str, policy: str, logger: logging.Logger) -> None:
        self.count = 0
        self._stream = stream
        self._policy = policy
        self._logger = logger
        self._fields: dict[str, _Field] = {}
        self._in_page: set[tuple[str, object]] = set()
        self._in_last_page: set[tuple[str, object]] = set()
        self._arrays_with_numbers: set[str] = set()

    def begin_page(self) -> None:
        """Say that the next values are those of the next page."""
        if self._in_page or self._in_last_page:
            self._in_last_page, self._in_page = self._in_page, set()

    def replace(self, column: str, value: object, error: InvalidValueError, row_id: object) -> Any:  # noqa: ANN401 - any JSON
        """Return what to write instead of an invalid value.

        Args:
            column: The column that it belongs to.
            value: The value.
            error: Why it is invalid.
            row_id: The ``id`` of its row.

        Raises:
            UnreliableResponseError: The policy is `FAIL`.
        """
        if self._policy == FAIL:
            raise UnreliableResponseError(
                f"Stream {self._stream} has an invalid value in {column} (id {row_id}): {error}, got {_shown(value)}."
                " To read it anyway, set invalid_values to null or keep."
            )
        place = (column, row_id)
        if place not in self._in_page and place not in self._in_last_page:
            self._note(column, value, error, row_id)
        self._in_page.add(place)
        return value if self._policy == KEEP else None

    def note_number_in_array(self, column: str) -> None:
        """Report once per column that its arrays hold numbers, which are written as text."""
        if column not in self._arrays_with_numbers:
            self._arrays_with_numbers.add(column)
            self._logger.warning(
                "Stream %s has numbers in the array %s. They are written as text, as its SCHEMA says.",
                self._stream,
                column,
            )

    def report(self) -> None:
        """Log how many values of each field were invalid, and some of them."""
        for column, found in self._fields.items():
            self._logger.info(
                "Stream %s: %d invalid in %s, %s: %s%s.",
                self._stream,
                found.count,
                column,
                self._outcome,
                ", ".join(found.examples),
                ", …" if found.count > len(found.examples) else "",
            )

    def _note(self, column: str, value: object, error: InvalidValueError, row_id: object) -> None:
        self.count += 1
        example = f"{_shown(value)} (id {row_id})"
        if column not in self._fields:
            self._fields[column] = _Field()
            self._logger.warning(
                "Stream %s has invalid values in %s, %s. The first: %s, %s.",
                self._stream,
                column,
                self._outcome,
                error,
                example,
            )
        found = self._fields[column]
        found.count += 1
        if len(found.examples) < LOGGED_VALUES:
            found.examples.append(example)

    @property
    def _outcome(self) -> str:
        return "kept as they are" if self._policy == KEEP else "written as null"


def may_contain_nul(content: bytes) -> bool:
    """Whether a text in this JSON may contain NUL. True may be wrong, False is always right."""
    return b"\\" in content and rb"\u0000" in content  # a search for one byte is twenty times as fast


def public(value: object) -> Any:  # noqa: ANN401 - any JSON
    """Return a value that the schema does not describe as it may be emitted: without secrets, and `loadable`."""
    return loadable(mask_deep(without_secrets(value)))


def loadable(value: Any) -> Any:  # noqa: ANN401 - any JSON
    r"""Return a value as databases take it in a column of any JSON.

    At any depth, NUL is spelt ``\u0000``, and a number out of range becomes its text.
    """
    if isinstance(value, str):
        return value.replace("\0", "\\u0000")
    if isinstance(value, list):
        return [loadable(item) for item in value]
    if isinstance(value, dict):
        return {loadable(key): loadable(item) for key, item in value.items()}
    if isinstance(value, Decimal):
        try:
            to_number(value)
        except InvalidValueError:
            return str(value)
    return value


def _shown(value: object) -> str:
    """Return a value for the log: masked, in ASCII, without control characters, cut."""
    text = value if isinstance(value, str) else encode_json(mask_deep(without_secrets(value))).decode()
    masked = mask_deep(text)
    return json.dumps(masked if len(masked) <= _LOGGED_CHARACTERS else f"{masked[:_LOGGED_CHARACTERS]}…")
