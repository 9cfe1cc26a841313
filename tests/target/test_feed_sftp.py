"""The feed file on SFTP servers: with and without renames over a file, host keys, and failures."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import paramiko  # type: ignore[import-untyped]
import pytest
from target_runs import deliver, jetti, schema, state, variant

from tap_jetti.errors import JettiError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from target_runs import Outcome

PASSWORD = "pass/not#to?be shown"
KEY = paramiko.RSAKey.generate(2048)
USER_KEY = paramiko.RSAKey.generate(2048)


class Login(paramiko.ServerInterface):  # type: ignore[misc]
    """One user with a password and a key."""

    def check_auth_password(self, username: str, password: str) -> int:
        """Compare the password."""
        return paramiko.AUTH_SUCCESSFUL if (username, password) == ("jetti", PASSWORD) else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        """Compare the key."""
        return paramiko.AUTH_SUCCESSFUL if (username, key) == ("jetti", USER_KEY) else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        """Allow all."""
        del kind, chanid
        return paramiko.OPEN_SUCCEEDED

    def get_allowed_auths(self, username: str) -> str:
        """Both."""
        del username
        return "password,publickey"


class Folder(paramiko.SFTPServerInterface):  # type: ignore[misc]
    """A folder. It renames over no file, as the protocol has it."""

    root = ""

    def _path(self, path: str) -> str:
        return self.root + self.canonicalize(path)

    def _done(self, call: Any, *arguments: str) -> int:
        try:
            call(*arguments)
        except OSError as error:
            return int(paramiko.SFTPServer.convert_errno(error.errno))
        return int(paramiko.SFTP_OK)

    def stat(self, path: str) -> Any:
        """Look at a file."""
        try:
            return paramiko.SFTPAttributes.from_stat(os.stat(self._path(path)))  # noqa: PTH116
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    lstat = stat

    def open(self, path: str, flags: int, attr: Any) -> Any:
        """Open a file."""
        del attr
        try:
            descriptor = os.open(self._path(path), flags, 0o666)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        handle = paramiko.SFTPHandle(flags)
        handle.readfile = handle.writefile = os.fdopen(descriptor, "r+b" if flags & (os.O_WRONLY | os.O_RDWR) else "rb")
        handle.stat = lambda: self.stat(path)
        return handle

    def remove(self, path: str) -> int:
        """Remove a file."""
        return self._done(os.remove, self._path(path))

    def rename(self, oldpath: str, newpath: str) -> int:
        """Rename a file over none."""
        if os.path.lexists(self._path(newpath)):
            return int(paramiko.SFTP_FAILURE)
        return self._done(os.rename, self._path(oldpath), self._path(newpath))


class Modern(Folder):
    """The same with OpenSSH's extension."""

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        """Rename a file over another one."""
        return self._done(os.replace, self._path(oldpath), self._path(newpath))


@contextmanager
def sftp_server(root: Path, interface: type[Folder] = Modern, port: int = 0, key: Any = KEY) -> Iterator[int]:
    """A real SFTP server."""
    folder = type("Interface", (interface,), {"root": str(root)})
    listener = socket.create_server(("127.0.0.1", port))
    transports: list[paramiko.Transport] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                transport = paramiko.Transport(connection)
                transports.append(transport)
                transport.add_server_key(key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, folder)
                with suppress(paramiko.SSHException, EOFError):
                    transport.start_server(server=Login())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for transport in transports:
            transport.close()
            transport.join(10)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the server; home and state directory are those of this test."""
    import fsspec.config  # type: ignore[import-untyped]  # noqa: PLC0415 - read from the environment when it is imported

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setitem(fsspec.config.conf, "sftp", {"username": "jetti", "password": PASSWORD})
    folder = tmp_path / "sftp"
    folder.mkdir()
    return folder


def write(port: int, *messages: Any, mode: str = "merge", **settings: Any) -> Outcome:
    """Run the target with a feed file on a server."""
    with jetti() as sandbox:
        url = f"sftp://127.0.0.1:{port}/stock.csv"
        return deliver(sandbox, schema(), *messages, delivery="file", feed_path=url, feed_mode=mode, **settings)


def code_of(outcome: Outcome) -> int:
    """The exit code of a run that ended with an error."""
    assert isinstance(outcome.error, JettiError), outcome.error
    return outcome.error.exit_code


@pytest.mark.parametrize("interface", [Modern, Folder], ids=["renames", "renames-over-nothing"])
def test_the_file_takes_the_place_of_the_one_before(
    interface: type[Folder], root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Night after night nothing is left beside it; the host's key is said once, and the password never."""
    with sftp_server(root, interface) as port:
        for quantity in (1, 2, 3):
            outcome = write(port, variant(1, quantity), state(quantity))
            assert (outcome.error, outcome.states) == (None, [quantity])
            assert (root / "stock.csv").read_text().splitlines()[1:] == [f"e1,{quantity},v1"]
            assert [one.name for one in root.iterdir()] == ["stock.csv"]
    assert caplog.text.count("is accepted and kept") == 1
    assert PASSWORD not in caplog.text


def test_a_key_is_enough(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in a file that is named logs in without a password."""
    import fsspec.config  # noqa: PLC0415 - as above

    USER_KEY.write_private_key_file(str(tmp_path / "key"))
    monkeypatch.setitem(fsspec.config.conf, "sftp", {"username": "jetti", "key_filename": str(tmp_path / "key")})
    with sftp_server(root) as port:
        assert write(port, variant(1, 1)).error is None


def test_another_host_key_is_refused(root: Path) -> None:
    """A host that was known by another key gets no password."""
    with sftp_server(root) as port:
        assert write(port, variant(1, 1)).error is None
    with sftp_server(root, port=port, key=USER_KEY):
        outcome = write(port, variant(1, 2))
    assert code_of(outcome) == 78
    assert "known_hosts" in str(outcome.error)


def test_a_wrong_password_is_not_shown(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No retry helps, and no STATE comes out."""
    import fsspec.config  # noqa: PLC0415 - as above

    monkeypatch.setitem(fsspec.config.conf, "sftp", {"username": "jetti", "password": "wrong-not-shown"})
    with sftp_server(root) as port:
        outcome = write(port, variant(1, 1), state(1))
    assert (code_of(outcome), outcome.states) == (77, [])
    assert "wrong-not-shown" not in str(outcome.error) + caplog.text


def test_a_host_that_is_away_is_worth_a_retry(root: Path) -> None:
    """Nobody listens."""
    with sftp_server(root) as port:
        pass
    assert code_of(write(port, variant(1, 1))) == 75


def test_a_folder_that_does_not_exist_is_a_matter_of_settings(root: Path) -> None:
    """The error names the place."""
    root.rmdir()
    with sftp_server(root) as port:
        outcome = write(port, variant(1, 1))
    assert code_of(outcome) == 78
    assert f"sftp://127.0.0.1:{port}/stock.csv" in str(outcome.error)
