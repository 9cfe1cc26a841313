"""A call that the vendor's guides name in two ways: the first is tried, and what works is remembered."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tap_jetti.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class RenamedCall:
    """Writes to whichever of several names exists. Threads may share it.

    Args:
        write: Makes a call of a method, a path and a body.
        names: The last part of the path, the likeliest first.
        say: Told once if it is not the first.
    """

    def __init__(
        self, write: Callable[[str, str, object], object], names: Sequence[str], *, say: Callable[..., None]
    ) -> None:
        self._write = write
        self._names = tuple(names)
        self._known: str | None = None
        self._lock = threading.Lock()
        self._say = say

    def write(self, method: str, path: str, body: object) -> None:
        """Make the call.

        Args:
            method: The HTTP method.
            path: What comes before the name, without a slash at its end.
            body: What is sent.

        Raises:
            NotFoundError: None of the names exists, or what the path leads to does not: the
                answer to the first name.
            RequestError: The call failed.
        """
        if self._known is not None:
            self._write(method, f"{path}/{self._known}.json", body)
            return
        missing: NotFoundError | None = None
        for name in self._names:
            try:
                self._write(method, f"{path}/{name}.json", body)
            except NotFoundError as error:
                missing = missing or error
                continue
            with self._lock:
                is_news = self._known is None and name != self._names[0]
                self._known = self._known or name
            if is_news:
                self._say("Jetti knows no %s: %s is used from here on.", self._names[0], name)
            return
        if missing is not None:
            raise missing
