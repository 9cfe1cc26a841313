"""SFTP servers, through paramiko (extra ``sftp``)."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_jetti.errors import FeedConflictError, FeedPermissionError, FeedUnavailableError, SettingsError
from tap_jetti.target.feed_file.location import CHUNK_BYTES, describe, feed_file_error, state_folder
from tap_jetti.target.feed_file.server_file import RenameRefusedError, ServerFile, credentials_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import paramiko  # type: ignore[import-untyped]

    from tap_jetti.errors import FeedFileError
    from tap_jetti.target.feed_file.server_file import FileServer

PORT = 22

READ_AHEAD = 64
"""The number of blocks of 32 kB that are asked for at once."""

_LOGGER = logging.getLogger("target-jetti.sftp")


class SftpFile(ServerFile):
    """A file on an SFTP server.

    Credentials are ``FSSPEC_SFTP_USERNAME`` with ``FSSPEC_SFTP_PASSWORD`` or ``FSSPEC_SFTP_KEY_FILENAME``, or else the
    keys of the user. The key of an unknown host is accepted at the first time, said, and kept: another one is refused
    later. Hosts in the user's ``known_hosts`` are known.

    Args:
        path: The setting feed_path.
        timeout: Seconds to wait for the server.
    """

    def __init__(self, path: str, *, timeout: float) -> None:
        super().__init__(path, timeout=timeout, default_port=PORT)

    @override
    def check(self) -> None:
        try:
            import paramiko  # noqa: F401, PLC0415 - an extra, and slow to import
        except ImportError as error:
            raise SettingsError(
                "feed_path sftp:// needs the package paramiko. Install tap-jetti with the extra sftp."
            ) from error

    @override
    @contextmanager
    def _connect(self) -> Iterator[FileServer]:
        import paramiko  # noqa: PLC0415 - as above

        known = credentials_of("ssh", "sftp")
        self._password = str(known.get("password", ""))
        has_own_keys = not self._password and not known.get("key_filename")
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it logs each step, and errors with tracebacks
        client = paramiko.SSHClient()
        try:
            client.load_system_host_keys()
            client.load_host_keys(str(_known_hosts()))
            client.set_missing_host_key_policy(_accept_at_first())
            client.connect(
                self._host,
                self._port,
                username=known.get("username"),
                password=self._password or None,
                key_filename=known.get("key_filename"),
                passphrase=known.get("passphrase"),
                timeout=self._timeout,
                banner_timeout=self._timeout,
                auth_timeout=self._timeout,
                channel_timeout=self._timeout,
                look_for_keys=has_own_keys,
                allow_agent=has_own_keys,
            )
            with client.open_sftp() as session:
                session.get_channel().settimeout(self._timeout)
                yield _SftpSession(session)
        finally:
            client.close()

    @override
    def _error(self, error: Exception) -> FeedFileError:
        import paramiko  # noqa: PLC0415 - as above

        text = self._text_of(error)
        text = f"The SFTP server of {self.name} failed: {text}."
        if isinstance(error, paramiko.BadHostKeyException):
            return FeedConflictError(
                f"The key of the host of {self.name} has changed, which may be an attack. If it is not, remove its line"
                f" from ~/.ssh/known_hosts and {_known_hosts()}."
            )
        if isinstance(error, paramiko.AuthenticationException):
            return FeedPermissionError(
                f"{text} Check FSSPEC_SFTP_USERNAME, and FSSPEC_SFTP_PASSWORD or FSSPEC_SFTP_KEY_FILENAME."
            )
        if isinstance(error, (paramiko.SSHException, EOFError)):
            return FeedUnavailableError(f"{text} Run again.")
        return feed_file_error(self.name, error)


class _SftpSession:
    def __init__(self, client: paramiko.SFTPClient) -> None:
        self._client = client

    def retrieve(self, path: str, consume: Callable[[bytes], object]) -> bool:
        try:
            file = self._client.open(path, "rb")
        except FileNotFoundError:
            return False
        with file:
            file.prefetch(max_concurrent_requests=READ_AHEAD)
            while chunk := file.read(CHUNK_BYTES):
                consume(chunk)
        return True

    def store(self, source: Path, path: str) -> None:
        with source.open("rb") as file:
            self._client.putfo(file, path, confirm=True)  # it compares the sizes

    def exists(self, path: str) -> bool:
        try:
            self._client.stat(path)
        except FileNotFoundError:
            return False
        return True

    def rename(self, old: str, new: str) -> None:
        try:
            self._client.posix_rename(old, new)
        except OSError:  # an extension that not every server has
            try:
                self._client.rename(old, new)
            except OSError as error:
                raise RenameRefusedError(describe(error)) from error

    def remove(self, path: str) -> None:
        self._client.remove(path)


def _known_hosts() -> Path:
    """The keys of hosts that were accepted at the first time."""
    path = state_folder() / "known_hosts"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return path


def _accept_at_first() -> paramiko.MissingHostKeyPolicy:
    import paramiko  # noqa: PLC0415 - as above

    lock = threading.Lock()

    class AcceptAtFirst(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]  # it has no types
        @override
        def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:
            with lock, _known_hosts().open("a", encoding="ascii") as file:
                file.write(f"{hostname} {key.get_name()} {key.get_base64()}\n")
            _LOGGER.warning(
                "The SFTP host %s is new: its key %s is accepted and kept. Compare it with what its owner says.",
                hostname,
                key.fingerprint,
            )

    return AcceptAtFirst()
