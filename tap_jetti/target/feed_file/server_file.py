"""A feed file on an FTP or SFTP server: how it takes the place of the one before, also where no rename may do that."""

from __future__ import annotations

import hashlib
import os
import socket
from abc import abstractmethod
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from tap_jetti.errors import FeedFileError, FeedUnavailableError, SettingsError
from tap_jetti.target.feed_file.location import PART_SUFFIX, FeedLocation, describe, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

OLD_SUFFIX = ".old"
"""The suffix of the file before, while the new one takes its place on a server that renames over no file."""


class RenameRefusedError(Exception):
    """The server does not rename this file."""


class FileServer(Protocol):
    """A session with a server. Its errors are those of its package."""

    def retrieve(self, path: str, consume: Callable[[bytes], object]) -> bool:
        """Pass the content of a file on; returns whether there is one."""
        ...

    def store(self, source: Path, path: str) -> None:
        """Upload a file, completely."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Rename a file.

        Raises:
            RenameRefusedError: The server does not, for instance since there is a file of the new name.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file."""
        ...


class ServerFile(FeedLocation):
    """A file on a server that is uploaded under another name and then renamed.

    Some servers rename over an existing file, in one step. Others refuse. There the file before is renamed first; if
    the new one then cannot take its place, it goes back, over a new connection where the first one is lost. A run that
    is killed between the two renames leaves the file before under its other name, where the next run finds it.

    Args:
        path: The setting feed_path.
        timeout: Seconds to wait for the server.
        default_port: The port if the URL has none.
    """

    def __init__(self, path: str, *, timeout: float, default_port: int) -> None:
        super().__init__(path)
        scheme, _, rest = path.partition("://")
        authority, _, file = rest.partition("/")
        try:
            parts = urlsplit(f"{scheme}://{authority}")
            self._host, self._port = parts.hostname or "", parts.port or default_port
        except ValueError as error:
            raise SettingsError(f"feed_path {shown(path)} has an invalid host or port: {error}.") from error
        self._file = "/" + unquote(file)
        if not self._host or not self._file.isprintable():
            raise SettingsError(f"feed_path must be the URL of a file on a host, got {shown(path)}.")
        self._timeout = timeout
        self._password = ""
        # Two machines that write the same file must not upload into one another's.
        machine = f"{socket.gethostname()} {os.getuid()}"
        self._part = f"{self._file}.{hashlib.sha256(machine.encode()).hexdigest()[:8]}{PART_SUFFIX}"
        self._old = self._file + OLD_SUFFIX

    @abstractmethod
    def _connect(self) -> AbstractContextManager[FileServer]:
        """Log in."""

    @abstractmethod
    def _error(self, error: Exception) -> FeedFileError:
        """The error of this program for one of the package or of the network."""

    @override
    def check(self) -> None:
        """Nothing can be checked without the network."""

    @override
    def read(self, consume: Callable[[bytes], object]) -> bool:
        with self._session() as server:
            return server.retrieve(self._file, consume) or server.retrieve(self._old, consume)

    @override
    def put(self, staged: Path) -> None:
        with self._session() as server:
            try:
                server.store(staged, self._part)
                self._replace(server)
            except Exception:
                with suppress(Exception):  # the reason of the failure is more useful
                    server.remove(self._part)
                raise
            with suppress(Exception):  # the file is in its place
                if server.exists(self._old):
                    server.remove(self._old)

    def _replace(self, server: FileServer) -> None:
        try:
            server.rename(self._part, self._file)
        except RenameRefusedError:
            if not server.exists(self._file):
                raise
        else:
            return
        if server.exists(self._old):
            server.remove(self._old)
        try:
            server.rename(self._file, self._old)
            server.rename(self._part, self._file)
        except BaseException:
            self._restore()
            raise

    def _restore(self) -> None:
        """Put the file before back in its place. The connection may be lost, or in the middle of a command."""
        with self._session() as server:
            if not server.exists(self._file):
                server.rename(self._old, self._file)

    def _text_of(self, error: Exception) -> str:
        """What happened. Servers repeat what they were sent."""
        text = describe(error)
        return text.replace(self._password, "***") if self._password else text

    @contextmanager
    def _session(self) -> Iterator[FileServer]:
        try:
            with self._connect() as server:
                yield server
        except (FeedFileError, SettingsError):
            raise
        except RenameRefusedError as error:
            raise FeedFileError(
                f"The server of the feed file {self.name} does not rename it: {self._text_of(error)}."
                " Check the permissions of this user there."
            ) from error
        except Exception as error:  # each package raises exceptions of its own
            raise self._error(error) from error


def incomplete(name: str, size: int, sent: int) -> FeedUnavailableError:
    """The error if a server holds less than was sent.

    Args:
        name: The place, as messages show it.
        size: The size of the file there.
        sent: The number of bytes sent.
    """
    return FeedUnavailableError(
        f"The feed file {name} was not uploaded completely: {size} of {sent} bytes are there. Run again."
    )


def credentials_of(*schemes: str) -> dict[str, str]:
    """The credentials that fsspec reads from its files and from variables such as ``FSSPEC_FTP_PASSWORD``.

    Args:
        schemes: Later ones win.
    """
    import fsspec.config  # type: ignore[import-untyped]  # noqa: PLC0415 - its import takes 0.25 s

    found: dict[str, str] = {}
    for scheme in schemes:
        found.update(fsspec.config.conf.get(scheme, {}))
    return found
