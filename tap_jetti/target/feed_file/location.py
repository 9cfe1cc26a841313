"""Where the feed file is written: a path or a URL, at which a complete file takes the place of the one before."""

from __future__ import annotations

import errno
import re
import tempfile
from abc import ABC, abstractmethod
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLError
from typing import TYPE_CHECKING

from platformdirs import user_state_path

from tap_jetti.errors import (
    FeedConflictError,
    FeedFileError,
    FeedPermissionError,
    FeedUnavailableError,
    SettingsError,
)
from tap_jetti.facts.secret_fields import mask_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PART_SUFFIX = ".part"
"""The suffix of the new file until it is complete."""

CHUNK_BYTES = 1 << 18
"""The number of bytes that are read or sent at once."""

_USER_INFORMATION = re.compile(r"(://).*@", re.DOTALL)

_WRONG_PATH = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EEXIST}
)
_NO_PERMISSION = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class FeedLocation(ABC):
    """The place of a feed file.

    Args:
        path: The setting feed_path.

    Attributes:
        name: The path for messages, without anything that may be a password.
        identity: What tells it from other places.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = shown(path)
        self.identity = path

    @abstractmethod
    def check(self) -> None:
        """Check, before any input is read, that the place can be used.

        Raises:
            FeedFileError: It cannot.
        """

    @abstractmethod
    def read(self, consume: Callable[[bytes], object]) -> bool:
        """Pass the content of the file on, part by part.

        Returns:
            Whether there is a file.

        Raises:
            FeedFileError: It cannot be read.
        """

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Give a path on this machine where the new file can be made."""
        with tempfile.TemporaryDirectory(prefix="target-jetti-") as directory:
            yield Path(directory, "feed")

    @abstractmethod
    def put(self, staged: Path) -> None:
        """Put a complete file in its place. Until then, and if it fails, the file before it stays.

        Args:
            staged: The file at the path of `staging`.

        Raises:
            FeedFileError: It cannot be written.
        """


def state_folder() -> Path:
    """The user's state directory.

    Raises:
        SettingsError: There is none, as for a user of a container who has no home directory.
    """
    try:
        return user_state_path("tap-jetti", appauthor=False)
    except RuntimeError as error:
        raise SettingsError(
            "There is no home directory for what is to be kept about the feed file. Set XDG_STATE_HOME."
        ) from error


def shown(path: str) -> str:
    """A path or URL for messages. A password may hold any character, also those that end the host of a URL."""
    return _USER_INFORMATION.sub(r"\1***@", path)


def describe(error: BaseException) -> str:
    """What happened, in one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return mask_credentials(" ".join(str(text).split())).rstrip(".")


def feed_file_error(name: str, error: Exception) -> FeedFileError:
    """The error of this program for an error of the operating system or the network.

    Args:
        name: The place, as messages show it.
        error: What was raised.
    """
    text = f"The feed file {name} cannot be read or written: {describe(error)}."
    number = None if isinstance(error, SSLError) else getattr(error, "errno", None)  # TLS has numbers of its own
    if isinstance(error, PermissionError) or number in _NO_PERMISSION:
        return FeedPermissionError(f"{text} Check the permissions of this user there.")
    if number in _WRONG_PATH or isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)):
        return FeedConflictError(f"{text} Check feed_path.")
    if isinstance(error, OSError):
        return FeedUnavailableError(f"{text} Run again.")
    return FeedFileError(text)
