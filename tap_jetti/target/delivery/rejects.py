"""The rejects file: records that were set aside, as Singer messages that can be sent to the target again."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from tap_jetti.errors import SettingsError
from tap_jetti.facts.resources import names, schema
from tap_jetti.facts.secret_fields import is_secret, mask_deep
from tap_jetti.facts.timestamps import from_epoch

if TYPE_CHECKING:
    from pathlib import Path

    from tap_jetti.client.clock import Clock
    from tap_jetti.errors import RecordError
    from tap_jetti.facts.redaction import Redactor
    from tap_jetti.target.delivery.operations import InputStream, Record

_BLOCK = 1 << 16


class RejectsFile:
    """Appends rejected records to a file: the SCHEMA of each stream once per run, then RECORDs.

    A RECORD has a sibling key ``rejection`` with ``status``, ``title``, ``detail`` and ``time``. Values of secret
    fields and URLs with credentials are not written, since the file is not protected; their names are listed in
    ``rejection.withheld``. Records of earlier runs stay. An incomplete last line, left by a process that was killed,
    is removed: no STATE has passed its record.

    Args:
        path: The file; it is opened by `check` or by the first rejected record.
        clock: For the time of rejection.
        redactor: What is masked in the title and the detail, and whose secrets are withheld from records.
    """

    def __init__(self, path: Path, *, clock: Clock, redactor: Redactor) -> None:
        self._path = path
        self._clock = clock
        self._redactor = redactor
        self._encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
        self._descriptor: int | None = None
        self._schemas: dict[str, Record] = {}
        self._lock = threading.Lock()

    def check(self, source: int | None) -> None:
        """Check that the file can be written, and that it is not the input.

        Args:
            source: The file descriptor of the input; None if it has none.

        Raises:
            SettingsError: The file cannot be used.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = _open(self._path)
            same = source is not None and os.path.samestat(os.fstat(source), os.fstat(self._descriptor))
        except OSError as error:
            raise SettingsError(f"rejects_path {self._path} cannot be written: {error.strerror or error}.") from error
        if same:
            raise SettingsError(
                f"rejects_path {self._path} is also the input of this run."
                " Rename the file, and use the new name as input."
            )

    def add(self, input_stream: InputStream, record: Record, error: RecordError) -> None:
        """Write a record. When this returns, killing the process no longer loses it."""
        kept, withheld = _split_secrets(input_stream.action.resource_of(record), record, self._redactor)
        rejection: Record = {
            "status": error.status,
            "title": self._redactor.clean(error.title),
            "detail": self._redactor.clean(error.detail),
            "time": from_epoch(self._clock.time()),
        }
        if withheld:
            rejection["withheld"] = withheld
        message = {"type": "RECORD", "stream": input_stream.name, "record": kept, "rejection": rejection}
        with self._lock:
            lines = b""
            if self._schemas.get(input_stream.name) is not input_stream.schema:
                self._schemas[input_stream.name] = input_stream.schema
                lines = self._encoder.encode(input_stream.schema) + b"\n"
            self._write(lines + self._encoder.encode(message) + b"\n")

    def sync(self) -> None:
        """Return when everything that was added is on disk: only then may a STATE pass it."""
        with self._lock:
            if self._descriptor is not None and self._schemas:
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _write(self, data: bytes) -> None:
        if self._descriptor is None:
            self._descriptor = _open(self._path)
        while data:
            data = data[os.write(self._descriptor, data) :]


def _open(path: Path) -> int:
    """Open a file to append to it, readable by its owner only, and remove an incomplete last line."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    size = os.fstat(descriptor).st_size
    tail, start = b"", size
    while start > 0 and b"\n" not in tail:
        start = max(0, start - _BLOCK)
        tail = _read_at(descriptor, start, size)
    line = tail[tail.rfind(b"\n") + 1 :]
    if line:
        try:
            json.loads(line)
            os.write(descriptor, b"\n")
        except ValueError:
            os.truncate(descriptor, size - len(line))
    return descriptor


def _read_at(descriptor: int, start: int, end: int) -> bytes:
    os.lseek(descriptor, start, os.SEEK_SET)
    parts = []
    while start < end and (part := os.read(descriptor, end - start)):
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _split_secrets(resource: str, record: Record, redactor: Redactor) -> tuple[Record, list[str]]:
    """Return a record without secrets, and the names of the fields that were left out."""
    known = schema(resource)["properties"] if resource in names() else {}
    kept: dict[str, Any] = {}
    withheld = []
    for name, value in record.items():
        if (
            (name not in known and is_secret(resource, name))
            or mask_deep(value) != value
            or redactor.holds_secret(value)
        ):
            withheld.append(name)
        else:
            kept[name] = value
    return kept, withheld
