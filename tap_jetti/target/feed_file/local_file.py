"""A feed file on this machine."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from tap_jetti.errors import SettingsError
from tap_jetti.target.feed_file.location import CHUNK_BYTES, PART_SUFFIX, FeedLocation, feed_file_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class LocalFile(FeedLocation):
    """A path, or a URL with ``file://`` or ``local://``. Of a link, the file that it points to is replaced."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._file = Path(os.path.realpath(Path(path.rpartition("://")[2]).expanduser()))
        self.identity = str(self._file)

    @override
    def check(self) -> None:
        with self._translated():
            if self._file.is_dir():
                raise SettingsError(f"feed_path must be the path of a file, but {self.name} is a directory.")
            if self._file.exists() and not self._file.is_file():
                raise SettingsError(f"feed_path must be the path of a file, but {self.name} is a device or a pipe.")
            folder = self._file.parent
            while not folder.exists():
                folder = folder.parent
            if not folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    @override
    def read(self, consume: Callable[[bytes], object]) -> bool:
        with self._translated():
            try:
                file = self._file.open("rb")
            except FileNotFoundError:
                return False
            with file:
                while chunk := file.read(CHUNK_BYTES):
                    consume(chunk)
            return True

    @override
    @contextmanager
    def staging(self) -> Iterator[Path]:
        # Beside the file, since only a rename within a file system replaces a file in one step.
        part = self._file.with_name(self._file.name + PART_SUFFIX)
        with self._translated():
            part.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    @override
    def put(self, staged: Path) -> None:
        with self._translated():
            if self._file.exists():
                shutil.copymode(self._file, staged)
            staged.replace(self._file)
            _sync(self._file.parent)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise feed_file_error(self.name, error) from error


def _sync(directory: Path) -> None:
    """Make a rename outlast a power failure."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
