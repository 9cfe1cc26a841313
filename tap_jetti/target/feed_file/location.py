"""Puts a finished file where Jetti fetches it: complete, or not at all."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tap_jetti.errors import SettingsError
from tap_jetti.facts.secret_fields import mask_credentials

if TYPE_CHECKING:
    import fsspec  # type: ignore[import-untyped]

BESIDE = ".part"
"""What a file's name ends with until it is complete."""


class FeedLocation:
    """A local path or any URL that fsspec knows.

    Credentials do not belong in the URL: fsspec takes them from the environment, as
    ``FSSPEC_FTP_USERNAME`` and ``FSSPEC_FTP_PASSWORD`` for ``ftp://``, and the packages of S3
    and the like from their own variables.

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
                f"feed_path must hold no credentials: set FSSPEC_{self._scheme.upper()}_USERNAME"
                f" and FSSPEC_{self._scheme.upper()}_PASSWORD in the environment."
            )
        if not posixpath.basename(parts.path if "://" in path else Path(path).as_posix()):
            raise SettingsError(f"feed_path must name a file, got {path}.")

    def check(self) -> None:
        """Make sure, before anything is read, that there is a package for this kind of URL.

        Raises:
            SettingsError: There is none, or the place is a directory.
        """
        import fsspec  # noqa: PLC0415 - a quarter of a second that other deliveries do without

        try:
            fsspec.get_filesystem_class(self._scheme)
        except (ImportError, ValueError) as error:
            raise SettingsError(f"feed_path {self._scheme}:// cannot be used: {error}.") from error
        if self._scheme == "file" and Path(self._path.removeprefix("file://")).is_dir():
            raise SettingsError(f"feed_path must name a file, and {self._path} is a directory.")

    def put(self, source: Path) -> None:
        """Upload a file beside the place, then move it there.

        Args:
            source: The complete file, on this machine.

        Raises:
            OSError: It cannot be written; what was there is still there.
        """
        system, path = self._system()
        beside = path + BESIDE
        parent = path.rpartition("/")[0]
        try:
            if parent and self._scheme == "file":
                system.makedirs(parent, exist_ok=True)
            system.put_file(str(source), beside)
            self._move(system, beside, path)
        except Exception as error:  # each of fsspec's packages raises what it likes
            raise OSError(f"The feed file cannot be written to {self._path}: {mask_credentials(str(error))}") from error

    def _system(self) -> tuple[fsspec.AbstractFileSystem, str]:
        import fsspec  # noqa: PLC0415 - a quarter of a second that other deliveries do without

        try:
            system, path = fsspec.core.url_to_fs(self._path)
        except Exception as error:  # each of fsspec's packages raises what it likes
            raise OSError(
                f"The place of the feed file, {self._path}, cannot be reached: {mask_credentials(str(error))}"
            ) from error
        return system, str(path)

    def _move(self, system: fsspec.AbstractFileSystem, beside: str, path: str) -> None:
        """Replace the file in one step; where the server does not rename over a file, in two."""
        try:
            system.mv(beside, path)
        except OSError:
            if self._scheme == "file" or not system.exists(path):
                raise
            system.rm_file(path)
            system.mv(beside, path)
