"""Writes the messages of a tap to standard output, rows a page at a time."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from singer_sdk.io_base import SingerWriter

from tap_jetti.client.instants import from_epoch


class _Record(msgspec.Struct, tag="RECORD", tag_field="type"):
    stream: str
    record: Any
    time_extracted: str
    version: int | UnsetType = UNSET


class RowWriter(SingerWriter):
    """The SDK's writer, and beside it a way for whole pages of rows."""

    def __init__(self) -> None:
        super().__init__()
        self._encoder = msgspec.json.Encoder(decimal_format="number")

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
        sys.stdout.flush()
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is None:  # standard output was replaced by text in memory
            sys.stdout.write(lines.decode())
        else:
            buffer.write(lines)
            buffer.flush()
