"""Which kind of place a feed_path names, and where the inventory of that place is stored."""

from __future__ import annotations

import hashlib
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tap_jetti.errors import SettingsError
from tap_jetti.target.feed_file import ftp_server
from tap_jetti.target.feed_file.fsspec_file import FsspecFile
from tap_jetti.target.feed_file.ftp_server import FtpFile
from tap_jetti.target.feed_file.local_file import LocalFile
from tap_jetti.target.feed_file.location import shown, state_folder
from tap_jetti.target.feed_file.sftp_server import SftpFile

if TYPE_CHECKING:
    from tap_jetti.target.feed_file.location import FeedLocation


_PLAIN_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]]*)(:\d+)?/")
"""The host of a URL without credentials: an ``@`` after it is a part of the path."""

_CREDENTIALS = {"s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"}
"""Variables that hold credentials, where they are not named as those of fsspec."""


def place_of(path: str, *, timeout: float) -> FeedLocation:
    """Return the place that a feed_path names.

    Args:
        path: A local path, or a URL without credentials.
        timeout: Seconds to wait for a server.

    Raises:
        SettingsError: The path is not the path of a file, or holds credentials.
    """
    scheme, is_url, rest = path.partition("://")
    scheme = scheme.lower() if is_url else "file"
    if is_url and "@" in rest and not _PLAIN_HOST.match(rest):
        prefix = f"FSSPEC_{scheme.upper()}"
        names = _CREDENTIALS.get(scheme, f"{prefix}_USERNAME and {prefix}_PASSWORD")
        raise SettingsError(
            f"feed_path must hold no credentials: {shown(path)}. Set {names} in the environment instead."
        )
    if not posixpath.basename(rest if is_url else Path(path).as_posix()) or (is_url and "/" not in rest):
        raise SettingsError(f"feed_path must be the path or URL of a file, got {shown(path)}.")
    if scheme in {"file", "local"}:
        return LocalFile(path)
    if scheme in ftp_server.PORTS:
        return FtpFile(path, timeout=timeout)
    if scheme in {"sftp", "ssh"}:
        return SftpFile(path, timeout=timeout)
    return FsspecFile(path, scheme)


def store_path_of(place: FeedLocation, *, ledger: str) -> Path:
    """Return the file that holds the inventory of a place.

    Args:
        place: Where the feed file is.
        ledger: The setting ledger: it is beside the ledger if that has a folder of its own.

    Raises:
        SettingsError: There is no directory for it.
    """
    name = hashlib.sha256(place.identity.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    folder = state_folder() if ledger in {"auto", "none"} else Path(ledger).expanduser()
    return folder / "feeds" / f"{name}.sqlite"
