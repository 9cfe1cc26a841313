"""Makes a write that must not be repeated, and finds out whether it took effect if its response is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tap_jetti.errors import RetriableError, UncertainWriteError
from tap_jetti.target.delivery.record_errors import record_error_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock

Found = TypeVar("Found")

PAUSES = (0.0, 1.0, 4.0)
"""Seconds before each search for the effect of a write: a slow server may still be processing it."""


def write_once(write: Callable[[], object], find: Callable[[], Found | None], *, clock: Clock) -> Found | None:
    """Make a write at most once.

    Args:
        write: Makes the write. It must not retry a request that may have arrived.
        find: Searches for the effect of the write; returns None if it finds nothing.
        clock: For the pauses between searches.

    Returns:
        What `find` found after the response was lost; None if there was a response.

    Raises:
        UncertainWriteError: The response was lost and no effect was found. The write is not sent again.
        RecordError: Jetti answered with a business error (5xx), and no effect was found.
        RequestError: The write failed and cannot have arrived.
    """
    try:
        write()
    except RetriableError as error:
        if not error.may_have_arrived:
            raise
        for seconds in PAUSES:
            clock.sleep(seconds)
            found = find()
            if found is not None:
                return found
        rejection = record_error_of(error)
        if rejection is not None:
            raise rejection from error
        raise UncertainWriteError(
            "uncertain",
            f"there was no response ({error.what}, {error.method} {error.path}) and no effect was found."
            " It may have been written, so it is not sent again automatically:"
            " check it in Jetti, and send the record again if it is not there",
            status=error.status,
        ) from error
    return None
