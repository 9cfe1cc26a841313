"""What flows through `jetti sync`: messages from the tap to the loader, and states from the loader to the store."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import IO, TYPE_CHECKING, Any

import msgspec

from tap_jetti.facts.json_codec import decode_json

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    State = dict[str, Any]

_CHUNK = 256 * 1024
_EXCERPT = 80


class _Head(msgspec.Struct):
    """What is read of a message in passing."""

    type: str = ""
    stream: str = ""


_HEADS = msgspec.json.Decoder(_Head)


class Relay(threading.Thread):
    """Passes messages on, in whole lines: the loader never sees half a record, even if the tap is killed.

    Args:
        source: The output of the tap.
        sink: The input of the loader. It is closed at the end.
        last_line: Asked once the tap has closed its output: what to write behind its last line.

    Attributes:
        rows: The records that were passed on, by stream.
        state: The last STATE that was passed on.
        has_ended: Whether everything is passed on, or the loader reads no more.
        is_refused: Whether the loader has closed its input.
        blocked_since: Since when the loader has not read on, by the monotonic clock; None if it does.
    """

    def __init__(
        self,
        source: IO[bytes],
        sink: IO[bytes],
        *,
        last_line: Callable[[], bytes] = bytes,
    ) -> None:
        super().__init__(name="relay", daemon=True)
        self.rows: Counter[str] = Counter()
        self.state: State | None = None
        self.has_ended = False
        self.is_refused = False
        self.blocked_since: float | None = None
        self._source = source
        self._sink = sink
        self._last_line = last_line

    def run(self) -> None:
        """Pass on until the tap ends."""
        try:
            self._pass_on()
        except BrokenPipeError:
            self.is_refused = True
        self.blocked_since = None
        self.has_ended = True
        try:
            self._sink.close()
        except OSError:
            self.is_refused = True
        self._source.close()  # if the tap still writes, this ends it

    def _pass_on(self) -> None:
        rest = bytearray()
        while chunk := self._source.read1(_CHUNK):  # type: ignore[attr-defined]  # a pipe is buffered
            end = chunk.rfind(b"\n") + 1
            if not end:
                rest += chunk
                continue
            lines = bytes(rest) + chunk[:end] if rest else chunk[:end]
            rest = bytearray(chunk[end:])
            self._write(lines)
            self._note(lines)
        if last_line := self._last_line():
            self._write(last_line)

    def _write(self, lines: bytes) -> None:
        self.blocked_since = time.monotonic()
        self._sink.write(lines)
        self._sink.flush()
        self.blocked_since = None

    def _note(self, lines: bytes) -> None:
        """Count what was passed on."""
        for line in filter(None, lines.split(b"\n")):
            head = _HEADS.decode(line)
            if head.type == "RECORD":
                self.rows[head.stream] += 1
            elif head.type == "STATE":
                self.state = decode_json(line)["value"]


class LoaderStates(threading.Thread):
    """Reads the states that the loader writes: each says what it has stored.

    Args:
        source: The output of the loader.
        keep: Receives each state.
        logger: Where lines that are no state are reported.

    Attributes:
        last: The last state.
        heard_at: When the loader last wrote one, by the monotonic clock.
    """

    def __init__(self, source: IO[bytes], keep: Callable[[State], None], *, logger: logging.Logger) -> None:
        super().__init__(name="loader states", daemon=True)
        self.last: State | None = None
        self.heard_at = time.monotonic()
        self._source = source
        self._keep = keep
        self._logger = logger
        self._warned = False

    def run(self) -> None:
        """Read until the loader ends."""
        for line in self._source:
            self._take(line)

    def _take(self, line: bytes) -> None:
        self.heard_at = time.monotonic()
        if not line.strip():
            return
        try:
            state = decode_json(line)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            state = None
        if isinstance(state, dict) and line.endswith(b"\n"):
            self.last = state
            self._keep(state)
        elif not self._warned:
            self._warned = True
            self._logger.warning(
                "The loader wrote a line to its standard output that is not a state; it is ignored: %s",
                line[:_EXCERPT].decode("utf-8", "replace").strip(),
            )
