"""A status line at the bottom of a terminal that is redrawn in place."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TextIO

_LINE_START = "\r"
_ERASE_REST = "\x1b[K"
_DEFAULT_WIDTH = 80


def can_show_line(output: TextIO | None) -> bool:
    """Whether this is a terminal on which a line can be erased."""
    return output is not None and output.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class TerminalLine:
    """A line below everything else that this process writes to a terminal.

    While the line is open, it replaces the `write` method of the terminal's file object. Log handlers, warnings and
    tracebacks hold this very object, so whatever they write passes here, from any thread: the line is erased, their
    text is written, and the line is drawn again below it.

    The cursor always rests at the beginning of the line. So what another process of a pipeline writes overwrites the
    line instead of continuing it, and nothing has to be restored if this process is killed.

    Args:
        output: The terminal.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._write = output.write
        # Reentrant: a signal handler may raise while the lock is held, and the code that then ends the run writes, too.
        self._lock = threading.RLock()
        self._text = ""
        self._is_between_lines = True

    @property
    def width(self) -> int:
        """The maximum number of characters. The last column stays empty, because a full line makes terminals wrap."""
        try:
            columns = os.get_terminal_size(self._output.fileno()).columns
        except OSError:
            columns = 0
        return (columns or _DEFAULT_WIDTH) - 1

    def open(self) -> None:
        """Redirect what is written to the terminal from now on to above the line."""
        self._output.write = self._write_above  # type: ignore[method-assign]

    def show(self, text: str) -> None:
        """Replace the text of the line."""
        with self._lock:
            self._text = text[: self.width]
            if self._is_between_lines:
                self._draw()

    def close(self) -> None:
        """Erase the line and end the redirection."""
        with self._lock:
            self.show("")
            self._output.write = self._write  # type: ignore[method-assign]

    def _draw(self) -> None:
        with suppress(OSError):  # the terminal may be gone, which must not stop the run
            self._write(f"{_LINE_START}{self._text}{_ERASE_REST}{_LINE_START}")
            self._output.flush()

    def _write_above(self, text: str) -> int:
        """Write a text where the line is, and draw the line again once the text has ended with a newline.

        Texts arrive in pieces, as from `print` with two arguments. In the middle of a line of text there is no place
        for the status line, so it stays away until the newline comes.
        """
        with self._lock:
            if self._text and self._is_between_lines:
                self._write(f"{_LINE_START}{_ERASE_REST}")
            written = self._write(text)
            self._is_between_lines = text.endswith("\n") if text else self._is_between_lines
            if self._text and self._is_between_lines:
                self._draw()
            return written
