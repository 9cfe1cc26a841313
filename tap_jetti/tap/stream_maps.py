"""The SDK's stream maps: which streams they name, and how an expression that fails is reported."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from difflib import get_close_matches
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import SingerSDKError
from singer_sdk.mapper import NULL_STRING

from tap_jetti.errors import JettiError, SettingsError

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping

    from singer_sdk import Stream

_SIMILARITY = 0.8
_SOURCE = "__source__"


def check_maps(stream_maps: Mapping[str, Any], streams: Mapping[str, Stream], logger: logging.Logger) -> None:
    """Check that the streams and the fields that the setting names exist: the SDK ignores those that do not.

    Args:
        stream_maps: The setting.
        streams: All streams of the tap by name, selected or not.
        logger: Where names are reported that are not near any known one.

    Raises:
        SettingsError: A name is probably misspelt.
    """
    for key, definition in stream_maps.items():
        if key.startswith("__"):
            continue
        source = definition.get(_SOURCE, key) if isinstance(definition, dict) else key
        found = [stream for name, stream in streams.items() if fnmatch(name, source)]
        if not found:
            _report(f"stream {source}", source, list(streams), logger)
        elif isinstance(definition, dict):
            fields = {field for stream in found for field in stream.schema["properties"]}
            removed = {field for field, value in definition.items() if value in (None, NULL_STRING)}
            for field in sorted(removed - fields):
                if not field.startswith("__"):
                    _report(f"field {source}.{field}", field, sorted(fields), logger)


def _report(what: str, given: str, known: list[str], logger: logging.Logger) -> None:
    near = get_close_matches(given, known, n=1, cutoff=_SIMILARITY)
    if near:
        raise SettingsError(f"stream_maps: there is no {what}. Did you mean {near[0]}?")
    logger.warning("stream_maps: there is no %s, so this has no effect.", what)


@contextmanager
def map_errors(stream: str, row_id: object = None) -> Iterator[None]:
    """While this lasts, an error is one of the stream maps, and is said in one line.

    Args:
        stream: The name of the stream; empty for all.
        row_id: The id of the row that is mapped. None: the expressions are only prepared.

    Raises:
        SettingsError: A map is wrong.
    """
    try:
        yield
    except JettiError:
        raise
    except Exception as error:
        # Expressions are the user's own, and may raise anything.
        place = f" on stream {stream}" if stream else ""
        place += "" if row_id is None else f", id {row_id}"
        raise SettingsError(f"stream_maps fail{place}: {_reason(error)}. Correct stream_maps.") from error


def _reason(error: Exception) -> str:
    """What is wrong, without a value of the row, which the texts of many errors show."""
    if isinstance(error, SingerSDKError):
        cause = error.__cause__
        return str(error if cause is None or isinstance(cause, SyntaxError) else cause).rstrip(".")
    # The SDK names the expression only in some of its errors.
    expressions = [frame.f_locals.get("expr") for frame, _ in traceback.walk_tb(error.__traceback__)]
    expression = next((text for text in expressions if isinstance(text, str)), None)
    return f"{type(error).__name__}{f' in {expression}' if expression else ''}"
