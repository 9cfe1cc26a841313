"""The feed file on FTP servers of all habits: renames, TLS, listings, and failures in the middle."""

from __future__ import annotations

import ssl
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from target_runs import deliver, jetti, schema, state, variant

from tap_jetti.errors import JettiError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from target_runs import Outcome

PASSWORD = "pass/not#to?be shown"

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it stands on asyncore
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
    from pyftpdlib.servers import FTPServer


class Choosy(FTPHandler):  # type: ignore[misc]  # it has no types
    """Renames over no file."""

    renames: ClassVar[list[str]] = []
    failing: ClassVar[set[int]] = set()
    """The numbers of the renames at which the connection is cut, before they are done."""

    def ftp_RNTO(self, path: str) -> Any:  # noqa: N802 - the library's own
        """Rename."""
        self.renames.append(path)
        if len(self.renames) in self.failing:
            self.close()
            return None
        if self.fs.lexists(path):
            self.respond("553 The file exists.")
            return None
        return super().ftp_RNTO(path)


class Sparse(Choosy):
    """Knows no SIZE, and greets in an old encoding."""

    banner = "Grüezi"
    encoding = "latin-1"

    def ftp_SIZE(self, _path: str) -> None:  # noqa: N802 - the library's own
        """Refuse."""
        self.respond("500 Unknown command.")


class Bare(FTPHandler):  # type: ignore[misc]
    """Knows no SIZE, and has no listing of an empty folder."""

    def ftp_SIZE(self, _path: str) -> None:  # noqa: N802 - the library's own
        """Refuse."""
        self.respond("502 Not implemented.")

    def ftp_NLST(self, path: str) -> Any:  # noqa: N802 - the library's own
        """List a folder that is not empty."""
        if not self.fs.listdir(path):
            self.respond("450 No files found.")
            return None
        return super().ftp_NLST(path)


class Explicit(TLS_FTPHandler):  # type: ignore[misc]  # it has no types
    """Demands TLS before the login and for data."""

    tls_control_required = True
    tls_data_required = True


class Implicit(Explicit):
    """Speaks TLS from the first byte."""

    def handle(self) -> None:
        """Begin a session."""
        self.secure_connection(self.get_ssl_context())
        self._pbsz = self._prot = True
        super().handle()


@contextmanager
def ftp_server(root: Path, base: type[FTPHandler] = FTPHandler, **attributes: Any) -> Iterator[int]:
    """A real FTP server with one user."""
    authorizer = DummyAuthorizer()
    authorizer.add_user("jetti", PASSWORD, str(root), perm="elradfmwMT")
    names = {"authorizer": authorizer, "renames": [], "failing": set(), **attributes}
    server = FTPServer(("127.0.0.1", 0), type("Handler", (base,), names))
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            server.serve_forever(timeout=0.02, blocking=False, handle_exit=False)
        server.close_all()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.address[1]
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the server; credentials and the state directory are those of this test."""
    import fsspec.config  # type: ignore[import-untyped]  # noqa: PLC0415 - read from the environment when it is imported

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setitem(fsspec.config.conf, "ftp", {"username": "jetti", "password": PASSWORD})
    folder = tmp_path / "ftp"
    folder.mkdir()
    return folder


def write(port: int, *messages: Any, scheme: str = "ftp", mode: str = "merge", **settings: Any) -> Outcome:
    """Run the target with a feed file on a server."""
    with jetti() as sandbox:
        url = f"{scheme}://localhost:{port}/stock.csv"
        return deliver(sandbox, schema(), *messages, delivery="file", feed_path=url, feed_mode=mode, **settings)


def code_of(outcome: Outcome) -> int:
    """The exit code of a run that ended with an error."""
    assert isinstance(outcome.error, JettiError), outcome.error
    return outcome.error.exit_code


def rows(root: Path) -> list[str]:
    """The rows of the file on the server."""
    return (root / "stock.csv").read_text().splitlines()[1:]


@pytest.mark.parametrize(
    "handler", [FTPHandler, Choosy, Sparse, Bare], ids=["renames", "over-nothing", "sparse", "bare"]
)
def test_the_file_takes_the_place_of_the_one_before(
    handler: type[FTPHandler], root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Night after night, nothing is left beside it, and the password is nowhere in the log."""
    with ftp_server(root, handler) as port:
        for quantity in (1, 2, 3):
            outcome = write(port, variant(1, quantity), state(quantity))
            assert (outcome.error, outcome.states) == (None, [quantity])
            assert rows(root) == [f"e1,{quantity},v1"]
            assert [one.name for one in root.iterdir()] == ["stock.csv"]
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("failing", [2, 3], ids=["aside", "into-place"])
def test_a_rename_that_fails_leaves_the_old_file(failing: int, root: Path) -> None:
    """The connection is cut at a rename: the file before is in its place again, and the next run succeeds."""
    renames: list[str] = []
    with ftp_server(root, Choosy, renames=renames, failing={failing + 1}) as port:
        write(port, variant(1, 1))
        outcome = write(port, variant(1, 2), state(1))
        assert (code_of(outcome), outcome.states, rows(root)) == (75, [], ["e1,1,v1"])
        assert write(port, variant(1, 2)).error is None
    assert rows(root) == ["e1,2,v1"]
    assert [one.name for one in root.iterdir()] == ["stock.csv"]


def test_a_run_that_was_killed_between_two_renames_is_continued(root: Path) -> None:
    """The file before is found under its other name, so that merge and guard still know what was there."""
    with ftp_server(root, Choosy) as port:
        write(port, *(variant(number, 1) for number in range(4)))
        (root / "stock.csv").rename(root / "stock.csv.old")
        assert "from 4 to 1" in str(write(port, variant(1, 2), mode="replace").error)
        assert write(port, variant(1, 2)).error is None
    assert rows(root) == ["e0,1,v0", "e1,2,v1", "e2,1,v2", "e3,1,v3"]
    assert [one.name for one in root.iterdir()] == ["stock.csv"]


def test_what_an_earlier_run_left_is_no_obstacle(root: Path) -> None:
    """A run that was killed after the renames left the file before it beside the new one."""
    with ftp_server(root, Choosy) as port:
        write(port, variant(1, 1))
        (root / "stock.csv.old").write_text("old")
        assert write(port, variant(1, 2)).error is None
    assert rows(root) == ["e1,2,v1"]
    assert [one.name for one in root.iterdir()] == ["stock.csv"]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of the certificate of a server that this machine trusts."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return str(tmp_path / "server.pem")


@pytest.mark.parametrize("scheme", ["ftps", "ftpes"])
@pytest.mark.parametrize("handler", [Explicit, Implicit])
def test_tls_is_explicit_or_implicit_as_the_server_speaks(
    handler: type[Explicit], scheme: str, root: Path, certificate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The port decides nothing where it is given, and a server that greets late is understood, too."""
    monkeypatch.setattr("tap_jetti.target.feed_file.ftp_server.GREETING_SECONDS", 0.3)
    with ftp_server(root, handler, certfile=certificate) as port:
        for quantity in (1, 2):
            outcome = write(port, variant(1, quantity), state(1), scheme=scheme)
            assert (outcome.error, outcome.states) == (None, [1])
            assert rows(root) == [f"e1,{quantity},v1"]


def test_a_late_greeting_is_understood(root: Path, certificate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with explicit TLS that is slower than the wait for its greeting is asked again."""
    monkeypatch.setattr("tap_jetti.target.feed_file.ftp_server.GREETING_SECONDS", 1e-6)
    with ftp_server(root, Explicit, certfile=certificate) as port:
        assert write(port, variant(1, 1), scheme="ftps").error is None


def test_a_server_without_tls_gets_no_password(root: Path) -> None:
    """Encryption that was asked for is not left out."""
    passwords: list[str] = []
    with ftp_server(root, ftp_PASS=lambda _self, line: passwords.append(line)) as port:
        outcome = write(port, variant(1, 1), scheme="ftps")
    assert code_of(outcome) == 78
    assert not passwords


def test_a_certificate_that_is_not_trusted_is_an_error(
    root: Path, certificate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable that says what to trust."""
    monkeypatch.delenv("SSL_CERT_FILE")
    with ftp_server(root, Explicit, certfile=certificate) as port:
        outcome = write(port, variant(1, 1), scheme="ftps")
    assert code_of(outcome) == 78
    assert "SSL_CERT_FILE" in str(outcome.error)
    assert isinstance(outcome.error.__cause__, ssl.SSLCertVerificationError) if outcome.error else False


def refuse(code: str) -> Any:
    """A command that the server refuses, with an answer that repeats the password."""
    return lambda self, _line: self.respond(f"{code} No, {PASSWORD}")


def size_of_part(handler: FTPHandler, path: str) -> None:
    """Say that a file is there, but not all of it."""
    handler.respond("213 1" if path.endswith(".part") else "550 No such file.")


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        pytest.param({"ftp_PASS": refuse("530")}, 77, id="login"),
        pytest.param({"ftp_PASS": refuse("421")}, 75, id="busy"),
        pytest.param({"ftp_STOR": refuse("550")}, 78, id="not-writable"),
        pytest.param({"ftp_STOR": refuse("552")}, 75, id="disk-full"),
        pytest.param({"ftp_STOR": lambda self, _line: self.close()}, 75, id="closed"),
        pytest.param({"ftp_RNTO": refuse("553")}, 1, id="no-renames-at-all"),
        pytest.param({"ftp_SIZE": size_of_part}, 75, id="cut"),
    ],
)
def test_failures_are_errors_that_say_whether_a_retry_helps(
    attributes: dict[str, Any], code: int, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The error names the place and no password, nothing is left behind, and no STATE comes out."""
    with ftp_server(root, **attributes) as port:
        outcome = write(port, variant(1, 1), state(1))
        assert (code_of(outcome), outcome.states) == (code, [])
        assert f"ftp://localhost:{port}/stock.csv" in str(outcome.error)
    assert PASSWORD not in str(outcome.error) + caplog.text
    assert not list(root.iterdir())


def test_a_host_that_is_away_is_worth_a_retry(root: Path) -> None:
    """Nobody listens."""
    with ftp_server(root) as port:
        pass
    assert code_of(write(port, variant(1, 1))) == 75


def test_a_file_that_may_not_be_read_is_not_taken_for_missing(root: Path) -> None:
    """Both get the same code from the server; a delta must not become the inventory."""
    (root / "stock.csv").write_text("externalId\na\n")
    with ftp_server(root, ftp_RETR=refuse("550")) as port:
        outcome = write(port, variant(1, 1))
    assert code_of(outcome) == 78
    assert (root / "stock.csv").read_text() == "externalId\na\n"
