"""From the URL of a state to its store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from tap_jetti.errors import SettingsError
from tap_jetti.sync.states.file import FileStore

if TYPE_CHECKING:
    from tap_jetti.sync.states.store import StateStore

DEFAULT_NAME = "tap-jetti"
"""The name of the state in a database that does not name one."""

_FORMS = (
    "a path, redis://host:port/0, postgresql://host/database, or a URL that fsspec supports such as s3://bucket/key"
)


def open_state(url: str) -> StateStore:
    """The store for a URL. Nothing is opened before its first use.

    Args:
        url: A path; `file://`, `redis://`, `rediss://`, `postgresql://`, `postgres://`, `duckdb://`; or any URL that
            fsspec supports. In a database, `?state=name` names the state.

    Raises:
        SettingsError: The URL is invalid, or what it needs is not installed.
    """
    scheme = url.partition("://")[0].lower() if "://" in url else "file"
    if not url.strip():
        raise SettingsError(f"The URL of the state is empty. It must be {_FORMS}.")
    if scheme == "file":
        return FileStore(Path(unquote(urlsplit(url).path) if "://" in url else url).expanduser())
    if scheme == "memory":
        raise SettingsError(f"The state would be lost at the end of the run. It must be {_FORMS}.")
    if scheme == "duckdb":
        return _duckdb(duckdb_path(url))
    if scheme in {"redis", "rediss"}:
        return _redis(*_named(url))
    if scheme in {"postgresql", "postgres"}:
        return _postgresql(*_named(url))
    from tap_jetti.sync.states.remote_file import RemoteFileStore  # noqa: PLC0415 - other stores do without

    return RemoteFileStore(url)


def duckdb_path(url: str) -> Path:
    """The file of a URL: `duckdb:///relative`, `duckdb:////absolute`.

    Raises:
        SettingsError: The URL names no file.
    """
    scheme, _, rest = url.partition("://")
    path = Path(unquote(rest.removeprefix("/")))
    if scheme != "duckdb" or not rest.startswith("/") or path.name in {"", ".", ".."} or path.is_dir():
        raise SettingsError(f"{url} is not the URL of a file: duckdb:///jetti.duckdb or duckdb:////srv/jetti.duckdb.")
    return path


def _named(url: str) -> tuple[str, str, str]:
    """The URL without the name of the state, that name, and both without user and password, for messages."""
    try:
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.hostname or 'localhost'}{f':{parts.port}' if parts.port else ''}{parts.path}"
    except ValueError:
        _refuse()
    if "@" in parts.path + parts.fragment:  # a password with a / or # in it: no part of the URL is shown
        _refuse()
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    name = query.pop("state", "") or DEFAULT_NAME
    plain = url.partition("?")[0] + (f"?{urlencode(query)}" if query else "")
    return plain, name, place if name == DEFAULT_NAME else f"{place}?state={name}"


def _refuse() -> NoReturn:
    raise SettingsError(
        "The URL of the state is invalid. Percent-encode the special characters of its password."
    ) from None


def _redis(url: str, name: str, place: str) -> StateStore:
    try:
        from tap_jetti.sync.states.redis import RedisStore  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        _needs(error, "redis", place)
    try:
        return RedisStore(url, name=name, place=place)
    except ValueError as error:
        raise SettingsError(f"The URL of the state {place} is invalid: {error}.") from error


def _postgresql(url: str, name: str, place: str) -> StateStore:
    try:
        from tap_jetti.sync.states.postgresql import PostgresStore  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        _needs(error, "postgresql", place)
    return PostgresStore(url, name=name, place=place)


def _duckdb(path: Path) -> StateStore:
    try:
        from tap_jetti.sync.states.duckdb import DuckdbStore  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        _needs(error, "duckdb", str(path))
    return DuckdbStore(path)


def _needs(error: ModuleNotFoundError, extra: str, place: str) -> NoReturn:
    if (error.name or "").startswith("tap_jetti"):
        raise error
    raise SettingsError(
        f"{place} needs the package {error.name}. Install it with: pip install 'tap-jetti[{extra}]'"
    ) from error
