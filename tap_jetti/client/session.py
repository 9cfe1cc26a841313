"""One HTTP session a plug-in: hosts, time-outs, connection pool; every attempt pays the limiter."""

from __future__ import annotations

import logging
import os
import random
import threading
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import msgspec
import requests
from requests.utils import get_environ_proxies
from urllib3.exceptions import ConnectTimeoutError as PoolConnectTimeoutError
from urllib3.exceptions import HTTPError, IncompleteRead, NewConnectionError

from tap_jetti.client.auth import bearer_token, origin_of, webhook_hash
from tap_jetti.client.query import Pairs, encode
from tap_jetti.client.retry import RetryPolicy, parse_retry_after
from tap_jetti.client.server_clock import ServerClock
from tap_jetti.client.transport import Transport
from tap_jetti.errors import (
    DecodeError,
    Interrupted,
    RateLimitedError,
    RedirectError,
    RequestError,
    SettingsError,
    TransportError,
    error_from_response,
)
from tap_jetti.facts.json_codec import decode_json, encode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from requests.adapters import HTTPAdapter
    from requests.auth import AuthBase

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.rate_limit import Permit, RateLimiter

READ_COST = 1.0
"""Units of the leaky bucket that a GET costs."""

WRITE_COST = 2.0
"""Units of the leaky bucket that anything else costs."""

LONGEST_CONNECT = 10.0
"""Seconds to wait for a connection at most; ``timeout`` bounds it too."""

SLOWEST_ANSWER = 5
"""How many times ``timeout`` a whole answer may take, however steadily it drips in."""

MOST_REDIRECTS = 3
"""Redirects within the host that are followed for one request."""

_CHUNK = 1 << 18
_NEVER_LEFT = (requests.ConnectTimeout, NewConnectionError, PoolConnectTimeoutError)


@dataclass
class RequestStats:
    """What passed over the session so far: the figures of the closing summary."""

    gets: int = 0
    writes: int = 0
    refused: int = 0
    retries: int = 0
    waited: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **figures: float) -> None:
        """Add to the figures, from any thread."""
        with self.lock:
            for name, value in figures.items():
                setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class Response:
    """A successful answer.

    Attributes:
        status: The HTTP status, 2xx.
        body: The decoded JSON, with decimals exact; None where there was no body.
        size: Bytes of the body.
        sent: The monotonic clock, in seconds, when the attempt that succeeded left.
        received: The same clock when its answer was complete.
    """

    status: int
    body: Any
    size: int
    sent: float
    received: float


class JettiSession:
    """Sends requests to one account, with every attempt inside its rate limit.

    Threads may share it.

    Args:
        api_url: The base of the synchronous API; without a path, ``/api/`` is meant.
        token: The bearer token.
        limiter: The leaky bucket of the synchronous API.
        clock: The clock to wait by.
        retry_seconds: How long one request is tried.
        timeout: Seconds without any data after which an attempt is given up.
        user_agent: The ``User-Agent`` header.
        connections: Connections kept open, at least one a thread.
        inbound_url: The base of the asynchronous inbound API; without a path,
            ``/webhooks/`` is meant.
        inbound_limiter: The bucket of the inbound API.
        transport: The adapter that carries the requests; the default is the network.
        logger: Where retries are reported.
    """

    def __init__(
        self,
        *,
        api_url: str,
        token: str,
        limiter: RateLimiter,
        clock: Clock,
        retry_seconds: float = 300,
        timeout: float = 60,
        user_agent: str = "tap-jetti",
        connections: int = 8,
        inbound_url: str | None = None,
        inbound_limiter: RateLimiter | None = None,
        transport: HTTPAdapter | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.api_url = base_url(api_url, "api_url", default_path="/api/")
        self.inbound_url = base_url(inbound_url, "inbound_url", default_path="/webhooks/") if inbound_url else None
        self.stats = RequestStats()
        self.server_clock = ServerClock()
        self._auth = bearer_token(self.api_url, token)
        self._proxies = get_environ_proxies(self.api_url)
        self._inbound_proxies = get_environ_proxies(self.inbound_url) if self.inbound_url else {}
        self._limiter = limiter
        self._inbound_limiter = inbound_limiter
        self._clock = clock
        self._retry = RetryPolicy(retry_seconds, random.Random())  # noqa: S311 - jitter
        self._timeout = (min(timeout, LONGEST_CONNECT), timeout)
        self._logger = logger or logging.getLogger(__name__)
        self._http = requests.Session()
        self._http.trust_env = False  # it is read here once rather than for every request
        self._http.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._headers = {**self._http.headers, "User-Agent": user_agent, "Accept": "application/json"}
        self._aborted = False
        adapter = transport or Transport(pool_connections=4, pool_maxsize=connections)
        self._transport = adapter
        self._http.mount("https://", adapter)
        self._http.mount("http://", adapter)

    def take_permit(self) -> Permit:
        """Wait for the limiter's next slot for a GET, for a `get` that follows at once."""
        return self._limiter.acquire(READ_COST)

    @property
    def reads_a_second(self) -> float:
        """The GETs a second that the limiter allows."""
        return self._limiter.rate / READ_COST

    @property
    def idle_in(self) -> float:
        """Seconds until a GET that asked now would go, 0 for at once."""
        return self._limiter.idle_in()

    def get(
        self,
        path: str,
        query: Pairs | None = None,
        *,
        decode: Callable[[bytes], Any] | None = None,
        paid: Permit | None = None,
    ) -> Response:
        """Read from the API.

        Args:
            path: Below the API's base, such as ``sales.json``.
            query: The query, see `tap_jetti.client.query`.
            decode: Makes the answer's body of its bytes, or raises `msgspec.DecodeError`
                if they are no complete JSON; by default any JSON, with decimals exact.
            paid: What `take_permit` returned, if it was called for the first attempt.

        Raises:
            RequestError: The read failed, for good or for longer than it is tried.
        """
        url = urljoin(self.api_url, path) + (f"?{encode(query)}" if query else "")
        decode = decode or decode_json
        return self._send(_Call("GET", url, self._auth, self._proxies, self._limiter, decode, paid=paid))

    def write(self, method: str, path: str, body: object, *, repeatable: bool) -> Response:
        """Write to the API.

        Args:
            method: The HTTP method.
            path: Below the API's base.
            body: What is sent as JSON.
            repeatable: Whether the server may act on it twice without harm: only such a
                write is sent again after a failure that may have come after its arrival.

        Raises:
            RequestError: The write failed.
        """
        url = urljoin(self.api_url, path)
        return self._send(
            _Call(
                method,
                url,
                self._auth,
                self._proxies,
                self._limiter,
                self._decode_write,
                data=encode_json(body),
                repeatable=repeatable,
            )
        )

    def write_inbound(self, method: str, path: str, body: object, *, hash_: str, repeatable: bool) -> Response:
        """Write to the asynchronous inbound API, as the feed or channel of a hash.

        Args:
            method: The HTTP method.
            path: Below the inbound base, such as ``inventory-feeds/parse-webhooks.json``.
            body: What is sent as JSON.
            hash_: The webhook hash, instead of the token.
            repeatable: As for `write`.

        Raises:
            SettingsError: The session has no inbound API.
            RequestError: The write failed.
        """
        if self.inbound_url is None or self._inbound_limiter is None:
            raise SettingsError("There is no inbound API: set inbound_url.")
        return self._send(
            _Call(
                method,
                urljoin(self.inbound_url, path),
                webhook_hash(self.inbound_url, hash_),
                self._inbound_proxies,
                self._inbound_limiter,
                self._decode_write,
                data=encode_json(body),
                repeatable=repeatable,
            )
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def abort(self) -> None:
        """Cut the requests in flight: each raises `Interrupted` in its thread, and so does any that follows."""
        self._aborted = True
        if isinstance(self._transport, Transport):
            self._transport.abort()

    def _send(self, call: _Call) -> Response:
        """Send a request until it succeeds, fails for good, or its time is over."""
        if self._aborted:
            raise Interrupted
        started = self._clock.monotonic()
        attempts = 0
        for pause in self._retry.pauses():
            try:
                return self._follow(call)
            except RequestError as error:
                if self._aborted:
                    raise Interrupted from error
                attempts += 1
                call = replace(call, paid=None)
                wait = self._retry.wait(
                    error,
                    attempts=attempts,
                    elapsed=self._clock.monotonic() - started,
                    pause=pause,
                    repeatable=call.repeatable,
                )
                if isinstance(error, RateLimitedError):
                    self.stats.add(refused=1)
                    call.limiter.block(min(wait or pause, self._retry.seconds))
                if wait is None:
                    raise
                self.stats.add(retries=1)
                self._logger.warning("%s Trying again in %.1f s.", error, wait)
                if not isinstance(error, RateLimitedError):
                    self._clock.sleep(wait)
        raise AssertionError  # the pauses never end

    def _follow(self, call: _Call) -> Response:
        """Send a request once, and follow redirects that stay on the host."""
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._attempt(call)
            if isinstance(answer, Response):
                return answer
            target = urljoin(call.url, answer)
            origin = origin_of(target)
            if origin != origin_of(call.url) or not call.is_read:
                raise RedirectError(
                    f"Refused a redirect to {'://'.join(origin[:2])}:"
                    " credentials stay with their host. If Jetti moved, set api_url",
                    method=call.method,
                    path=call.path,
                )
            call = replace(call, url=target, paid=None)
        raise RedirectError("Gave up after too many redirects", method=call.method, path=call.path)

    def _attempt(self, call: _Call) -> Response | str:
        """Send one request and read its answer, or the place that it redirects to."""
        permit = call.paid or call.limiter.acquire(READ_COST if call.is_read else WRITE_COST)
        self.stats.add(waited=permit.slept, gets=int(call.is_read), writes=int(not call.is_read))
        sent, received_bytes = self._clock.monotonic(), bytearray()
        try:
            response = self._http.send(
                self._prepared(call),
                proxies=call.proxies,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            )
            with response:
                self._read(response, received_bytes, sent=sent)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _unreachable(error, len(received_bytes), method=call.method, path=call.path) from error
        except ValueError as error:  # from the library that prepares to follow
            raise RedirectError("Refused a redirect to no URL", method=call.method, path=call.path) from error
        content = bytes(received_bytes)
        received = self._clock.monotonic()
        headers = response.headers
        is_refusal = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
        call.limiter.observe(permit, headers, is_refusal=is_refusal)
        if response.is_redirect:
            return headers["Location"]
        if not HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            raise error_from_response(
                response.status_code,
                content,
                method=call.method,
                path=call.path,
                retry_after=parse_retry_after(
                    headers.get("Retry-After"),
                    now=self.server_clock.at(received) or self._clock.time(),
                ),
            )
        try:
            body = call.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(
                f"The answer of {len(content)} bytes is no complete JSON: {error}",
                method=call.method,
                path=call.path,
                status=response.status_code,
            ) from error
        self.server_clock.observe(headers.get("Date"), received=received)
        return Response(response.status_code, body, len(content), sent, received)

    def _prepared(self, call: _Call) -> requests.PreparedRequest:
        """A request as it is sent. `requests.Session` has nothing to add, and takes a sixth of a call to find out."""
        request = requests.PreparedRequest()
        headers = self._headers if call.data is None else {**self._headers, "Content-Type": "application/json"}
        request.prepare(call.method, call.url, headers=headers, data=call.data, auth=call.auth)
        return request

    def _read(self, response: requests.Response, content: bytearray, *, sent: float) -> None:
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            if self._clock.monotonic() - sent > SLOWEST_ANSWER * self._timeout[1]:
                raise requests.Timeout

    def _decode_write(self, content: bytes) -> Any:  # noqa: ANN401
        """What a write answers: not always JSON, but a page of HTML comes from something else than Jetti."""
        try:
            return decode_json(content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if content.lstrip().startswith(b"<"):
                raise
            return None


@dataclass(frozen=True)
class _Call:
    """One request: where to, as whom, and what its answer is made into."""

    method: str
    url: str
    auth: AuthBase
    proxies: dict[str, str]
    limiter: RateLimiter
    decode: Callable[[bytes], Any]
    data: bytes | None = None
    repeatable: bool = True
    paid: Permit | None = None

    @property
    def path(self) -> str:
        """The path, for messages: the query is nobody's business."""
        return urlsplit(self.url).path

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"


def base_url(url: str, setting: str, *, default_path: str) -> str:
    """The base that paths are joined to, with a trailing slash.

    Args:
        url: What the user set.
        setting: The setting's name, for the error.
        default_path: The path that is meant where the URL has none.

    Raises:
        SettingsError: It is no http or https URL, or it carries credentials.
    """
    try:
        parts = urlsplit(url.strip())
        parts.port  # noqa: B018 - a wrong one shows only here
    except ValueError as error:
        raise SettingsError(f"{setting} must be an http or https URL: {error}.") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"{setting} must be an http or https URL, such as https://host/api/.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError(f"{setting} must be a plain URL, without credentials or a query.")
    path = parts.path.rstrip("/") + "/" if parts.path.strip("/") else default_path
    return f"{parts.scheme}://{parts.netloc}{path}"


def _unreachable(error: Exception, received: int, *, method: str, path: str) -> RequestError:
    """Say what cut a request off, in words that hold neither URL nor query."""
    causes = list(_causes(error))
    if any("CERTIFICATE_VERIFY_FAILED" in str(cause) for cause in causes):
        return RequestError(
            "The certificate of the host is not trusted, so nothing was sent."
            " Check api_url, or set REQUESTS_CA_BUNDLE to your own authority",
            method=method,
            path=path,
        )
    if any(isinstance(cause, _NEVER_LEFT) for cause in causes):
        return TransportError(
            "No connection to the host: it cannot be found, refused, or took too long",
            may_have_arrived=False,
            method=method,
            path=path,
        )
    partial = max([received, *(cause.partial for cause in causes if isinstance(cause, IncompleteRead))])
    is_late = any(isinstance(cause, (requests.Timeout, TimeoutError)) for cause in causes)
    what = f"{'No complete answer in time' if is_late else 'The connection was cut'}, after {partial} bytes of it"
    return TransportError(what, may_have_arrived=True, method=method, path=path)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that it wraps, by chaining, by argument or as a pool's reason."""
    waiting, seen = [error], set[int]()
    while waiting:
        cause = waiting.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
