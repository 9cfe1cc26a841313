"""Writes the messages of a tap to standard output, rows a page at a time, and each line whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType
from singer_sdk.io_base import SingerWriter
from typing_extensions import override

from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.process.stdout import Output

if TYPE_CHECKING:
    from singer_sdk.singerlib import Message


class _Record(msgspec.Struct, tag="RECORD", tag_field="type"):
    stream: str
    record: Any
    time_extracted: str
    version: int | UnsetType = UNSET


class MessageWriter(SingerWriter):
    """The SDK's writer, and beside it a way for whole pages of rows.

    Raises:
        OutputError: From all that writes, if nobody reads any more, or the disk is full.
    """

    def __init__(self) -> None:
        super().__init__()
        self._encoder = msgspec.json.Encoder(decimal_format="number")
        self._output = Output()

    def interrupt(self, interruption: BaseException) -> None:
        """Raise this as soon as no line can be torn by it, see `Output.interrupt`."""
        self._output.interrupt(interruption)

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
        self._output.write(lines)

    @override
    def write_message(self, message: Message) -> None:
        self._output.write(f"{self.format_message(message)}\n".encode())
