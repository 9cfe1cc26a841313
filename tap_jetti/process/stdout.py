"""Standard output, onto which lines go whole or not at all."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tap_jetti.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Output:
    """Writes lines that neither a signal nor a full pipe tears.

    A signal's handler runs in the main thread, and may do so in the middle of a write there, where
    raising would tear a line. So it calls `interrupt`, which raises at once between two writes
    and waits for the end of one otherwise.
    """

    def __init__(self) -> None:
        self._is_writing = False
        self._interruption: BaseException | None = None

    def interrupt(self, interruption: BaseException) -> None:
        """Raise this as soon as no line can be torn by it: now, or when the write under way ends."""
        if not self._is_writing:
            raise interruption
        self._interruption = interruption

    def write(self, lines: bytes) -> None:
        """Write complete lines.

        Raises:
            OutputError: Nobody reads any more, or the disk is full.
        """
        with self._whole():
            sys.stdout.flush()
            buffer = getattr(sys.stdout, "buffer", None)
            if buffer is None:  # standard output was replaced by text in memory
                sys.stdout.write(lines.decode())
                return
            rest = memoryview(lines)
            while rest:  # a signal can end a write to a full pipe early
                rest = rest[buffer.write(rest) :]
            buffer.flush()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main:
            self._is_writing = True
        try:
            yield
        except BrokenPipeError as error:
            raise OutputError("Whatever read the output went away before its end.") from error
        except OSError as error:
            raise OutputError(f"The output cannot be written: {error.strerror}. What is written is kept.") from error
        finally:
            if is_main:
                self._is_writing = False
        if is_main and self._interruption is not None:
            interruption, self._interruption = self._interruption, None
            raise interruption
