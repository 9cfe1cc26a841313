"""Whatever a server sends, an attempt ends in time, and takes a bounded amount of memory."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
from itertools import repeat
from typing import TYPE_CHECKING, Any

import pytest
from dripping_server import PAUSE, dripping

from runs import LOGGER
from tap_jetti.client.clock import SystemClock
from tap_jetti.client.http import ATTEMPT_TIMEOUTS
from tap_jetti.errors import DecodeError, ResponseTooLargeError, TransportError
from tap_jetti.reading.page_limit import PageLimit
from tap_jetti.reading.pages import KeyRange, Projection, ResourcePages
from tap_jetti.reading.server_profile import ServerProfile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from certificates import Certificate

    from tap_jetti.client.session import JettiSession
    from tap_jetti.sandbox import Sandbox

TIMEOUT = 0.2
"""Read timeout of these tests. A whole attempt may take five times as long."""

PIECES = int(6 * ATTEMPT_TIMEOUTS * TIMEOUT / PAUSE)
"""Pieces that take six times as long as an attempt may. After them the response is complete: without a bound, it is
received."""

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
LENGTH = b"Content-Length: %d\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
EMPTY = HEAD + LENGTH % 2 + b"[]"

SLOW: dict[str, list[bytes]] = {
    "head": [HEAD, b"X: ", *repeat(b"x", PIECES), b"\r\n", LENGTH % 2 + b"[]"],
    "status": [*repeat(b"HTTP/1.1 100 Continue\r\n\r\n", PIECES), EMPTY],
    "early hints": [*repeat(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", PIECES), EMPTY],
    "body": [HEAD + LENGTH % (PIECES + 2), b"[", *repeat(b" ", PIECES), b"]"],
    "body without length": [HEAD + b"\r\n[", *repeat(b" ", PIECES), b"]"],
    "chunks": [HEAD + CHUNKED + b"1\r\n[\r\n", *repeat(b"1\r\n \r\n", PIECES), b"1\r\n]\r\n0\r\n\r\n"],
    "length of a chunk": [HEAD + CHUNKED, *repeat(b"0", PIECES), b"2\r\n[]\r\n0\r\n\r\n"],
    "trailer": [HEAD + CHUNKED + b"2\r\n[]\r\n0\r\n", *repeat(b"X: y\r\n", PIECES), b"\r\n"],
}


@pytest.fixture
def get(connect: Callable[..., JettiSession]) -> Callable[[str], Any]:
    """Read from a URL with one attempt, on the clock of the system, with a short timeout."""

    def get(url: str) -> Any:
        return connect(url, clock=SystemClock(), timeout=TIMEOUT, retry_seconds=0).get("sales.json").body

    return get


# --- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", SLOW.values(), ids=SLOW)
def test_an_attempt_ends_though_bytes_arrive_all_the_time(pieces: list[bytes], get: Callable[[str], Any]) -> None:
    """No part of a response may take longer than the attempt, and the error names host and path."""
    with (
        dripping(pieces) as port,
        pytest.raises(TransportError, match=r"Timed out after \d+ bytes from 127\.0\.0\.1 \(GET /api/sales\.json\)"),
    ):
        get(f"http://127.0.0.1:{port}/api/")


@pytest.mark.parametrize("part", ["head", "body", "trailer"])
def test_an_attempt_over_tls_ends_too(
    part: str, certificate: Certificate, get: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TLS the bound is the same."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
    with dripping(SLOW[part], context=certificate.context) as port, pytest.raises(TransportError, match="Timed out"):
        get(f"https://127.0.0.1:{port}/api/")


def test_a_response_over_tls_is_received(
    certificate: Certificate, connect: Callable[..., JettiSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection that is bounded also works."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
    with dripping([EMPTY], context=certificate.context) as port:
        assert connect(f"https://127.0.0.1:{port}/api/").get("sales.json").body == []


def test_a_tls_handshake_that_does_not_go_on_ends(get: Callable[[str], Any]) -> None:
    """A server that answers a handshake with one byte at a time is given up."""
    handshake = b"\x16\x03\x03\x40\x00"  # the start of a record of 16 kB
    with dripping([handshake, *repeat(b"x", PIECES)]) as port, pytest.raises(TransportError):
        get(f"https://127.0.0.1:{port}/api/")


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\n", *repeat(b"X: y\r\n", PIECES), b"\r\n"],
        [b"HTTP/1.1 200 ", *repeat(b"O", PIECES), b"\r\n\r\n"],
    ],
    ids=["headers", "status"],
)
def test_a_proxy_that_opens_its_tunnel_slowly_ends_the_attempt(
    pieces: list[bytes], get: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time for a tunnel counts, and the error says that the proxy is to blame and nothing was sent."""
    with dripping(pieces) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(
            TransportError, match=r"Cannot connect to api\.invalid through the proxy: no response"
        ) as error:
            get("https://api.invalid/api/")
    assert error.value.may_have_arrived is False


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_plain_proxy_that_drips_ends_the_attempt(
    part: str, get: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a tunnel the proxy's response is bounded as a server's."""
    with dripping(SLOW[part]) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(TransportError, match=r"Timed out .* from api\.invalid"):
            get("http://api.invalid/api/")


@pytest.fixture
def silent_address() -> Iterator[int]:
    """A port where connections are neither accepted nor refused: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]
        for filler in fillers:
            filler.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse when the queue is full")
def test_a_host_with_many_silent_addresses_ends_the_attempt(
    silent_address: int, get: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All addresses together get the time of one attempt: of a hundred not even ten are tried."""
    tried: list[str] = []
    connect = socket.socket.connect

    class Counting(socket.socket):
        def connect(self, address: Any) -> None:
            tried.append(address[0])
            connect(self, address)

    addresses = [f"127.0.0.{number}" for number in range(1, 101)]
    resolve = socket.getaddrinfo

    def resolved(host: str, port: int, *rest: Any, **named: Any) -> list[Any]:
        if host != "many.invalid":
            return resolve("127.0.0.1", port, *rest, **named)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    monkeypatch.setattr(socket, "socket", Counting)
    with pytest.raises(TransportError, match=r"Cannot connect to many\.invalid: no response in time"):
        get(f"http://many.invalid:{silent_address}/api/")
    assert 1 < len(tried) < 10


@pytest.mark.parametrize("kind", ["drip-head", "drip-body"])
def test_a_dripping_sandbox_is_given_up(
    kind: str, sandboxes: Callable[..., Sandbox], connect: Callable[..., JettiSession]
) -> None:
    """The same through the sandbox, and a retry succeeds."""
    sandbox = sandboxes(faults=1.0, fault_kinds=(kind,), drip_seconds=PAUSE)
    sandbox.replace("sales", [{"id": 1, "updatedAt": "2020-01-01T00:00:00Z", "notes": "x" * 100_000}])
    sandbox.on_request = lambda number, *_: setattr(sandbox.options, "faults", 1.0 if number == 1 else 0.0)
    session = connect(sandbox.api_url, clock=SystemClock(), timeout=TIMEOUT)
    assert [row["id"] for row in session.get("sales.json").body] == [1]
    assert session.stats.retries >= 1


# --- size -----------------------------------------------------------------------------------------------------------

MEASURE = """
import resource, sys
from tap_jetti.client.clock import SystemClock
from tap_jetti.client.hosts import Host
from tap_jetti.client.rate_limit import MemoryStore, RateLimiter
from tap_jetti.client.session import JettiSession
clock = SystemClock()
host = Host.api(sys.argv[1], token=sys.argv[2], limiter=RateLimiter(MemoryStore(clock), rate=9, burst=9, clock=clock))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    JettiSession(host, clock=clock).get("sales.json")
except Exception as error:
    print(type(error).__name__, error, file=sys.stderr)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
def test_a_bomb_takes_no_more_memory_than_a_response_may_have(sandboxes: Callable[..., Sandbox]) -> None:
    """A small body that decompresses to 400 MB is an error at 256 MB, and is asked for once."""
    sandbox = sandboxes(faults=1.0, fault_kinds=("bomb",))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, sandbox.api_url, sandbox.token],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stderr == (
        "ResponseTooLargeError The response from 127.0.0.1 exceeds 256 MB (GET /api/sales.json)."
        " Set page_size to fewer rows.\n"
    )
    assert int(done.stdout) < 350
    assert len(sandbox.requests) == 1


@pytest.fixture
def _small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a response have 1 MB."""
    for module in ("bounded_response", "http", "http_errors"):
        monkeypatch.setattr(f"tap_jetti.client.{module}.MAX_RESPONSE_BYTES", 1 << 20)


def large(length: bytes = b"", body: bytes = b"[" + b" " * (4 << 20) + b"]", **headers: str) -> list[bytes]:
    """A response larger than 1 MB, in large pieces."""
    lines = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in headers.items())
    content = HEAD + lines.encode() + length + b"\r\n" + body
    return [content[start : start + (1 << 19)] for start in range(0, len(content), 1 << 19)]


def chunked(body: bytes) -> bytes:
    """A body in one chunk."""
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


BODY = b"[" + b" " * (4 << 20) + b"]"


@pytest.mark.usefixtures("_small_limit")
@pytest.mark.parametrize(
    "pieces",
    [
        large(),
        large(LENGTH[:-2] % len(BODY)),
        large(b"Content-Length: 99999999999999999999999\r\n", b"[]"),
        large(body=chunked(BODY), Transfer_Encoding="chunked"),
        large(body=b"-1\r\n" + BODY, Transfer_Encoding="chunked"),
        large(body=gzip.compress(BODY), Content_Encoding="gzip"),
        large(body=gzip.compress(gzip.compress(BODY)), Content_Encoding="gzip, gzip"),
        large(body=chunked(gzip.compress(BODY)), Content_Encoding="gzip", Transfer_Encoding="chunked"),
    ],
    ids=["no length", "length", "only a length", "chunked", "negative chunk", "gzip", "gzip twice", "gzip, chunked"],
)
def test_a_response_that_is_too_large_is_an_error_that_is_not_retried(
    pieces: list[bytes], connect: Callable[..., JettiSession]
) -> None:
    """However it states its size, the error says where, what the limit is, and what to do."""
    with (
        dripping(pieces) as port,
        pytest.raises(
            ResponseTooLargeError, match=r"127\.0\.0\.1 exceeds 1 MB \(GET /api/sales\.json\)\. Set page_size"
        ),
    ):
        connect(f"http://127.0.0.1:{port}/api/").get("sales.json")


@pytest.mark.parametrize(
    "head",
    [
        [HEAD, *repeat(b"X: " + b"x" * 60_000 + b"\r\n", 30)],
        [b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * 60_000],
    ],
    ids=["headers", "interim responses"],
)
def test_a_head_that_does_not_end_is_an_error(head: list[bytes], connect: Callable[..., JettiSession]) -> None:
    """A head has at most 1 MB, interim responses included."""
    with (
        dripping([*head, EMPTY]) as port,
        pytest.raises(TransportError, match=r"headers of the response from 127\.0\.0\.1 exceed 1 MB"),
    ):
        connect(f"http://127.0.0.1:{port}/api/", retry_seconds=0).get("sales.json")


def test_a_body_that_cannot_be_decompressed_is_named(connect: Callable[..., JettiSession]) -> None:
    """A body that is not gzip though its header says so is retried, and is not called a lost connection."""
    with (
        dripping([HEAD + b"Content-Encoding: gzip\r\n\r\n[]"]) as port,
        pytest.raises(DecodeError, match=r"response from 127\.0\.0\.1 cannot be decompressed"),
    ):
        connect(f"http://127.0.0.1:{port}/api/", retry_seconds=0).get("sales.json")


@pytest.mark.usefixtures("_small_limit")
def test_a_page_that_is_too_large_makes_pages_smaller(
    sandboxes: Callable[..., Sandbox], sessions: Callable[..., JettiSession]
) -> None:
    """If a larger page is tried and exceeds the limit, the size that worked is used again, and no row is lost."""
    sandbox = sandboxes(page_cap=1000)
    date = "2020-01-01T00:00:%02d.%03dZ"
    rows = [{"id": n, "updatedAt": date % divmod(n, 1000), "notes": "x" * 7000} for n in range(1, 401)]
    sandbox.replace("sales", rows)
    profile = ServerProfile(page_limit=PageLimit(logger=LOGGER))
    pages = ResourcePages(sessions(sandbox), "sales", projection=Projection(), profile=profile, logger=LOGGER)
    first = pages.page(KeyRange("id", 1))
    second = pages.page(KeyRange("id", 101))
    assert (first.limit, second.limit) == (100, 100)
    assert second.page.ids == list(range(101, 201))
    limits = [request.query.split("limit=")[1].split("&")[0] for request in sandbox.requests]
    assert limits == ["100", "200", "100"]
    assert profile.page_limit.to_bookmark()["refused_page_size"] == 200


# --- interim responses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 200])
def test_interim_responses_are_passed_over(
    count: int, sandboxes: Callable[..., Sandbox], sessions: Callable[..., JettiSession]
) -> None:
    """Any number of 103, 100 and 102 may come before the response, on a connection that is kept open."""
    sandbox = sandboxes(interim_responses=count)
    sandbox.replace("sales", [{"id": 1, "updatedAt": "2020-01-01T00:00:00Z"}])
    session = sessions(sandbox)
    for _ in range(2):
        assert [row["id"] for row in session.get("sales.json").body] == [1]
    assert session.stats.retries == 0


def test_headers_of_an_interim_response_mean_nothing(connect: Callable[..., JettiSession]) -> None:
    """Length, encoding and date are those of the response itself."""
    hints = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nRetry-After: 9\r\n\r\n"
    body = json.dumps([{"id": 1}]).encode()
    with dripping([hints + HEAD + LENGTH % len(body) + body]) as port:
        assert connect(f"http://127.0.0.1:{port}/api/").get("sales.json").body == [{"id": 1}]
