"""FTP servers, in plain text or with TLS, explicit or implicit."""

from __future__ import annotations

import ftplib
import posixpath
import socket
import ssl
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_jetti.errors import FeedConflictError, FeedFileError, FeedPermissionError, FeedUnavailableError
from tap_jetti.target.feed_file.location import CHUNK_BYTES, describe, feed_file_error
from tap_jetti.target.feed_file.server_file import RenameRefusedError, ServerFile, credentials_of, incomplete

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tap_jetti.target.feed_file.server_file import FileServer

PORTS = {"ftp": 21, "ftpes": 21, "ftps": 990}
"""The schemes and their ports: without TLS, with explicit TLS, with implicit TLS."""

GREETING_SECONDS = 3.0
"""Seconds to wait for the greeting of a server with TLS. One with implicit TLS waits for the client instead."""

_NO_FILE = "550"
_NO_LISTING = frozenset({"450", "550"})
"""What servers answer for an empty folder, and for none."""

_LOGIN = frozenset({"331", "332", "530", "532"})
_LATER = frozenset({"552"})
"""Permanent refusals that end when somebody makes room."""


class FtpFile(ServerFile):
    """A file on an FTP server. Credentials come from ``FSSPEC_FTP_USERNAME`` and ``FSSPEC_FTP_PASSWORD``.

    With ``ftps://`` and ``ftpes://`` the session is encrypted, and the certificate is checked. The scheme tells the
    port alone: the server shows whether it speaks explicit or implicit TLS.

    Args:
        path: The setting feed_path.
        timeout: Seconds to wait for the server.
    """

    def __init__(self, path: str, *, timeout: float) -> None:
        scheme = path.partition("://")[0].lower()
        super().__init__(path, timeout=timeout, default_port=PORTS[scheme])
        self._is_encrypted = scheme != "ftp"
        self._schemes = ("ftp",) if scheme == "ftp" else ("ftp", "ftpes", scheme)

    @override
    @contextmanager
    def _connect(self) -> Iterator[FileServer]:
        known = credentials_of(*self._schemes)
        self._password = str(known.get("password", ""))
        client = _EncryptedFtp(self._timeout) if self._is_encrypted else ftplib.FTP(timeout=self._timeout)  # noqa: S321
        user = str(known.get("username", ""))
        # Greetings of old servers are no UTF-8. Latin-1 reads anything, and ASCII is the same in both.
        client.encoding = "latin-1" if f"{user}{self._password}{self._file}".isascii() else "utf-8"
        try:
            client.connect(self._host, self._port)
            client.login(user, self._password)
            if isinstance(client, _EncryptedFtp):
                client.prot_p()
            yield _FtpSession(client, self.name)
            with suppress(OSError, EOFError, ftplib.Error):
                client.quit()
        finally:
            client.close()

    @override
    def _error(self, error: Exception) -> FeedFileError:
        text = self._text_of(error)
        if isinstance(error, ssl.SSLCertVerificationError):
            return FeedConflictError(
                f"The certificate of the server of {self.name} is not trusted: {error.verify_message}."
                " Set SSL_CERT_FILE to the certificates to trust."
            )
        if not isinstance(error, (EOFError, ftplib.Error)):
            return feed_file_error(self.name, error)
        code, text = text[:3], f"The FTP server of {self.name} failed: {text or 'it closed the connection'}."
        if code in _LOGIN:
            return FeedPermissionError(f"{text} Check FSSPEC_FTP_USERNAME and FSSPEC_FTP_PASSWORD.")
        if isinstance(error, ftplib.error_perm) and code not in _LATER:
            return FeedConflictError(f"{text} Check feed_path, and the permissions of this user there.")
        return FeedUnavailableError(f"{text} Run again.")


class _FtpSession:
    def __init__(self, client: ftplib.FTP, name: str) -> None:
        self._client = client
        self._name = name

    def retrieve(self, path: str, consume: Callable[[bytes], object]) -> bool:
        try:
            self._client.retrbinary(f"RETR {path}", consume, CHUNK_BYTES)
        except ftplib.error_perm as error:
            # The same code says that there is no file, and that it may not be read.
            if not str(error).startswith(_NO_FILE) or self.exists(path):
                raise
            return False
        return True

    def store(self, source: Path, path: str) -> None:
        sent = 0
        self._client.voidcmd("TYPE I")
        with source.open("rb") as file:
            connection, _ = self._client.ntransfercmd(f"STOR {path}")
            with connection:
                while chunk := file.read(CHUNK_BYTES):
                    connection.sendall(chunk)
                    sent += len(chunk)
                if isinstance(connection, ssl.SSLSocket):
                    connection.unwrap()
        self._client.voidresp()
        with suppress(ftplib.error_perm):  # a server without SIZE
            size = self._client.size(path)
            if size is not None and size != sent:
                raise incomplete(self._name, size, sent)

    def exists(self, path: str) -> bool:
        self._client.voidcmd("TYPE I")  # what SIZE needs
        with suppress(ftplib.error_perm):
            self._client.size(path)
            return True
        try:
            names = self._client.nlst(posixpath.dirname(path))
        except (ftplib.error_perm, ftplib.error_temp) as error:
            if str(error)[:3] not in _NO_LISTING:
                raise
            return False
        return posixpath.basename(path) in map(posixpath.basename, names)

    def rename(self, old: str, new: str) -> None:
        try:
            self._client.rename(old, new)
        except (ftplib.error_perm, ftplib.error_temp) as error:
            raise RenameRefusedError(describe(error)) from error

    def remove(self, path: str) -> None:
        self._client.delete(path)


class _TolerantSocket(ssl.SSLSocket):
    """Many servers close data connections without the end that TLS demands. Their reply and the size tell enough."""

    @override
    def unwrap(self) -> socket.socket:
        with suppress(OSError):
            return super().unwrap()
        return self


class _EncryptedFtp(ftplib.FTP_TLS):
    """A client that finds out which kind of TLS a server speaks, and never sends anything without it."""

    def __init__(self, timeout: float) -> None:
        context = ssl.create_default_context()
        context.sslsocket_class = _TolerantSocket
        super().__init__(timeout=timeout, context=context)
        self._is_implicit = False

    @override
    def connect(self, host: str = "", port: int = 0, *_: Any, **__: Any) -> str:
        self.host, self.port = host, port
        self.sock = self._open()
        if self._has_greeting():
            return self._greet()
        try:
            self.sock = self.context.wrap_socket(self.sock, server_hostname=host)
            self._is_implicit = True
        except ssl.SSLCertVerificationError:
            raise
        except (ssl.SSLError, ConnectionError):  # it greets, but late
            self.sock.close()
            self.sock = self._open()
        return self._greet()

    @override
    def login(self, user: str = "", passwd: str = "", acct: str = "", secure: bool = True) -> str:
        if self._is_implicit:
            return ftplib.FTP.login(self, user, passwd, acct)  # noqa: S321 - within TLS
        return super().login(user, passwd, acct, secure)

    @override
    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321 - wrapped in TLS below
        # Some servers demand the session of the control connection, as a proof that both are of one client.
        session = self.sock.session if isinstance(self.sock, ssl.SSLSocket) else None
        return self.context.wrap_socket(connection, server_hostname=self.host, session=session), size

    def _open(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), self.timeout)

    def _has_greeting(self) -> bool:
        assert self.sock is not None  # noqa: S101 - for mypy
        self.sock.settimeout(GREETING_SECONDS)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return False
        finally:
            self.sock.settimeout(self.timeout)
        return True

    def _greet(self) -> str:
        assert self.sock is not None  # noqa: S101 - for mypy
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome
