"""The session that all requests to Jetti go through: rate limit, retries, redirects and decoding."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import msgspec
from requests.structures import CaseInsensitiveDict

from tap_jetti.client.hosts import origin_of
from tap_jetti.client.http import HttpClient
from tap_jetti.client.http_errors import error_from_response, problem_status
from tap_jetti.client.query import Pairs, encode
from tap_jetti.client.request import READ_COST, Request
from tap_jetti.client.retry import RetryPolicy, parse_retry_after
from tap_jetti.client.server_clock import ServerClock, parse_http_date
from tap_jetti.client.stats import RequestStats
from tap_jetti.errors import (
    ClientError,
    DecodeError,
    Interrupted,
    RateLimitedError,
    RedirectError,
    RequestError,
    RetriableError,
    ServerError,
    SettingsError,
)
from tap_jetti.facts.json_codec import decode_json, encode_json
from tap_jetti.facts.redaction import Redactor
from tap_jetti.facts.timestamps import from_epoch

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests.adapters import HTTPAdapter

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.hosts import Host
    from tap_jetti.client.http import HttpResponse
    from tap_jetti.client.rate_limit import Permit

MAX_REDIRECTS = 3
"""Redirects that are followed for one request. They must stay on the host."""


@dataclass(frozen=True)
class Response:
    """A successful response.

    Attributes:
        status: The HTTP status, 2xx.
        body: The decoded JSON, with exact decimals; None if there was no body.
        size: The length of the body in bytes.
        sent: The monotonic clock, in seconds, when the attempt that succeeded was sent.
        received: The same clock when the response was complete.
        headers: Its headers.
    """

    status: int
    body: Any
    size: int
    sent: float
    received: float
    headers: CaseInsensitiveDict[str] = field(default_factory=CaseInsensitiveDict)


class JettiSession:
    """Sends requests to one account. Every attempt waits for the rate limit of its host.

    Threads may share a session.

    Args:
        api: The synchronous API.
        inbound: The asynchronous inbound API, for `write_inbound`.
        clock: The clock to measure and wait with.
        retry_seconds: Seconds for which a failed request is retried, from its first attempt.
        timeout: Read timeout in seconds.
        user_agent: The ``User-Agent`` header.
        connections: Connections that are kept open per host: at least one per thread.
        transport: The adapter that carries the requests; by default the network.
        redactor: What errors must not show. It learns the webhook hashes.
        dry_run: Whether writes are counted instead of sent. Each of them succeeds; what is created has the id 1.
        logger: The logger for retries.
    """

    def __init__(
        self,
        api: Host,
        inbound: Host | None = None,
        *,
        clock: Clock,
        retry_seconds: float = 300,
        timeout: float = 60,
        user_agent: str = "tap-jetti",
        connections: int = 8,
        transport: HTTPAdapter | None = None,
        redactor: Redactor | None = None,
        dry_run: bool = False,
        logger: logging.Logger | None = None,
    ) -> None:
        self.stats = RequestStats()
        self.server_clock = ServerClock()
        self.redactor = redactor or Redactor()
        self._api = api
        self._inbound = inbound
        self._clock = clock
        self._retry = RetryPolicy(retry_seconds, random.Random())  # noqa: S311 - jitter needs no secure randomness
        self._logger = logger or logging.getLogger(__name__)
        self._http = HttpClient(
            clock=clock, timeout=timeout, user_agent=user_agent, connections=connections, transport=transport
        )
        self._dry_run = dry_run
        self._aborted = False

    def take_permit(self) -> Permit:
        """Wait until the rate limit has room for a GET, which must be sent at once."""
        return self._api.limiter.acquire(READ_COST)

    @property
    def reads_a_second(self) -> float:
        """GETs per second that the rate limit allows."""
        return self._api.limiter.rate / READ_COST

    @property
    def idle_in(self) -> float:
        """Seconds until the rate limit has room for a GET; 0 if it has now. Nothing is reserved."""
        return self._api.limiter.idle_in()

    def get(
        self,
        path: str,
        query: Pairs | None = None,
        *,
        decode: Callable[[bytes], Any] | None = None,
        acquire: Callable[[], Permit] | None = None,
        retry: bool = True,
    ) -> Response:
        """Read from the API.

        Args:
            path: The path below the base URL, such as ``sales.json``.
            query: The query, see `tap_jetti.client.query`.
            decode: Turns the bytes of the response into its body, or raises `msgspec.DecodeError`
                if they are not complete JSON; by default any JSON, with exact decimals.
            acquire: Waits for the permit of each attempt; by default the rate limit, first come, first served.
            retry: Whether it is retried after a failure that may pass.

        Raises:
            RequestError: The request failed permanently, or until the time for retries was over.
        """
        url = _url(self._api, "GET", path) + (f"?{encode(query)}" if query else "")
        return self._send(Request("GET", url, self._api, decode or decode_json, acquire=acquire, retry=retry))

    def write(
        self,
        method: str,
        path: str,
        body: object,
        *,
        repeatable: bool,
        on_departure: Callable[[], None] | None = None,
    ) -> Response:
        """Write to the API.

        Args:
            method: The HTTP method.
            path: The path below the base URL.
            body: What is sent as JSON.
            repeatable: Whether the server may act on it twice without harm. Only such a write is
                retried after a failure that may have come after the server acted on it.
            on_departure: Called just before each attempt is sent: until then the server cannot have acted on it.

        Raises:
            RequestError: The write failed.
        """
        return self._write(self._api, method, path, body, repeatable=repeatable, on_departure=on_departure)

    def write_inbound(self, method: str, path: str, body: object, *, hash_: str, repeatable: bool) -> Response:
        """Write to the asynchronous inbound API, to one feed or channel.

        Args:
            method: The HTTP method.
            path: The path below the inbound base URL, such as ``inventory-feeds/parse-webhooks.json``.
            body: What is sent as JSON.
            hash_: The webhook hash of the feed or channel. It replaces the token.
            repeatable: As for `write`.

        Raises:
            SettingsError: The session has no inbound API.
            RequestError: The write failed.
        """
        if self._inbound is None:
            raise SettingsError(f"{method} {path} needs the inbound API. Set inbound_url.")
        self.redactor.learn(hash_)
        return self._write(self._inbound.with_webhook_hash(hash_), method, path, body, repeatable=repeatable)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def abort(self) -> None:
        """Cut the requests in flight: each raises `Interrupted` in its thread, and so does any that follows."""
        self._aborted = True
        self._http.abort()

    def _write(
        self,
        host: Host,
        method: str,
        path: str,
        body: object,
        *,
        repeatable: bool,
        on_departure: Callable[[], None] | None = None,
    ) -> Response:
        if self._dry_run:
            encode_json(body)  # what cannot be sent fails now, too
            self.stats.add(writes=1)
            now = self._clock.monotonic()
            answer = {"id": 1} if method == "POST" else None
            return Response(HTTPStatus.OK, answer, 0, now, now)
        return self._send(
            Request(
                method,
                _url(host, method, path),
                host,
                _decode_write,
                data=encode_json(body),
                repeatable=repeatable,
                on_departure=on_departure,
            )
        )

    def _send(self, request: Request) -> Response:
        """Send a request until it succeeds, fails permanently, or the time for retries is over."""
        if self._aborted:
            raise Interrupted
        started = self._clock.monotonic()
        for attempts, backoff in enumerate(self._retry.backoffs(), start=1):
            try:
                return self._send_once(request)
            except RequestError as error:
                error.clean(self.redactor.clean)
                if self._aborted:
                    raise Interrupted from error
                self._end_run_if_postponed(error)
                delay = self._retry.delay(
                    error,
                    attempts=attempts,
                    elapsed=self._clock.monotonic() - started,
                    backoff=backoff,
                    repeatable=request.repeatable,
                )
                if isinstance(error, RateLimitedError):
                    self.stats.add(refused=1)
                    # What is not waited for here does not stop the others who share the limit either.
                    request.host.limiter.block(min(delay or backoff, self._retry.seconds))
                if delay is None or not request.retry:
                    is_passing = isinstance(error, ServerError) and not error.maybe_permanent
                    if is_passing and request.retry and request.repeatable:
                        error.advice = error.advice or "Run again later"
                    raise
                self.stats.add(retries=1)
                self._logger.warning("%s Retrying in %.1f s.", error, delay)
                # After a 429 the blocked limiter makes the next attempt wait, behind those that wait already.
                if not isinstance(error, RateLimitedError):
                    self._clock.sleep(delay)
        raise AssertionError  # the backoffs never end

    def _end_run_if_postponed(self, error: RequestError) -> None:
        """Complete the error of a request if the server asks to wait longer than it is retried."""
        seconds = error.retry_after if isinstance(error, RetriableError) else None
        if isinstance(error, RetriableError) and seconds is not None and seconds > self._retry.seconds:
            again_at = from_epoch(self._clock.time() + seconds)
            error.ends_run = True
            error.advice = (
                f"Jetti asks to wait {seconds:.0f} s, which is longer than retry_seconds"
                f" ({self._retry.seconds:g}). Run again after {again_at}, or increase retry_seconds"
            )

    def _send_once(self, request: Request) -> Response:
        """Send a request once, and follow redirects that stay on the host."""
        for _ in range(MAX_REDIRECTS + 1):
            response = self._exchange(request)
            if response.location is None:
                return self._decoded(request, response)
            request = _redirected(request, response.location)
        raise RedirectError(
            f"More than {MAX_REDIRECTS} redirects",
            method=request.method,
            path=request.path,
            advice="Check api_url or inbound_url",
        )

    def _exchange(self, request: Request) -> HttpResponse:
        """Wait for the rate limit, send one request, and let the limiter see the response."""
        permit = request.acquire() if request.acquire else request.host.limiter.acquire(request.cost)
        if request.on_departure is not None:
            request.on_departure()
        self.stats.add(waited=permit.waited, gets=int(request.is_read), writes=int(not request.is_read))
        response = self._http.send(request)
        is_refusal = response.status == HTTPStatus.TOO_MANY_REQUESTS
        request.host.limiter.observe(permit, response.headers, is_refusal=is_refusal)
        return response

    def _server_time(self, response: HttpResponse) -> float:
        """The time on the clock of whoever sent a response, which may be a proxy, in seconds since the epoch."""
        date = parse_http_date(response.headers.get("Date", ""))
        if date is None:
            date = self.server_clock.at(response.received)
        return self._clock.time() if date is None else date

    def _error(self, request: Request, response: HttpResponse, status: int) -> RequestError:
        return error_from_response(
            status,
            response.content,
            method=request.method,
            path=request.path,
            retry_after=parse_retry_after(response.headers.get("Retry-After"), now=self._server_time(response)),
        )

    def _decoded(self, request: Request, response: HttpResponse) -> Response:
        """The decoded response if its status is 2xx and it is no problem; raises the error it stands for otherwise."""
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            raise self._error(request, response, response.status)
        size = len(response.content)
        try:
            body = request.decode(response.content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(
                f"The response of {size} bytes is not complete JSON: {error}",
                method=request.method,
                path=request.path,
                status=response.status,
            ) from error
        problem = None if request.is_read else problem_status(body)
        if problem is not None:
            raise self._error(request, response, problem)
        # Not before: a page of HTML comes from another server than Jetti, with a clock of its own.
        self.server_clock.observe(response.headers.get("Date"), sent=response.sent, received=response.received)
        return Response(response.status, body, size, response.sent, response.received, response.headers)


def _url(host: Host, method: str, path: str) -> str:
    """The URL of a path below the base of a host.

    Raises:
        ClientError: The path is not plain. Nothing is sent.
    """
    try:
        return host.url_of(path)
    except ValueError as error:
        raise ClientError(
            "The id or name in the path is invalid; nothing was sent",
            method=method,
            path=path.encode("unicode_escape").decode(),
            advice="Correct the id",
        ) from error


def _redirected(request: Request, location: str) -> Request:
    """The request that a redirect asks for.

    Raises:
        RedirectError: It must not be sent: the request is a write, or the redirect leads to another host or scheme.
    """

    def refusal(what: str) -> RedirectError:
        advice = "If Jetti has moved, correct " + ("api_url" if request.is_read else "api_url or inbound_url")
        return RedirectError(what, method=request.method, path=request.path, advice=advice)

    if not request.is_read:
        raise refusal("Did not follow the redirect of a write")
    try:
        target = urljoin(request.url, location)
        scheme, host, port = origin_of(target)
    except ValueError as error:
        raise refusal("Did not follow a redirect to an invalid URL") from error
    if (scheme, host, port) != origin_of(request.url):
        raise refusal(f"Did not follow a redirect to {scheme}://{host}:{port}: the token is sent to its own host only")
    return replace(request, url=target)


def _decode_write(content: bytes) -> Any:  # noqa: ANN401 - any JSON
    """The body of the response to a write. It is not always JSON, but HTML comes from another server than Jetti."""
    try:
        return decode_json(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if content.lstrip().startswith(b"<"):
            raise
        return None
