"""How the name of a column is compared with the names of fields: its spelling, invisible characters, typing errors."""

from __future__ import annotations

import unicodedata
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_BOM_AS_LATIN_1 = "\u00ef\u00bb\u00bf"
"""A byte order mark that was read as Latin-1 or Windows-1252."""

_SHORTEST_WITH_ONE_CHANGE = 5
_SHORTEST_WITH_TWO_CHANGES = 7
"""Shorter names than these differ by that many characters and mean other things, such as ``tag`` and ``tags``."""

_ABBREVIATION = 0.6
"""The smallest part of a name's length that is an abbreviation of it, such as ``inventoryQty``."""

_LONGEST_NAME = 200
"""Longer names are compared and shown only up to here."""


def without_invisible(name: str) -> str:
    """Return a name without invisible characters, and without the blanks and quotation marks around it.

    A file with a byte order mark that is read without regard to it has the mark in the name of its first column,
    and the column's quotation marks with it.
    """
    if name.isascii() and name.isprintable():
        return name.strip(' "')
    visible = name.removeprefix(_BOM_AS_LATIN_1)
    return "".join(one for one in visible if not _is_invisible(one)).strip(' "')


def folded(name: str) -> str:
    """Return the form in which names are equal that differ in case and underscores only."""
    return name.replace("_", "").lower()


def shown_name(name: str, *, ascii_only: bool = False) -> str:
    """Return a name as a message shows it, each invisible character by its Unicode name.

    Args:
        name: Any text.
        ascii_only: Whether other characters that are not ASCII are shown by their names, too. Some look like Latin
            letters.
    """
    shown = "".join(
        f"<{unicodedata.name(one, f'U+{ord(one):04X}')}>"
        if _is_invisible(one) or (ascii_only and not one.isascii())
        else one
        for one in name[:_LONGEST_NAME]
    )
    return shown + "…" if len(name) > _LONGEST_NAME else shown


def near(name: str, known: Iterable[str]) -> str | None:
    """Return the name that another one is probably a misspelling or an abbreviation of; None if there is none.

    Args:
        name: A name in its `folded` form.
        known: Names in their own spelling.
    """
    if len(name) < _SHORTEST_WITH_ONE_CHANGE:
        return None
    allowed = 2 if len(name) >= _SHORTEST_WITH_TWO_CHANGES else 1
    best, fewest = None, allowed + 1
    for field in known:
        other = folded(field)
        if abs(len(other) - len(name)) <= allowed and len(set(other) ^ set(name)) <= 2 * allowed:
            changes = _changes(name, other)
            if changes < fewest:
                best, fewest = field, changes
    return best or next((field for field in known if _abbreviates(name, folded(field))), None)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the name that is most like another one, however different both are.

    Args:
        name: A name in its `folded` form.
        known: Names in their own spelling, at least one.
    """
    return max(sorted(known), key=lambda field: _likeness(name, folded(field)))


def _is_invisible(character: str) -> bool:
    return not character.isprintable()


def _changes(name: str, other: str) -> int:
    """About how many characters have to be typed differently."""
    steps = SequenceMatcher(None, name, other, autojunk=False).get_opcodes()
    return sum(max(end - begin, to - start) for step, begin, end, start, to in steps if step != "equal")


def _abbreviates(name: str, other: str) -> bool:
    return (
        _ABBREVIATION * len(other) <= len(name) < len(other)
        and name[0] == other[0]
        and name[-1] == other[-1]
        and _is_within(name, other)
    )


def _is_within(name: str, other: str) -> bool:
    """Whether the characters of a name are in another one, in their order."""
    rest = iter(other)
    return all(character in rest for character in name)


def _likeness(name: str, other: str) -> float:
    ratio = SequenceMatcher(None, name, other, autojunk=False).ratio()
    if not name or not other:
        return ratio
    if name in other or other in name:
        return max(ratio, 0.8)
    return max(ratio, 0.7) if _is_within(name, other) and len(name) > 2 else ratio  # noqa: PLR2004 - two letters are in most names
