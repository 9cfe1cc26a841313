"""Standard output, to which every line is written completely or not at all."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tap_jetti.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Output:
    """Writes lines that are never cut, neither by a signal nor by a full pipe.

    The handler of a signal runs in the main thread, perhaps in the middle of a write. To raise there would cut a line.
    So the handler calls `interrupt`, which raises at once if nothing is being written, and otherwise at the end of the
    write.
    """

    def __init__(self) -> None:
        self._is_writing = False
        self._is_deferring = False
        self._interruption: BaseException | None = None

    def interrupt(self, interruption: BaseException) -> None:
        """Raise `interruption` now, or at the end of the write, or of the messages, that must not be cut."""
        if not (self._is_writing or self._is_deferring):
            raise interruption
        self._interruption = interruption

    @contextmanager
    def deferred_interrupts(self) -> Iterator[None]:
        """While this lasts, an interruption waits, so that several messages leave together. For the main thread."""
        self._is_deferring = True
        try:
            yield
        finally:
            self._is_deferring = False
        self._raise_deferred()

    def write(self, lines: bytes) -> None:
        """Write complete lines.

        Raises:
            OutputError: Standard output is closed, or its disk is full.
        """
        if sys.stdout is None:
            raise OutputError("Standard output is closed. Redirect it to a file or to another program.")
        with self._uninterrupted():
            sys.stdout.flush()
            buffer = getattr(sys.stdout, "buffer", None)
            if buffer is None:  # standard output was replaced by a text buffer
                sys.stdout.write(lines.decode())
                return
            rest = memoryview(lines)
            while rest:  # a signal can end a write to a full pipe early
                rest = rest[buffer.write(rest) :]
            buffer.flush()

    @contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main:
            self._is_writing = True
        try:
            yield
        except BrokenPipeError as error:
            raise OutputError(
                "The program that reads standard output closed it before the end. See its log."
            ) from error
        except OSError as error:
            raise OutputError(
                f"Cannot write to standard output: {error.strerror}. What was written before is valid."
            ) from error
        finally:
            if is_main:
                self._is_writing = False
        if is_main and not self._is_deferring:
            self._raise_deferred()

    def _raise_deferred(self) -> None:
        interruption, self._interruption = self._interruption, None
        if interruption is not None:
            raise interruption
