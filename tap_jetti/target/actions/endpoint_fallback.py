"""A call whose endpoint has two names in the vendor's guides: tries the first, then the second."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tap_jetti.errors import NotFoundError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence


class EndpointFallback:
    """Writes to the first of several endpoints that exists, and remembers which one it is. Thread-safe.

    Args:
        write: Makes a call; takes the method, the path and the body.
        endpoints: The last parts of the path, the most likely one first.
        logger: For a message if it is not the first one.
    """

    def __init__(
        self, write: Callable[[str, str, object], object], endpoints: Sequence[str], *, logger: logging.Logger
    ) -> None:
        self._write = write
        self._endpoints = tuple(endpoints)
        self._known: str | None = None
        self._lock = threading.Lock()
        self._logger = logger

    def write(self, method: str, path: str, body: object) -> None:
        """Make the call.

        Args:
            method: The HTTP method.
            path: The path before the endpoint, without a trailing slash.
            body: The body.

        Raises:
            NotFoundError: No endpoint exists, or the path before it does not: the error of the first endpoint.
            RequestError: The call failed.
        """
        if self._known is not None:
            self._write(method, f"{path}/{self._known}.json", body)
            return
        missing: NotFoundError | None = None
        for endpoint in self._endpoints:
            try:
                self._write(method, f"{path}/{endpoint}.json", body)
            except NotFoundError as error:
                missing = missing or error
                continue
            self._remember(endpoint)
            return
        if missing is not None:
            raise missing

    def _remember(self, endpoint: str) -> None:
        with self._lock:
            is_first_to_know = self._known is None
            self._known = self._known or endpoint
        expected = self._endpoints[0]
        if is_first_to_know and endpoint != expected:
            self._logger.warning("Jetti has no endpoint %s; using %s from now on.", expected, endpoint)
