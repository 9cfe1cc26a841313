"""Writes that must not be repeated: looked for before, and after a failure that may have come too late."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tap_jetti.errors import RetriableError, UncertainWriteError
from tap_jetti.target.delivery.record_errors import record_error_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock

Found = TypeVar("Found")

LOOKS = (0.0, 1.0, 4.0)
"""Seconds before each look for a write whose answer was lost: a slow server may still be at it."""


def write_once(write: Callable[[], object], find: Callable[[], Found | None], *, clock: Clock) -> Found | None:
    """Make a write at most once.

    Args:
        write: Makes it, without any repetition of its own after it may have arrived.
        find: Looks for its effect.
        clock: What to wait by.

    Returns:
        What was found in place of an answer; None if the write was answered.

    Raises:
        UncertainWriteError: The answer was lost and there is no effect to be seen: it is not sent again.
        RecordError: Jetti refused it, in words that only a look at the effect told from a failure.
        RequestError: It failed, and cannot have arrived.
    """
    try:
        write()
    except RetriableError as error:
        if not error.may_have_arrived:
            raise
        for seconds in LOOKS:
            clock.sleep(seconds)
            found = find()
            if found is not None:
                return found
        refusal = record_error_of(error)
        if refusal is not None:
            raise refusal from error
        raise UncertainWriteError(
            "uncertain",
            f"no answer came ({error.what}, {error.method} {error.path}) and no effect is to be seen."
            " It is not sent again by itself: check it in Jetti, then feed it in once more",
            status=error.status,
        ) from error
    return None
