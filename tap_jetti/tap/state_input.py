"""The one way for a state into a run. A state that is not understood is an error, never a silent full reload.

Taken are the forms that people have where their meaning is plain: a state as the tap writes it, a whole STATE message,
what ``meltano state get`` prints, one without the ``bookmarks`` level, and a date under its field's own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import SettingsError
from tap_jetti.facts.resources import REPLICATION_KEY
from tap_jetti.facts.timestamps import normalise

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection

VALUE = "replication_key_value"
_BESIDE_BOOKMARKS = frozenset({"bookmarks", "currently_syncing"})
_CURE = 'It must have the form {"bookmarks": {"sales": {…}}}. Correct it, or remove it to read all rows again.'


def read_state(state: Mapping[str, Any], streams: Collection[str], logger: logging.Logger) -> dict[str, Any]:
    """Bring a state to the form that the tap writes, with dates in their normal form.

    Args:
        state: What the run was given.
        streams: The names of all streams.
        logger: Where bookmarks of streams that do not exist are reported.

    Raises:
        SettingsError: The state, or a bookmark in it, is not understood.
    """
    found = _unwrapped(state)
    if "bookmarks" not in found and found and set(found) <= set(streams):
        found = {"bookmarks": found}
    unknown = sorted(set(found) - _BESIDE_BOOKMARKS)
    if unknown:
        raise SettingsError(f"Invalid state: unknown key {unknown[0]}. {_CURE}")
    bookmarks = found.get("bookmarks", {})
    if not isinstance(bookmarks, Mapping):
        raise SettingsError(f"Invalid state: bookmarks is not an object. {_CURE}")
    _check_streams(bookmarks, streams, logger)
    return {**found, "bookmarks": {stream: _bookmark(stream, value) for stream, value in bookmarks.items()}}


def _unwrapped(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """A state without what STATE messages and Meltano put around it."""
    if state.get("type") == "STATE" and isinstance(state.get("value"), Mapping):
        return _unwrapped(state["value"])
    if isinstance(state.get("singer_state"), Mapping) and len(state) == 1:
        return _unwrapped(state["singer_state"])
    if "completed" in state and set(state) <= {"completed", "partial"}:
        parts = [_unwrapped(state[name]) for name in ("completed", "partial") if isinstance(state.get(name), Mapping)]
        bookmarks = {stream: value for part in parts for stream, value in part.get("bookmarks", {}).items()}
        return {"bookmarks": bookmarks}
    return state


def _check_streams(bookmarks: Mapping[str, Any], streams: Collection[str], logger: logging.Logger) -> None:
    """Refuse a bookmark of what is nearly a stream; name those of streams that do not exist."""
    unknown = sorted(set(bookmarks) - set(streams))
    for stream in unknown:
        near = get_close_matches(stream.replace("-", "_").lower(), sorted(streams), n=1, cutoff=0.85)
        if near and not stream.endswith("_ids"):
            raise SettingsError(f"Invalid state: there is no stream {stream}. Did you mean {near[0]}?")
    if unknown:
        logger.warning("The state has bookmarks of streams that do not exist: %s.", ", ".join(unknown))


def _bookmark(stream: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - unchecked
    """A bookmark in the form that the tap writes."""
    if isinstance(value, str):
        value = {VALUE: value}
    if not isinstance(value, Mapping):
        raise SettingsError(f"Invalid state: the bookmark of stream {stream} is not an object. {_CURE}")
    bookmark = dict(value)
    if VALUE not in bookmark and REPLICATION_KEY in bookmark:
        bookmark[VALUE] = bookmark.pop(REPLICATION_KEY)
    key = bookmark.get("replication_key", REPLICATION_KEY)
    if key != REPLICATION_KEY:
        raise SettingsError(
            f"Invalid state: the bookmark of stream {stream} is one of {key}, and it is read by {REPLICATION_KEY}."
            " Remove it to read all rows again."
        )
    if VALUE not in bookmark:
        if bookmark.keys() & {"progress_markers", "starting_replication_value"}:
            raise SettingsError(
                f"Invalid state: the bookmark of stream {stream} has no {VALUE}. Remove it to read all rows again."
            )
        return bookmark
    try:
        bookmark[VALUE] = normalise(_text(bookmark[VALUE]))
    except ValueError as error:
        raise SettingsError(
            f"Invalid bookmark of stream {stream}: {error}. Correct the state, or remove it to read all rows again."
        ) from error
    bookmark["replication_key"] = REPLICATION_KEY
    return bookmark


def _text(value: object) -> str:
    if value is None:
        raise ValueError("null is not a date")
    return str(value)
