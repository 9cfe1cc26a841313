"""The one way for a state into a run. A state that is not understood is an error, never a silent full reload.

Taken are the forms that people have where their meaning is plain: a state as the tap writes it, a whole STATE message,
what Meltano prints or stores, one without the ``bookmarks`` level, and a date under its field's own name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import SettingsError
from tap_jetti.facts import resources
from tap_jetti.facts.resources import REPLICATION_KEY
from tap_jetti.facts.timestamps import normalise
from tap_jetti.reading.resource_facts import BOOKMARK_KEY
from tap_jetti.tap.column_names import to_snake_case

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterator

VALUE = "replication_key_value"
_NAME = "replication_key"
_KEY_NAMES = (REPLICATION_KEY, to_snake_case(REPLICATION_KEY))
_BESIDE_BOOKMARKS = frozenset({"bookmarks", "currently_syncing"})
_BESIDE_WRAPPERS = frozenset({"type", "time", "time_extracted", "state_id"})
OWNER = "account"
"""The key by which `jetti sync` tells whose state it is. The tap does not need it."""

_WRAPPERS = ("singer_state", "value", "state")
_PARTS = ("completed", "completed_state", "partial", "partial_state")
"""What Meltano calls the states of a pipeline, the later ones being newer."""

_CURE = 'It must have the form {"bookmarks": {"sales": {…}}}. Correct it, or remove it to read all rows again.'
_SIMILARITY = 0.8


def read_state(state: Mapping[str, Any], streams: Collection[str], logger: logging.Logger) -> dict[str, Any]:
    """Bring a state to the form that the tap writes, with dates in their normal form.

    Args:
        state: What the run was given.
        streams: The names of all streams.
        logger: Where bookmarks of streams that do not exist are reported.

    Raises:
        SettingsError: The state, or a bookmark in it, is not understood.
    """
    found = {name: value for name, value in _with_bookmarks(_unwrapped(state), streams).items() if name != OWNER}
    unknown = sorted(set(found) - _BESIDE_BOOKMARKS)
    if unknown:
        raise SettingsError(f"Invalid state: unknown key {unknown[0]}. {_CURE}")
    bookmarks = found.get("bookmarks", {})
    if not isinstance(bookmarks, Mapping):
        raise SettingsError(f"Invalid state: bookmarks is not an object. {_CURE}")
    _check_streams(bookmarks, streams, logger)
    return {**found, "bookmarks": {stream: _bookmark(stream, value) for stream, value in bookmarks.items()}}


def _unwrapped(state: Any) -> dict[str, Any]:  # noqa: ANN401 - unchecked
    """A state without what STATE messages and Meltano put around it.

    Raises:
        SettingsError: There is no state in it.
    """
    if isinstance(state, str):
        try:
            state = json.loads(state)
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"Invalid state: a text in it is not JSON. {_CURE}") from error
    if not isinstance(state, Mapping):
        raise SettingsError(f"Invalid state: {json.dumps(state)} where an object must be. {_CURE}")
    if "bookmarks" in state:
        return dict(state)
    inside = state.keys() - _BESIDE_WRAPPERS
    if inside and inside <= set(_PARTS):  # all of them are empty before the first run
        parts = [_unwrapped(state[name]) for name in _PARTS if state.get(name)]
        return {"bookmarks": {stream: value for part in parts for stream, value in _bookmarks_of(part)}}
    if len(inside) == 1 and inside <= set(_WRAPPERS):
        return _unwrapped(state[inside.pop()])
    return dict(state)


def _bookmarks_of(part: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The bookmarks of a part of Meltano's state, which is empty or a state.

    Raises:
        SettingsError: It is neither.
    """
    bookmarks = part.get("bookmarks", {})
    if not isinstance(bookmarks, Mapping) or (part and "bookmarks" not in part):
        raise SettingsError(f"Invalid state: unknown key {next(iter(part))}. {_CURE}")
    yield from bookmarks.items()


def _with_bookmarks(state: dict[str, Any], streams: Collection[str]) -> dict[str, Any]:
    """A state with the ``bookmarks`` level, also if streams stand where it should be."""
    outer = {name: value for name, value in state.items() if name in _BESIDE_BOOKMARKS}
    inner = {name: value for name, value in state.items() if name not in _BESIDE_BOOKMARKS}
    is_wrapped = not {*_PARTS, *_WRAPPERS}.isdisjoint(inner)
    if "bookmarks" in state or is_wrapped or not any(name in streams for name in inner):
        return state
    return {**outer, "bookmarks": inner}


def _check_streams(bookmarks: Mapping[str, Any], streams: Collection[str], logger: logging.Logger) -> None:
    """Refuse a bookmark of what is nearly a stream that has none; name those of streams that do not exist."""
    unknown = sorted(set(bookmarks) - set(streams))
    known = sorted(set(streams) - set(bookmarks))
    for stream in unknown:
        spelt = stream.replace("-", "_").replace(".", "_").lower()
        near = [name for name in known if spelt.endswith(f"_{name}")] or get_close_matches(
            spelt, known, n=1, cutoff=_SIMILARITY
        )
        if near and not stream.endswith("_ids"):
            raise SettingsError(f"Invalid state: there is no stream {stream}. Did you mean {max(near, key=len)}?")
    if unknown:
        logger.warning("The state has bookmarks of streams that do not exist: %s.", ", ".join(unknown))


def _bookmark(stream: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - unchecked
    """A bookmark in the form that the tap writes."""
    if isinstance(value, str):
        value = {VALUE: value}
    if not isinstance(value, Mapping):
        raise SettingsError(
            f"Invalid state: the bookmark of stream {stream} is {'null' if value is None else 'not an object'}. {_CURE}"
        )
    bookmark = dict(value)
    own_name = next((name for name in _KEY_NAMES if name in bookmark), None)
    if VALUE not in bookmark and own_name:
        bookmark[VALUE] = bookmark.pop(own_name)
    key = bookmark.get(_NAME)
    if key is not None and key not in _KEY_NAMES:
        raise SettingsError(
            f"Invalid state: the bookmark of stream {stream} is one of {key}, and it is read by {REPLICATION_KEY}."
            " Remove it to read all rows again."
        )
    if VALUE in bookmark:
        return {**bookmark, _NAME: REPLICATION_KEY, VALUE: _date(stream, bookmark[VALUE])}
    others = sorted(name for name, found in bookmark.items() if found is not None and name != BOOKMARK_KEY)
    if others and stream in resources.names() and resources.replication_key(stream):
        raise SettingsError(
            f"Invalid state: the bookmark of stream {stream} has {others[0]}, and no {VALUE}."
            " Correct it, or remove it to read all rows again."
        )
    return bookmark


def _date(stream: str, value: Any) -> str:  # noqa: ANN401 - unchecked
    cure = "Correct the state, or remove it to read all rows again."
    if value is None:
        raise SettingsError(f"Invalid bookmark of stream {stream}: null is not a date. {cure}")
    try:
        return normalise(str(value))
    except ValueError as error:
        raise SettingsError(f"Invalid bookmark of stream {stream}: {error}. {cure}") from error
