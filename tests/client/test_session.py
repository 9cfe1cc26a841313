"""Requests are retried, keep to the rate limit, go to their own host only, and fail with a clear message."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from runs import TOKEN
from tap_jetti.client.hosts import Host, parse_base_url
from tap_jetti.client.rate_limit import MemoryStore, RateLimiter
from tap_jetti.client.session import JettiSession
from tap_jetti.errors import (
    AuthenticationError,
    ClientError,
    DecodeError,
    ForbiddenError,
    JettiError,
    NotFoundError,
    RateLimitedError,
    RedirectError,
    RequestError,
    RetriableError,
    ServerError,
    SettingsError,
    TransportError,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from certificates import Certificate

    from tap_jetti.client.clock import VirtualClock
    from tap_jetti.sandbox import Sandbox

WHERE = "PRIVATE-VALUE"
QUERY = [("where[email]", WHERE), ("where[saleId][$ne]", "")]
PAYLOAD = "PRIVATE-PAYLOAD"
ROW = {"id": 1, "updatedAt": "2020-01-01T00:00:00Z", "notes": "row"}


def http(status: int, body: bytes | str = b"[]", **headers: str) -> bytes:
    """A complete HTTP response."""
    content = body.encode() if isinstance(body, str) else body
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    named = {"Content-Length": str(len(content)), "Connection": "close", **given}
    lines = [f"HTTP/1.1 {status} Any", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


@dataclass
class Scripted:
    """A server that sends prepared responses, the last one for ever, and keeps the requests."""

    answers: list[bytes]
    requests: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/api/"

    def answer(self, head: str) -> bytes:
        """The next response."""
        self.requests.append(head)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    """Start servers with the bytes of their responses."""
    with contextlib.ExitStack() as stack:

        def start(*answers: bytes, context: ssl.SSLContext | None = None) -> Scripted:
            script = Scripted(list(answers))

            class Handler(socketserver.StreamRequestHandler):
                def handle(self) -> None:
                    lines: list[bytes] = []
                    for line in self.rfile:
                        if line == b"\r\n":
                            break
                        lines.append(line)
                    if lines:
                        self.wfile.write(script.answer(b"".join(lines).decode()))

            class Server(socketserver.ThreadingTCPServer):
                daemon_threads = True
                allow_reuse_address = True

                def get_request(self) -> tuple[socket.socket, Any]:
                    connection, address = super().get_request()
                    return (context.wrap_socket(connection, server_side=True) if context else connection), address

                def handle_error(self, *_: Any) -> None:
                    """A client that closes the connection is not an error."""

            server = stack.enter_context(Server(("127.0.0.1", 0), Handler))
            script.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return script

        yield start


# --- credentials are sent to their own host only --------------------------------------------------------------------


def test_the_token_never_follows_a_redirect_to_another_port(
    sandboxes: Callable[..., Sandbox], connect: Callable[..., JettiSession]
) -> None:
    """A redirect to another port of the same machine is not followed: nothing is sent there."""
    other = sandboxes()
    sandbox = sandboxes(redirect_to=f"{other.api_url}sales.json")
    with pytest.raises(RedirectError, match="the token is sent to its own host only"):
        connect(sandbox.api_url).get("sales.json", QUERY)
    assert len(other.requests) == 0
    assert len(sandbox.requests) == 1, "a redirect is no reason to try again"


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:{port}/api/sales.json",
        "https://127.0.0.1:{port}/api/sales.json",
        "//example.invalid/api/sales.json",
        "http://127.0.0.1.example.invalid:{port}/",
        "http://127.0.0.1:{port}@example.invalid/",
        "ftp://127.0.0.1/",
    ],
    ids=["name", "scheme", "no scheme", "suffix", "user", "ftp"],
)
def test_a_redirect_to_another_origin_is_not_followed(
    target: str, scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]
) -> None:
    """Another name, scheme or host is another origin."""
    server = scripted(b"")
    server.answers[:] = [http(302, Location=target.format(port=server.port))]
    with pytest.raises(RedirectError):
        connect(server.url).get("sales.json")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "target",
    ["http://[::1", "http://127.0.0.1:99999999/", "http://127.0.0.1:x/", "http://\\", "http://*.invalid/", "//[v1.a]/"],
)
def test_a_redirect_to_an_invalid_url_is_an_error_at_once(
    target: str, scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]
) -> None:
    """A redirect to an invalid host or port is not followed, and nothing is tried again."""
    server = scripted(http(302, Location=target))
    with pytest.raises(
        RedirectError, match=r"Did not follow a redirect to .*\(GET /api/sales\.json\)\. If Jetti has moved"
    ):
        connect(server.url).get("sales.json")
    assert len(server.requests) == 1


def test_a_redirect_to_a_strange_path_of_the_host_ends(
    scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]
) -> None:
    """A path of colons is a path: the redirect is followed as often as any other."""
    with pytest.raises(RedirectError, match="More than 3 redirects"):
        connect(scripted(http(302, Location="::::")).url).get("sales.json")


def test_a_redirect_from_https_to_http_is_not_followed(
    certificate: Certificate,
    scripted: Callable[..., Scripted],
    connect: Callable[..., JettiSession],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The token is never sent without encryption because a server says so, even on the same host and port."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
    server = scripted(b"", context=certificate.context)
    server.answers[:] = [http(302, Location=server.url)]
    with pytest.raises(RedirectError, match=r"http://127\.0\.0\.1:\d+: the token is sent to its own host only"):
        connect(server.url.replace("http:", "https:")).get("sales.json")
    assert len(server.requests) == 1


def test_a_redirect_on_the_host_is_followed_with_the_token(
    scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]
) -> None:
    """A redirect that stays on the host is followed; the query is the one it names."""
    server = scripted(http(301, Location="/api/moved.json?a=1"), http(200, "[1]"))
    assert connect(server.url).get("sales.json", QUERY).body == [1]
    assert server.requests[1].startswith("GET /api/moved.json?a=1 ")
    assert f"Authorization: Bearer {TOKEN}" in server.requests[1]


def test_redirects_in_a_circle_end_and_each_counts(
    scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]
) -> None:
    """After four requests, each within the rate limit, it is an error."""
    server = scripted(http(302, Location="/api/sales.json"))
    session = connect(server.url)
    with pytest.raises(RedirectError, match="More than 3 redirects"):
        session.get("sales.json")
    assert session.stats.gets == len(server.requests) == 4


def test_a_write_is_never_redirected(scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]) -> None:
    """A redirected write might be done twice, or become a read: it is not followed."""
    server = scripted(http(307, Location="/api/other.json"))
    with pytest.raises(RedirectError):
        connect(server.url).write("PUT", "sales/1.json", {"a": 1}, repeatable=True)
    assert len(server.requests) == 1


def test_a_request_says_who_asks_and_what_is_understood(
    scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]
) -> None:
    """The headers of a read and of a write, each once, and a body only where there is one."""
    server = scripted(http(200, "{}"))
    session = connect(server.url, user_agent="tester")
    session.get("a.json")
    session.write("PUT", "a.json", {"a": 1}, repeatable=True)
    read, write = (request.lower().split("\r\n")[1:-1] for request in server.requests)
    common = {"user-agent: tester", "accept: application/json", f"authorization: bearer {TOKEN}".lower()}
    assert common <= set(read)
    assert {*common, "content-type: application/json", "content-length: 7"} <= set(write)
    assert not any(line.startswith("content-") for line in read)
    for lines in (read, write):
        assert len({line.split(":")[0] for line in lines}) == len(lines)


def test_cookies_are_not_kept(scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]) -> None:
    """No cookie is sent back: with one, the server might take the client for another user."""
    server = scripted(http(200, "[]", Set_Cookie="who=else; Path=/"))
    session = connect(server.url)
    session.get("a.json")
    session.get("b.json")
    assert "cookie:" not in server.requests[1].lower()


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.jetti.io/api/", "https://api.jetti.io/api/"),
        ("https://api.jetti.io/api", "https://api.jetti.io/api/"),
        ("https://api.jetti.io", "https://api.jetti.io/api/"),
        ("https://api.jetti.io/", "https://api.jetti.io/api/"),
        (" http://localhost:8765/x/y ", "http://localhost:8765/x/y/"),
        ("ftp://host/", None),
        ("api.jetti.io/api", None),
        ("https://user:secret@host/api", None),
        ("https://host/api?access_token=secret", None),
        ("https://host:99999999/api", None),
        ("https://[::1", None),
        ("", None),
        ("http://host/api", None),
        ("http://localhost.host/api", None),
        ("http://127.0.0.1.host/api", None),
        ("http://10.0.0.1/api", None),
        ("http://127.0.0.9/api", "http://127.0.0.9/api/"),
        ("http://[::1]:80/api", "http://[::1]:80/api/"),
        ("http://[::ffff:127.0.0.1]/api", "http://[::ffff:127.0.0.1]/api/"),
        ("http://jetti.LOCALHOST/api", "http://jetti.LOCALHOST/api/"),
    ],
)
def test_the_base_is_a_plain_url(url: str, base: str | None) -> None:
    """A URL without a path gets the default path; any other than a plain http URL is an error without its secrets."""
    if base is not None:
        assert parse_base_url(url, "api_url", default_path="/api/") == base
        return
    with pytest.raises(SettingsError, match=r"api_url (must be|begins with http://)") as error:
        parse_base_url(url, "api_url", default_path="/api/")
    assert "secret" not in str(error.value)


def test_plain_http_to_another_machine_must_be_allowed() -> None:
    """Without TLS anybody on the way can read the token, so the user has to say that this is all right."""
    with pytest.raises(SettingsError, match=r"sent to jetti\.local unencrypted\. .* set allow_http to true"):
        parse_base_url("http://jetti.local/api/", "api_url", default_path="/api/")
    allowed = parse_base_url("http://jetti.local/api/", "api_url", default_path="/api/", allow_http=True)
    assert allowed == "http://jetti.local/api/"


@pytest.mark.parametrize(
    "odd", ["..", "../7", "7/../8", "7?x=1", "7#x", "7\r\nHost: x", "%2e", "7//x", "", "7\u0661", "7 8"]
)
def test_an_id_cannot_change_a_url(
    odd: str, sandboxes: Callable[..., Sandbox], sessions: Callable[..., JettiSession]
) -> None:
    """A path with anything but plain segments is not sent, and the error shows it escaped."""
    session = sessions(sandboxes())
    for call in (
        lambda: session.get(f"purchases/{odd}/count.json"),
        lambda: session.write("PUT", f"purchases/{odd}/ship.json", {}, repeatable=True),
    ):
        with pytest.raises(ClientError, match="nothing was sent") as caught:
            call()
        assert str(caught.value).isprintable()
    assert session.stats.gets + session.stats.writes == 0


# --- what is retried ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["500", "502-html", "503", "429", "reset-before", "reset-after", "truncated", "html-200"]
)
def test_a_temporary_failure_is_retried(
    kind: str, sandboxes: Callable[..., Sandbox], sessions: Callable[..., JettiSession]
) -> None:
    """A request that fails twice and then succeeds is a success."""
    sandbox = sandboxes(faults=1.0, fault_kinds=(kind,))
    sandbox.replace("sales", [ROW])

    def heal(number: int, *_: str) -> None:
        sandbox.options.faults = 1.0 if number <= 2 else 0.0

    sandbox.on_request = heal
    session = sessions(sandbox)
    assert [row["id"] for row in session.get("sales.json").body] == [1]
    assert len(sandbox.requests) == 3
    assert session.stats.retries == 2
    assert session.stats.gets == 3


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("500", ServerError, r"500 on GET /api/sales\.json"),
        ("502-html", ServerError, r"502 on GET /api/sales\.json"),
        ("503", ServerError, r"503 on GET /api/sales\.json"),
        ("429", RateLimitedError, r"429 on GET /api/sales\.json.*rate_limit"),
        ("reset-before", TransportError, r"GET /api/sales\.json"),
        ("reset-after", TransportError, r"GET /api/sales\.json"),
        ("html-200", DecodeError, r"\d+ bytes.*GET /api/sales\.json"),
        ("truncated", RequestError, r"\d+ bytes.*GET /api/sales\.json"),
    ],
)
def test_a_permanent_failure_is_named(
    kind: str,
    error: type[RequestError],
    words: str,
    sandboxes: Callable[..., Sandbox],
    connect: Callable[..., JettiSession],
    clock: VirtualClock,
) -> None:
    """After retry_seconds the error names what failed, on what path and, for an unreadable body, its bytes."""
    sandbox = sandboxes(faults=1.0, fault_kinds=(kind,))
    sandbox.replace("sales", [{**ROW, "notes": PAYLOAD}])
    began = clock.monotonic()
    with pytest.raises(error, match=words) as raised:
        connect(sandbox.api_url).get("sales.json", QUERY)
    assert_private(str(raised.value))
    assert len(sandbox.requests) >= 5
    assert clock.monotonic() - began <= 20 + 30


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b'[{"id": 1}', None),
        (b'[{"id": 1}, {"id"', 400),
        (b"", None),
        (b"<html>Please log in</html>", None),
        (b"\xff\xfe[]", None),
        (b"[" * 20_000 + b"]" * 20_000, None),
        (b"[NaN]", None),
    ],
    ids=["cut", "cut, with its length", "empty", "html", "utf-16", "deep", "nan"],
)
def test_an_unreadable_body_is_named_with_path_and_bytes(
    body: bytes, length: int | None, scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]
) -> None:
    """A 200 whose body is cut or not JSON is retried; the error names the path and the number of bytes."""
    server = scripted(http(200, body, **({"Content_Length": str(length)} if length else {})))
    with pytest.raises(RequestError, match=rf"\b{len(body)} bytes.*GET /api/sales\.json"):
        connect(server.url).get("sales.json")
    assert len(server.requests) > 2


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (400, ClientError, "refused"),
        (401, AuthenticationError, "Create a token under Integrations > Api and set api_token"),
        (403, ForbiddenError, "role"),
        (404, NotFoundError, "Check api_url"),
        (414, ClientError, "Select fewer fields"),
        (422, ClientError, "refused"),
        (304, ClientError, "Unexpected"),
    ],
)
def test_other_refusals_are_never_retried(
    status: int,
    error: type[RequestError],
    words: str,
    scripted: Callable[..., Scripted],
    connect: Callable[..., JettiSession],
) -> None:
    """A refusal is sent once; its error has status, method, path, title, detail and advice, and no payload."""
    body = f'{{"title": "api.no", "detail": "Because.", "payload": "{PAYLOAD}", "details": ["{PAYLOAD}"]}}'
    server = scripted(http(status, "" if status == 304 else body))
    with pytest.raises(error, match=words) as raised:
        connect(server.url).get("sales.json", QUERY)
    assert len(server.requests) == 1
    text = str(raised.value)
    assert f"{status} on GET /api/sales.json" in text
    assert status == 304 or "api.no: Because)." in text
    assert_private(text)


def test_a_server_error_with_a_dotted_title_has_three_attempts(
    sandboxes: Callable[..., Sandbox], sessions: Callable[..., JettiSession]
) -> None:
    """A request that fails with a possible business error is sent exactly three times."""
    sandbox = sandboxes(faults=1.0, fault_kinds=("problem-500",))
    with pytest.raises(ServerError, match=r"api\.sandbox\.fault"):
        sessions(sandbox).get("sales.json")
    assert len(sandbox.requests) == 3


def test_a_408_is_retried(scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]) -> None:
    """A request that timed out on the server is retried."""
    server = scripted(http(408, ""), http(200, "[1]"))
    assert connect(server.url).get("sales.json").body == [1]


@pytest.mark.parametrize(("repeatable", "sent"), [(True, 3), (False, 1)])
@pytest.mark.parametrize("answer", [http(503, "busy"), b""], ids=["503", "reset"])
def test_a_write_that_may_have_arrived_is_repeated_only_if_that_is_harmless(
    repeatable: bool,
    sent: int,
    answer: bytes,
    scripted: Callable[..., Scripted],
    connect: Callable[..., JettiSession],
) -> None:
    """A write which the server may have acted on is sent again only if it is repeatable."""
    server = scripted(answer, answer, http(200, "{}"))
    session = connect(server.url)
    if repeatable:
        session.write("PUT", "sales/1.json", {}, repeatable=True)
    else:
        with pytest.raises(JettiError):
            session.write("POST", "sales.json", {}, repeatable=False)
    assert len(server.requests) == sent


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7.1),
        ("0", 0, 3),
        ("-5", 0, 3),
        ("1.5", 1.5, 1.6),
        ("Sun, 13 Sep 2020 12:26:45 GMT", 4.7, 4.8),
        ("Sun, 13 Sep 2020 12:26:45", 4.7, 4.8),
        ("Sun, 13 Sep 2020 12:26:00 GMT", 0, 3),
        ("soon", 0, 3),
        ("nan", 0, 3),
        ("inf", 0, 3),
        ("", 0, 3),
        (None, 0, 3),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_kept_in_every_form(
    status: int,
    header: str | None,
    least: float,
    most: float,
    scripted: Callable[..., Scripted],
    connect: Callable[..., JettiSession],
    clock: VirtualClock,
) -> None:
    """Retry-After in seconds or as a date is respected; if absent or invalid, a short backoff replaces it."""
    server = scripted(http(status, "", **({"Retry_After": header} if header is not None else {})), http(200, "[]"))
    limiter = RateLimiter(MemoryStore(clock), rate=1000, burst=1000, clock=clock)
    session = connect(server.url, limiter=limiter)
    began = clock.monotonic()
    session.get("sales.json")
    assert least - 0.01 <= clock.monotonic() - began <= most + 1.1 * (status == 429)


def test_a_retry_after_beyond_the_time_for_retries_ends_them(
    scripted: Callable[..., Scripted], connect: Callable[..., JettiSession], clock: VirtualClock
) -> None:
    """If Retry-After is longer than retry_seconds, the request fails at once."""
    server = scripted(http(503, "", Retry_After="3600"))
    began = clock.monotonic()
    with pytest.raises(ServerError):
        connect(server.url).get("sales.json")
    assert len(server.requests) == 1
    assert clock.monotonic() - began < 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_beyond_the_time_for_retries_ends_the_run(
    status: int, scripted: Callable[..., Scripted], connect: Callable[..., JettiSession], clock: VirtualClock
) -> None:
    """The error says how long Jetti asks to wait; others who share the limit are not blocked for so long."""
    server = scripted(http(status, "", Retry_After="3600"))
    store = MemoryStore(clock)
    limiter, other = (RateLimiter(store, rate=2, burst=2, clock=clock) for _ in range(2))
    with pytest.raises(RetriableError) as raised:
        connect(server.url, limiter=limiter).get("sales.json")
    assert raised.value.ends_run
    assert str(raised.value).endswith(
        "Jetti asks to wait 3600 s, which is longer than retry_seconds (20)."
        " Run again after 2020-09-13T13:26:40.250Z, or increase retry_seconds."
    )
    assert len(server.requests) == 1
    assert other.idle_in() <= 20


@pytest.mark.parametrize("value", ["1e300", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_senseless_retry_after_is_an_error_in_words(
    value: str, scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]
) -> None:
    """No Retry-After is too long for the message."""
    with pytest.raises(RateLimitedError, match="Jetti asks to wait 31536000 s"):
        connect(scripted(http(429, "", Retry_After=value)).url).get("sales.json")


def test_a_retry_after_is_a_date_on_the_clock_of_its_sender(
    scripted: Callable[..., Scripted], connect: Callable[..., JettiSession], clock: VirtualClock
) -> None:
    """A server whose clock is wrong by days still says correctly how long to wait."""
    later = {"Date": "Tue, 01 Sep 2020 00:00:00 GMT", "Retry_After": "Tue, 01 Sep 2020 00:00:07 GMT"}
    server = scripted(http(503, "", **later), http(200, "[]"))
    began = clock.monotonic()
    connect(server.url).get("sales.json")
    assert clock.monotonic() - began == pytest.approx(7, abs=0.1)


def test_a_retry_after_of_0_does_not_mean_to_hurry(
    scripted: Callable[..., Scripted], connect: Callable[..., JettiSession], clock: VirtualClock
) -> None:
    """If a server refuses all requests with Retry-After 0, the limiter still spaces them out, and they end."""
    server = scripted(http(429, "", Retry_After="0"))
    limiter = RateLimiter(MemoryStore(clock), rate=2, burst=2, clock=clock)
    began = clock.monotonic()
    with pytest.raises(RateLimitedError):
        connect(server.url, limiter=limiter).get("sales.json")
    assert 20 <= clock.monotonic() - began <= 20 + 30
    assert len(server.requests) <= 10


def test_a_429_blocks_everybody(
    scripted: Callable[..., Scripted], connect: Callable[..., JettiSession], clock: VirtualClock
) -> None:
    """After a 429, the shared bucket is blocked for as long as the server asked."""
    server = scripted(http(429, "", Retry_After="9"), http(200, "[]"))
    store = MemoryStore(clock)
    limiters = [RateLimiter(store, rate=1000, burst=1000, clock=clock) for _ in range(2)]
    connect(server.url, limiter=limiters[0], retry_seconds=0)
    session = connect(server.url, limiter=limiters[0])
    real = clock.sleep
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(limiters[1].idle_in())
        real(seconds)

    clock.sleep = sleep  # type: ignore[method-assign]
    session.get("sales.json")
    assert waits
    assert max(waits) == pytest.approx(9, abs=1.1)
    assert session.stats.refused == 1


def test_a_refused_connection_is_named_without_the_query(connect: Callable[..., JettiSession]) -> None:
    """A refused connection is retried; its error contains neither the query nor the text of the library."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TransportError, match=r"Cannot connect to 127\.0\.0\.1") as raised:
        connect(f"http://127.0.0.1:{port}/api/").get("sales.json", QUERY)
    assert raised.value.may_have_arrived is False
    assert_private(str(raised.value))
    assert "HTTPConnectionPool" not in str(raised.value)


def test_a_lost_host_names_the_setting_that_it_comes_from(clock: VirtualClock) -> None:
    """Whoever reads the message knows which of the two URLs to check."""
    limiter = RateLimiter(MemoryStore(clock), rate=1e9, burst=1e9, clock=clock)
    nobody = "http://127.0.0.1:9/webhooks/"
    hosts = Host.api(nobody, token="t", limiter=limiter), Host.inbound(nobody, limiter=limiter)
    with contextlib.closing(JettiSession(*hosts, clock=clock, retry_seconds=0)) as session:
        with pytest.raises(TransportError, match=r"Check api_url and the network"):
            session.get("sales.json")
        with pytest.raises(TransportError, match=r"Check inbound_url and the network"):
            session.write_inbound("POST", "x.json", {}, hash_="h", repeatable=True)


def test_a_server_without_tls_is_told_apart(
    sandboxes: Callable[..., Sandbox], connect: Callable[..., JettiSession]
) -> None:
    """A wrong scheme or port is no lost connection, and no certificate that is not trusted."""
    url = sandboxes().api_url.replace("http:", "https:")
    with pytest.raises(TransportError, match=r"Cannot connect to 127\.0\.0\.1: TLS failed \(.+\); nothing was sent"):
        connect(url, retry_seconds=0).get("sales.json", QUERY)


def test_a_host_whose_name_is_unknown_is_named(
    connect: Callable[..., JettiSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that cannot be resolved is told apart from a host that refuses the connection."""

    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(TransportError) as raised:
        connect("http://unknown.invalid/api/", retry_seconds=0).get("sales.json", QUERY)
    assert str(raised.value) == (
        "Cannot connect to unknown.invalid: the host name cannot be resolved (GET /api/sales.json)."
        " Check api_url and the network."
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 nonsense\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n[]",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n[]",
    ],
    ids=["status", "ssh", "many headers", "a long header", "two lengths"],
)
def test_a_response_that_is_not_http_is_named(
    answer: bytes, scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]
) -> None:
    """What is not HTTP is retried, and is not called a lost connection."""
    server = scripted(answer, http(200, "[1]"))
    with pytest.raises(TransportError, match=r"response from 127\.0\.0\.1 is not valid HTTP \(GET /api/sales\.json\)"):
        connect(server.url, retry_seconds=0).get("sales.json", QUERY)
    assert connect(server.url).get("sales.json").body == [1]


def test_a_proxy_that_refuses_is_named(
    scripted: Callable[..., Scripted], connect: Callable[..., JettiSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a proxy opens no tunnel, the error says so, and that nothing was sent to Jetti."""
    proxy = scripted(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    with pytest.raises(TransportError) as raised:
        connect("https://api.invalid/api/", retry_seconds=0).get("sales.json", QUERY)
    assert str(raised.value) == (
        "Cannot connect to api.invalid through the proxy: it refused with status 407 (GET /api/sales.json)."
        " Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY."
    )
    assert raised.value.may_have_arrived is False


def test_a_certificate_that_is_not_trusted_is_an_error_at_once(
    certificate: Certificate, scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]
) -> None:
    """Nothing is sent to a host whose certificate is not trusted, and nothing is retried."""
    server = scripted(http(200), context=certificate.context)
    with pytest.raises(RequestError, match=r"certificate of 127\.0\.0\.1 is not trusted.*REQUESTS_CA_BUNDLE") as raised:
        connect(server.url.replace("http:", "https:")).get("sales.json", QUERY)
    assert not isinstance(raised.value, TransportError)
    assert server.requests == []
    assert_private(str(raised.value))


def assert_private(text: str) -> None:
    """Assert that a text contains no token, no value of a query and no payload."""
    for secret in (TOKEN, WHERE, PAYLOAD, "where", "Bearer"):
        assert secret not in text


@pytest.mark.parametrize(
    "answer",
    [
        http(500, f'{{"error": "{PAYLOAD}"}}'),
        http(500, f'{{"title": ["{PAYLOAD}"], "detail": {{"a": "{PAYLOAD}"}}}}'),
        http(500, PAYLOAD),
        http(400, PAYLOAD),
        http(200, f'[{{"name": "{PAYLOAD}"'),
        http(200, f"<html>{PAYLOAD}</html>"),
        http(302, Location=f"http://127.0.0.1:1/?{PAYLOAD}"),
        http(429, PAYLOAD, Retry_After=PAYLOAD),
        b"",
        b"HTTP/1.1 nonsense " + PAYLOAD.encode(),
        http(200, "x" * 10, Content_Encoding="gzip"),
    ],
    ids=[
        "no problem",
        "odd problem",
        "text 500",
        "text 400",
        "cut",
        "html",
        "redirect",
        "429",
        "reset",
        "none",
        "gzip",
    ],
)
def test_no_error_and_no_log_tells_what_is_private(
    answer: bytes,
    scripted: Callable[..., Scripted],
    connect: Callable[..., JettiSession],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither errors nor the log of retries contain the token, a value of the query or a payload."""
    caplog.set_level(logging.DEBUG, logger="tests")
    server = scripted(answer)
    with pytest.raises(JettiError) as raised:
        connect(server.url, retry_seconds=3).get("sales.json", QUERY)
    assert_private(str(raised.value))
    assert_private("\n".join(entry.getMessage() for entry in caplog.records if entry.name == "tests"))


def test_decimals_arrive_exact(scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]) -> None:
    """A decimal keeps all of its digits, and a big integer too."""
    server = scripted(http(200, "[0.1, 12345678901234567890.123456789, 9007199254740993, 1e400]"))
    texts = [str(value) for value in connect(server.url).get("a.json").body]
    assert texts == ["0.1", "12345678901234567890.123456789", "9007199254740993", "1E+400"]


def test_a_half_surrogate_does_not_make_a_page_unreadable(
    scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]
) -> None:
    """JavaScript servers write half an emoji, cut by a column's length, as a lone surrogate: the row stays readable."""
    server = scripted(http(200, '[{"notes": "cut \\ud83d"}]'))
    assert connect(server.url).get("a.json").body[0]["notes"].startswith("cut ")


def test_empty_values_of_a_query_are_sent(
    sandboxes: Callable[..., Sandbox], sessions: Callable[..., JettiSession]
) -> None:
    """A null comparison reaches the server as an empty value."""
    sandbox = sandboxes()
    sandbox.replace("sale_items", [{**ROW, "saleId": 5}, {**ROW, "id": 2, "saleId": None}])
    body = sessions(sandbox).get("sale-items.json", [("where[saleId][$ne]", "")]).body
    assert [row["id"] for row in body] == [1]
    assert sandbox.requests[-1].query.endswith("%5B%24ne%5D=")


def test_the_last_server_error_says_to_run_again(
    scripted: Callable[..., Scripted], connect: Callable[..., JettiSession]
) -> None:
    """When no time is left for a retry, the error tells what to do."""
    server = scripted(http(503, "busy"))
    with pytest.raises(ServerError, match=r"\(503 on GET /api/sales\.json\)\. Run again later\.$"):
        connect(server.url, retry_seconds=0).get("sales.json", QUERY)
