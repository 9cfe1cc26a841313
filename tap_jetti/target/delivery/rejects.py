"""The rejects file: records that were set aside, as Singer messages that can be sent to the target again."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from tap_jetti.errors import SettingsError
from tap_jetti.facts.json_codec import decode_with
from tap_jetti.facts.secret_fields import mask_deep
from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.target.shown_values import is_shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tap_jetti.client.clock import Clock
    from tap_jetti.errors import RecordError
    from tap_jetti.facts.redaction import Redactor
    from tap_jetti.target.delivery.ledger.replays import ReplayGuard
    from tap_jetti.target.delivery.operations import InputStream, Origin, Record

_BLOCK = 1 << 16

_CANONICAL = msgspec.json.Encoder(decimal_format="number", enc_hook=str, order="sorted")


class RejectsFile:
    """Appends rejected records to a file: the SCHEMA of each stream once per run, then RECORDs.

    A RECORD has a sibling key ``rejection`` with ``status``, ``title``, ``detail`` and ``time``. Values of secret
    fields and URLs with credentials are not written, since the file is not protected; their names are listed in
    ``rejection.withheld``. Records of earlier runs stay. An incomplete last line, left by a process that was killed,
    is removed: no STATE has passed its record.

    A record that comes from a rejects file is not written again if the file has it already. So the file can be sent
    to the target as often as one likes, also while it is the rejects file of that run: it does not grow.

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
        self.guard: ReplayGuard | None = None
        """Knows the place of each record in the order of arrival."""
        self._descriptor: int | None = None
        self._is_file = self._is_input = False
        self._size = 0
        self._schemas: dict[str, Record] = {}
        self._held: set[bytes] | None = None
        self._lock = threading.Lock()

    def check(self, source: int | None) -> None:
        """Check that the file can be written, and that it is not an input of another kind.

        Args:
            source: The file descriptor of the input; None if it has none.

        Raises:
            SettingsError: The file cannot be used.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = self._open()
            self._is_input = source is not None and os.path.samestat(os.fstat(source), os.fstat(descriptor))
            is_foreign = self._is_input and not all("rejection" in one for one in self._records())
        except OSError as error:
            raise SettingsError(f"rejects_path {self._path} cannot be written: {error.strerror or error}.") from error
        if is_foreign:
            raise SettingsError(
                f"rejects_path {self._path} is also the input of this run, and not all of its records were rejected."
                " Choose another rejects_path."
            )

    def add(self, origin: Origin, error: RecordError) -> None:
        """Write a record. When this returns, killing the process no longer loses it."""
        input_stream = origin.input_stream
        kept, withheld = _split_secrets(input_stream, origin.record, self._redactor)
        rejection: Record = {
            "status": error.status,
            "title": self._redactor.clean(error.title),
            "detail": self._redactor.clean(error.detail),
            "time": from_epoch(self._clock.time()),
            **(self.guard.stamp(origin) if self.guard is not None else {}),
        }
        if withheld:
            rejection["withheld"] = withheld
        message = {"type": "RECORD", "stream": input_stream.name, "record": kept, "rejection": rejection}
        digest = _digest(input_stream.name, kept)
        with self._lock:
            descriptor = self._open()
            if origin.replay is not None or self._is_input:
                if self._held is None:
                    self._held = {_digest(str(one.get("stream")), one["record"]) for one in self._records()}
                if digest in self._held:
                    return
            if self._held is not None and (self._is_input or withheld or origin.parts is not None):
                self._held.add(digest)  # the line is not the one that was read, so it may be read yet
            lines = b""
            if self._schemas.get(input_stream.name) is not input_stream.schema:
                self._schemas[input_stream.name] = input_stream.schema
                lines = self._encoder.encode(input_stream.schema) + b"\n"
            _write(descriptor, lines + self._encoder.encode(message) + b"\n")

    def sync(self) -> None:
        """Return when everything that was added is on disk: only then may a STATE pass it."""
        with self._lock:
            if self._descriptor is not None and self._schemas and self._is_file:
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = _open(self._path)
            status = os.fstat(self._descriptor)
            self._is_file = stat.S_ISREG(status.st_mode)  # /dev/null cannot be synchronised, nor a pipe be read
            self._size = status.st_size
        return self._descriptor

    def _records(self) -> Iterator[Record]:
        """The RECORD messages that the file had when the run began."""
        if not self._is_file:
            return
        with self._path.open("rb") as file:
            left = self._size
            for line in file:
                if left <= 0:
                    return
                left -= len(line)
                message = _decode(line)
                if isinstance(message, dict) and isinstance(message.get("record"), dict):
                    yield message


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


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
        if _decode(line) is not None:
            os.write(descriptor, b"\n")
        else:
            os.truncate(descriptor, size - len(line))
    return descriptor


def _read_at(descriptor: int, start: int, end: int) -> bytes:
    os.lseek(descriptor, start, os.SEEK_SET)
    parts = []
    while start < end and (part := os.read(descriptor, end - start)):
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _decode(line: bytes) -> object:
    """What a line holds; None if it is not JSON."""
    return decode_with(line, huge=_raw, constant=_raw)


def _digest(stream: str, record: Record) -> bytes:
    encoded = _CANONICAL.encode([stream, record])
    return hashlib.blake2b(encoded, digest_size=8).digest()


def _raw(number: str) -> msgspec.Raw:
    return msgspec.Raw(number.encode())


def _split_secrets(input_stream: InputStream, record: Record, redactor: Redactor) -> tuple[Record, list[str]]:
    """Return a record without secrets, and the names of the columns that were left out."""
    fields = {column: input_stream.columns.field_of(column) for column in record}
    resource = input_stream.action.resource_of({fields[column]: value for column, value in record.items()})
    kept: dict[str, Any] = {}
    withheld = []
    for column, value in record.items():
        if not is_shown(resource, fields[column]) or mask_deep(value) != value or redactor.holds_secret(value):
            withheld.append(column)
        else:
            kept[column] = value
    return kept, withheld
