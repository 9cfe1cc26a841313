"""A feed file at any URL that fsspec supports, such as ``s3://``."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from typing_extensions import override

from tap_jetti.errors import FeedFileError, FeedPermissionError, FeedUnavailableError, SettingsError
from tap_jetti.target.feed_file.location import CHUNK_BYTES, PART_SUFFIX, FeedLocation, describe, feed_file_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import fsspec  # type: ignore[import-untyped]

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "oss"})
"""Here an object is replaced in one step when its upload is complete, and a rename is a copy."""

_TALKATIVE = ("aiobotocore", "botocore")
"""Packages that log where they found each setting."""

_ERRORS = {
    "NoCredentialsError": FeedPermissionError,
    "PartialCredentialsError": FeedPermissionError,
    "EndpointConnectionError": FeedUnavailableError,
    "HTTPClientError": FeedUnavailableError,
}
"""Errors of packages that are no `OSError`, by the names of their classes."""


class FsspecFile(FeedLocation):
    """A file on a system of fsspec. Each of its packages reads credentials from the environment.

    Args:
        path: The setting feed_path.
        scheme: The scheme of the URL.
    """

    def __init__(self, path: str, scheme: str) -> None:
        super().__init__(path)
        self._scheme = scheme

    @override
    def check(self) -> None:
        import fsspec  # noqa: PLC0415 - its import takes 0.25 s, and other deliveries do not need it

        try:
            fsspec.get_filesystem_class(self._scheme)
        except (ImportError, ValueError) as error:
            raise SettingsError(f"feed_path {self._scheme}:// cannot be used: {describe(error)}.") from error

    @override
    def read(self, consume: Callable[[bytes], object]) -> bool:
        with self._translated():
            system, path = self._system()
            try:
                with system.open(path, "rb") as file:
                    while chunk := file.read(CHUNK_BYTES):
                        consume(chunk)
            except FileNotFoundError:
                return False
            return True

    @override
    def put(self, staged: Path) -> None:
        with self._translated():
            system, path = self._system()
            if self._scheme in _OBJECT_STORES:
                system.put_file(str(staged), path)
            else:
                system.put_file(str(staged), path + PART_SUFFIX)
                system.mv(path + PART_SUFFIX, path)

    def _system(self) -> tuple[fsspec.AbstractFileSystem, str]:
        import fsspec  # noqa: PLC0415 - as above

        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        system, path = fsspec.core.url_to_fs(self.path, skip_instance_cache=True, use_listings_cache=False)
        return system, str(path)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except FeedFileError:
            raise
        except Exception as error:  # each of fsspec's packages raises exceptions of its own
            for parent in type(error).__mro__:
                found = _ERRORS.get(parent.__name__)
                if found is not None:
                    raise found(f"The feed file {self.name} cannot be reached: {describe(error)}.") from error
            raise feed_file_error(self.name, error) from error
