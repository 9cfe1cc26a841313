"""Writes the messages of the tap to standard output: each line whole, and rows a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType
from singer_sdk.io_base import SingerWriter
from typing_extensions import override

from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.process.stdout import Output

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from singer_sdk.singerlib import Message


class _Record(msgspec.Struct, tag="RECORD", tag_field="type"):
    """A RECORD message. msgspec encodes it in C, together with the row in it."""

    stream: str
    record: Any
    time_extracted: str
    version: int | UnsetType = UNSET


class MessageWriter(SingerWriter):
    """The SDK's writer, which can also write whole pages of rows.

    Raises:
        OutputError: From every method that writes, if standard output is closed or its disk is full.
    """

    def __init__(self) -> None:
        super().__init__()
        self._encoder = msgspec.json.Encoder(decimal_format="number")
        self._output = Output()

    def interrupt(self, interruption: BaseException) -> None:
        """Raise this as soon as it cannot tear a line, see `Output.interrupt`."""
        self._output.interrupt(interruption)

    def deferred_interrupts(self) -> AbstractContextManager[None]:
        """Write several messages as one, see `Output.deferred_interrupts`."""
        return self._output.deferred_interrupts()

    def write_rows(self, stream: str, rows: list[Any], *, extracted: float, version: int | None) -> None:
        """Write rows as RECORD messages, all in one write.

        Args:
            stream: The name of the stream.
            rows: Dicts, or structs whose fields are those of the stream.
            extracted: When the rows were read, in seconds since the epoch.
            version: The version of the table, if the stream replaces it.
        """
        time_extracted = from_epoch(extracted)
        table_version = UNSET if version is None else version
        lines = self._encoder.encode_lines([_Record(stream, row, time_extracted, table_version) for row in rows])
        self._output.write(lines)

    @override
    def write_message(self, message: Message) -> None:
        self._output.write(f"{self.format_message(message)}\n".encode())
