"""Writes the messages of a tap to standard output, rows a page at a time, and each line whole."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType
from singer_sdk.io_base import SingerWriter
from typing_extensions import override

from tap_jetti.client.instants import from_epoch
from tap_jetti.client.problems import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk.singerlib import Message


class _Record(msgspec.Struct, tag="RECORD", tag_field="type"):
    stream: str
    record: Any
    time_extracted: str
    version: int | UnsetType = UNSET


class RowWriter(SingerWriter):
    """The SDK's writer, and beside it a way for whole pages of rows.

    Signals may come in the middle of a write, where raising would tear a line. So a handler calls
    `interrupt`, which raises at once between two writes and waits for the end of one otherwise.

    Raises:
        OutputError: From all that writes, if nobody reads any more, or the disk is full.
    """

    def __init__(self) -> None:
        super().__init__()
        self._encoder = msgspec.json.Encoder(decimal_format="number")
        self._is_writing = False
        self._interruption: BaseException | None = None

    def interrupt(self, interruption: BaseException) -> None:
        """Raise this as soon as no line can be torn by it: now, or when the write under way ends."""
        if not self._is_writing:
            raise interruption
        self._interruption = interruption

    def write_rows(self, stream: str, rows: list[Any], *, extracted: float, version: int | None) -> None:
        """Write rows as RECORD messages, with one write for all.

        Args:
            stream: The stream.
            rows: Dicts, or structs whose fields are the stream's.
            extracted: When they were read, in seconds since the epoch.
            version: The version of the table, where it is replaced as a whole.
        """
        time_extracted = from_epoch(extracted)
        number = UNSET if version is None else version
        lines = self._encoder.encode_lines([_Record(stream, row, time_extracted, number) for row in rows])
        self._write(lines)

    @override
    def write_message(self, message: Message) -> None:
        self._write(f"{self.format_message(message)}\n".encode())

    def _write(self, lines: bytes) -> None:
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
        self._is_writing = True
        try:
            yield
        except BrokenPipeError as error:
            raise OutputError("Whatever read the output went away before its end.") from error
        except OSError as error:
            raise OutputError(f"The output cannot be written: {error.strerror}. What is written is kept.") from error
        finally:
            self._is_writing = False
        if self._interruption is not None:
            interruption, self._interruption = self._interruption, None
            raise interruption
