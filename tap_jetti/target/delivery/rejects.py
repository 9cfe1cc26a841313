"""The rejects file: records that were set aside, as Singer messages that can be fed back in."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from tap_jetti.errors import SettingsError
from tap_jetti.facts.resources import names, schema
from tap_jetti.facts.secret_fields import is_secret, mask_credentials, mask_deep
from tap_jetti.facts.timestamps import from_epoch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tap_jetti.client.clock import Clock
    from tap_jetti.errors import RecordError
    from tap_jetti.target.delivery.operations import InputStream, Record

_BLOCK = 1 << 16


class RejectsFile:
    """Adds rejected records to a file: the SCHEMA of each stream once a run, then RECORDs.

    A RECORD has a sibling key ``rejection`` with ``status``, ``title``, ``detail`` and ``time``.
    Values of secret fields, and URLs with credentials, are withheld and named in
    ``rejection.withheld``: the file is an ordinary one. What an earlier run put there stays; a
    line that a kill tore off is dropped, for no STATE has passed its record.

    Args:
        path: The file; nothing is opened before the first reject.
        clock: The time of rejection.
        secrets: Values that are masked wherever they turn up in a reason.
    """

    def __init__(self, path: Path, *, clock: Clock, secrets: Sequence[str] = ()) -> None:
        self._path = path
        self._clock = clock
        self._secrets = secrets
        self._encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
        self._descriptor: int | None = None
        self._known: dict[str, Record] = {}
        self._lock = threading.Lock()

    def check(self, source: int | None) -> None:
        """Make sure that the file can be written, and is not the one being read.

        Args:
            source: The file descriptor of the input, if it has one.

        Raises:
            SettingsError: The file cannot be used.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = _opened(self._path)
            same = source is not None and os.path.samestat(os.fstat(source), os.fstat(self._descriptor))
        except OSError as error:
            raise SettingsError(f"rejects_path {self._path} cannot be written: {error.strerror or error}.") from error
        if same:
            raise SettingsError(
                f"rejects_path {self._path} is the very file being read. Move it away before feeding it back in."
            )

    def add(self, input_stream: InputStream, record: Record, refusal: RecordError) -> None:
        """Write a record, so that a kill cannot lose it any more."""
        kept, withheld = _without_secrets(input_stream.action.resource, record)
        rejection: Record = {
            "status": refusal.status,
            "title": self._masked(refusal.title),
            "detail": self._masked(refusal.detail),
            "time": from_epoch(self._clock.time()),
        }
        if withheld:
            rejection["withheld"] = withheld
        message = {"type": "RECORD", "stream": input_stream.stream, "record": kept, "rejection": rejection}
        with self._lock:
            lines = b""
            if self._known.get(input_stream.stream) is not input_stream.schema:
                self._known[input_stream.stream] = input_stream.schema
                lines = self._encoder.encode(input_stream.schema) + b"\n"
            self._write(lines + self._encoder.encode(message) + b"\n")

    def sync(self) -> None:
        """Return when all that was added is on the disk; a STATE may pass it then."""
        with self._lock:
            if self._descriptor is not None and self._known:
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _write(self, data: bytes) -> None:
        if self._descriptor is None:
            self._descriptor = _opened(self._path)
        while data:
            data = data[os.write(self._descriptor, data) :]

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return mask_credentials(text)


def _opened(path: Path) -> int:
    """Open a file to add to it, readable by its owner only, without the rest of a torn line."""
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


def _without_secrets(resource: str, record: Record) -> tuple[Record, list[str]]:
    known = schema(resource)["properties"] if resource in names() else {}
    kept: dict[str, Any] = {}
    withheld = []
    for name, value in record.items():
        if (name not in known and is_secret(resource, name)) or mask_deep(value) != value:
            withheld.append(name)
        else:
            kept[name] = value
    return kept, withheld
