"""One line at the foot of a terminal, written over again and again."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TextIO

_HOME = "\r"
_REST = "\x1b[K"
_USUAL_WIDTH = 80


def can_show_line(output: TextIO | None) -> bool:
    """Whether this is a terminal on which a line can be erased."""
    return output is not None and output.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class TerminalLine:
    """A line below all else that this process writes to a terminal.

    While it is open, the terminal's own `write` is shadowed: what log handlers, warnings and tracebacks hold is that
    very object, so all of them pass here, from any thread. The line gives way to what they write and comes back below.
    The cursor waits at the line's beginning. What another process of a pipeline writes starts there, and nothing is
    left to be put right if this one is killed.

    Args:
        output: The terminal.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._write = output.write
        self._lock = threading.RLock()  # a signal may raise in the middle, and what ends then writes, too
        self._text = ""
        self._is_between_lines = True

    @property
    def width(self) -> int:
        """The characters that find room."""
        try:
            columns = os.get_terminal_size(self._output.fileno()).columns
        except OSError:
            columns = 0
        return (columns or _USUAL_WIDTH) - 1

    def open(self) -> None:
        """Let what is written go above the line from now on."""
        self._output.write = self._write_above  # type: ignore[method-assign]

    def show(self, text: str) -> None:
        """Show this in the place of what was shown."""
        with self._lock:
            self._text = text[: self.width]
            if self._is_between_lines:
                self._draw()

    def close(self) -> None:
        """Take the line away."""
        with self._lock:
            self.show("")
            self._output.write = self._write  # type: ignore[method-assign]

    def _draw(self) -> None:
        with suppress(OSError):  # a terminal that is gone is no reason to stop
            self._write(f"{_HOME}{self._text}{_REST}{_HOME}")
            self._output.flush()

    def _write_above(self, text: str) -> int:
        with self._lock:
            if self._text and self._is_between_lines:
                self._write(f"{_HOME}{_REST}")
            written = self._write(text)
            self._is_between_lines = text.endswith("\n") if text else self._is_between_lines
            if self._text and self._is_between_lines:
                self._draw()
            return written
