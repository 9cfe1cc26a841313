"""A state at a URL that fsspec supports: S3, Google Cloud Storage, Azure, SFTP and others."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import SettingsError, StoreError
from tap_jetti.facts.secret_fields import mask_credentials
from tap_jetti.sync.states.file import parse_state
from tap_jetti.sync.states.local_lock import HOST, SUFFIX, BusyError, of_machine

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    import fsspec  # type: ignore[import-untyped]

    State = dict[str, Any]
    T = TypeVar("T")

LEASE_SECONDS = 120.0
"""The lock of a process that was lost, and its machine with it, ends after so many seconds."""

SETTLE_SECONDS = 1.0
"""Seconds between writing the lock and reading it again: of two that write at once, the last one has it."""

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "memory"})
"""A write to these is complete or has not happened. Elsewhere the file is written beside and renamed."""


class RemoteFileStore:
    """Keeps the state in a remote file, and a lock that is renewed while this process lives beside it.

    Args:
        url: The URL.

    Raises:
        SettingsError: No package for this kind of URL is installed.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # noqa: PLC0415 - its import takes 0.25 s, and other stores do not need it

        self.place = mask_credentials(url)
        self.local_lock = of_machine(self.place)
        self._scheme = url.partition("://")[0]
        try:
            self._system: fsspec.AbstractFileSystem
            self._system, path = fsspec.core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
        except Exception as error:  # each of fsspec's packages raises exceptions of its own
            raise SettingsError(f"The state {self.place} cannot be used: {mask_credentials(str(error))}") from error
        self._path = str(path)
        self._lock_path = self._path + SUFFIX
        self._owner = uuid.uuid4().hex
        self._closed = threading.Event()
        self._renewer: threading.Thread | None = None

    def lock(self) -> None:
        """Write the lock, and renew it until `close`."""
        self._check_free()
        self._run(self._write_lock)
        time.sleep(SETTLE_SECONDS)
        self._check_free()
        self._renewer = threading.Thread(target=self._renew, name="state lock", daemon=True)
        self._renewer.start()

    def read(self) -> State | None:
        """The state, or None if there is none."""
        text = self._run(lambda: self._content(self._path))
        return parse_state(text, self.place) if text else None

    def write(self, state: State) -> None:
        """Replace the state, if the lock is still one's own."""
        if self._renewer:
            self._check_free()
        text = json.dumps(state).encode()
        self._run(lambda: self._put(self._path, text))

    def close(self) -> None:
        """Remove the lock."""
        self._closed.set()
        if self._renewer:
            self._renewer.join()
            with contextlib.suppress(Exception):  # it ends by itself
                if self._holder().get("owner") == self._owner:
                    self._system.rm_file(self._lock_path)

    def _check_free(self) -> None:
        """Raise `BusyError` if the lock is another's. One of this machine has gone: its own lock was taken before."""
        holder = self._run(self._holder)
        is_ours = holder.get("owner") == self._owner or holder.get("host") == HOST
        until = holder.get("until")
        if not is_ours and isinstance(until, (int, float)) and until > time.time():
            raise BusyError(self.place, f"on {holder.get('host')}")

    def _holder(self) -> dict[str, Any]:
        try:
            found = json.loads(self._content(self._lock_path) or b"{}")
        except ValueError:  # it is being written
            return {}
        return found if isinstance(found, dict) else {}

    def _write_lock(self) -> None:
        lock = {"owner": self._owner, "host": HOST, "until": time.time() + LEASE_SECONDS}
        self._system.pipe_file(self._lock_path, json.dumps(lock).encode())

    def _renew(self) -> None:
        while not self._closed.wait(LEASE_SECONDS / 4):
            with contextlib.suppress(Exception):  # `write` finds out whether the lock was lost
                if self._holder().get("owner") == self._owner:
                    self._write_lock()

    def _content(self, path: str) -> bytes | None:
        try:
            content: bytes = self._system.cat_file(path)
        except FileNotFoundError:
            return None
        return content

    def _put(self, path: str, content: bytes) -> None:
        if self._scheme in _OBJECT_STORES:
            self._system.pipe_file(path, content)
            return
        part = f"{path}.part"
        self._system.pipe_file(part, content)
        try:
            self._system.mv(part, path)
        except OSError:  # a server that cannot rename onto an existing file
            self._system.rm_file(path)
            self._system.mv(part, path)

    def _run(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except StoreError:
            raise
        except Exception as error:  # each of fsspec's packages raises exceptions of its own
            reason = mask_credentials(str(error)) or type(error).__name__
            raise StoreError(f"The state at {self.place} cannot be used: {reason}.") from error
