"""Where the feed file is written: a path or a URL, to which a complete file is moved in one step."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from typing_extensions import override

from tap_jetti.errors import SettingsError
from tap_jetti.facts.secret_fields import mask_credentials

if TYPE_CHECKING:
    import fsspec  # type: ignore[import-untyped]

PART_SUFFIX = ".part"
"""The suffix of the file while it is being uploaded."""


class FeedLocation:
    """A local path, or any URL that fsspec supports.

    The URL must hold no credentials. fsspec reads them from the environment, such as ``FSSPEC_FTP_USERNAME`` and
    ``FSSPEC_FTP_PASSWORD`` for ``ftp://``; the packages for S3 and others read their own variables.

    Args:
        path: The setting feed_path.

    Raises:
        SettingsError: The path cannot be used.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._scheme = urlsplit(path).scheme if "://" in path else "file"
        parts = urlsplit(path if "://" in path else "")
        if parts.username or parts.password:
            raise SettingsError(
                f"feed_path must hold no credentials. Set FSSPEC_{self._scheme.upper()}_USERNAME"
                f" and FSSPEC_{self._scheme.upper()}_PASSWORD in the environment instead."
            )
        if not posixpath.basename(parts.path if "://" in path else Path(path).as_posix()):
            raise SettingsError(f"feed_path must be the path or URL of a file, got {path}.")

    def check(self) -> None:
        """Check, before any input is read, that a package for this kind of URL is installed.

        Raises:
            SettingsError: It is not installed, or the path is a directory.
        """
        import fsspec  # noqa: PLC0415 - its import takes 0.25 s, and other deliveries do not need it

        try:
            fsspec.get_filesystem_class(self._scheme)
        except (ImportError, ValueError) as error:
            raise SettingsError(f"feed_path {self._scheme}:// cannot be used: {error}.") from error
        if self._scheme == "file" and Path(self._path.removeprefix("file://")).is_dir():
            raise SettingsError(f"feed_path must be the path of a file, but {self._path} is a directory.")

    def put(self, source: Path) -> None:
        """Upload a file under a temporary name, then rename it.

        Args:
            source: The complete file on this machine.

        Raises:
            OSError: It cannot be written; the old file is unchanged.
        """
        system, path = self._system()
        part = path + PART_SUFFIX
        parent = path.rpartition("/")[0]
        try:
            if parent and self._scheme == "file":
                system.makedirs(parent, exist_ok=True)
            system.put_file(str(source), part)
            self._rename(system, part, path)
        except Exception as error:  # each of fsspec's packages raises exceptions of its own
            raise OSError(f"The feed file cannot be written to {self._path}: {mask_credentials(str(error))}") from error

    def _system(self) -> tuple[fsspec.AbstractFileSystem, str]:
        import fsspec  # noqa: PLC0415 - its import takes 0.25 s, and other deliveries do not need it

        try:
            system, path = fsspec.core.url_to_fs(self._path)
        except Exception as error:  # each of fsspec's packages raises exceptions of its own
            raise OSError(f"feed_path {self._path} cannot be reached: {mask_credentials(str(error))}") from error
        return system, str(path)

    def _rename(self, system: fsspec.AbstractFileSystem, part: str, path: str) -> None:
        """Replace the file in one step; in two if the server cannot rename onto an existing file."""
        try:
            system.mv(part, path)
        except OSError:
            if self._scheme == "file" or not system.exists(path):
                raise
            system.rm_file(path)
            system.mv(part, path)


class PlannedLocation(FeedLocation):
    """A location that a dry run does not write to, but whose folder it looks at."""

    @override
    def put(self, source: Path) -> None:
        system, path = self._system()
        parent = path.rpartition("/")[0] or "/"
        try:
            if self._scheme == "file":
                _check_folder(Path(parent))
            else:
                system.exists(parent)
        except Exception as error:  # each of fsspec's packages raises exceptions of its own
            raise OSError(f"The feed file cannot be written to {self._path}: {mask_credentials(str(error))}") from error


def _check_folder(folder: Path) -> None:
    """Check that a file can be made in a folder, which is made itself if it does not exist."""
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a directory")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} is not writable")
