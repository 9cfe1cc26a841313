"""Decides whether the run goes on after a stream has failed, and keeps the names of those that did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.errors import (
    ClientError,
    DecodeError,
    ForbiddenError,
    NotFoundError,
    ResponseTooLargeError,
    RetriableError,
    ServerError,
    TransportError,
    UnreliableResponseError,
    worst_exit_code,
)

if TYPE_CHECKING:
    import logging

    from tap_jetti.errors import JettiError

OF_ONE_STREAM = (
    ForbiddenError,
    NotFoundError,
    ClientError,
    ResponseTooLargeError,
    ServerError,
    DecodeError,
    UnreliableResponseError,
)
"""Errors that concern one stream: the others can probably be read. So is a `TransportError` if the response was cut
off, but not if the host could not be reached."""


class FailedStreams:
    """The streams that failed while the run went on with the others.

    Args:
        logger: Where failures are reported.
        causes: Where it is kept why each failed, by stream, in the order of failure.
    """

    def __init__(self, logger: logging.Logger, causes: dict[str, str]) -> None:
        self._causes = causes
        self._exit_codes: set[int] = set()
        self._logger = logger
        self._last_was_server_failure = False

    @property
    def names(self) -> list[str]:
        """Their names, in the order of failure."""
        return list(self._causes)

    @property
    def exit_code(self) -> int:
        """What the run ends with."""
        return worst_exit_code(self._exit_codes)

    def note_success(self) -> None:
        """Record that a stream was read completely."""
        self._last_was_server_failure = False

    def add(self, stream: str, error: JettiError) -> None:
        """Record that a stream failed, so that the run can go on with the next one.

        Raises:
            JettiError: The same error, if the other streams cannot be read either: the token or a setting is
                wrong, the host cannot be reached, the server asks to wait longer than `retry_seconds`, or it failed
                for the previous stream, too (an outage).
        """
        is_cut_off = isinstance(error, TransportError) and error.may_have_arrived
        is_server_failure = is_cut_off or isinstance(error, (ServerError, DecodeError))
        ends_run = isinstance(error, RetriableError) and error.ends_run
        is_of_one_stream = (is_cut_off or isinstance(error, OF_ONE_STREAM)) and not ends_run
        is_outage = is_server_failure and self._last_was_server_failure
        if is_outage or not is_of_one_stream:
            raise error
        self._last_was_server_failure = is_server_failure
        self._causes[stream] = str(error)
        self._exit_codes.add(error.exit_code)
        self._logger.error("Stream %s failed; continuing with the others: %s", stream, error)
