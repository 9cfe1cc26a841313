"""What stands in for the network below the real session: models of resources, their rate limit and their faults."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from typing_extensions import override
from urllib3.exceptions import IncompleteRead

from invariants import Violation
from tap_jetti.client.hosts import Host
from tap_jetti.client.rate_limit import MemoryStore, RateLimiter
from tap_jetti.client.session import JettiSession
from tap_jetti.client.transport import Transport
from tap_jetti.errors import RequestError

if TYPE_CHECKING:
    import logging
    import random

    from jetti_model import JettiModel, Version
    from tap_jetti.client.clock import VirtualClock

TOLERANCE = 1e-6
"""Units by which sums of floating-point numbers may differ."""


@dataclass(frozen=True)
class Conditions:
    """The network, and the limit of a token.

    Attributes:
        rate: Units per second.
        burst: Units.
        latency: Seconds of a request.
        fails: The share of requests that fail with a 5xx, no response, or one that is cut.
        storms: The share of seconds in which every request is answered with a 429.
    """

    rate: float = 2.0
    burst: float = 40.0
    latency: float = 0.3
    fails: float = 0.0
    storms: float = 0.0


@dataclass
class ServerBucket:
    """The leaky bucket of a token, filled when a request leaves: the network between is not part of the promise."""

    rate: float
    burst: float
    level: float = 0.0
    at: float = 0.0

    def add(self, now: float) -> None:
        """Take one GET."""
        self.level = max(0.0, self.level - (now - self.at) * self.rate) + 1.0
        self.at = now
        if self.level > self.burst + TOLERANCE:
            raise Violation(f"rate limit: {self.level:.3f} units in a bucket of {self.burst:g}")


class CutBody(io.BytesIO):
    """A body whose connection breaks before its end."""

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        if not content:
            raise IncompleteRead(self.tell(), 1)
        return content


@dataclass
class ModelNetwork(Transport):
    """Answers requests from models, in virtual time.

    Attributes:
        models: The resources, by the first part of their paths.
        in_flight: Requests that are under way.
        most_in_flight: The most of them at any time.
        sent: All requests so far.
        before: The rows of each resource when it was first asked for.
    """

    models: dict[str, JettiModel]
    conditions: Conditions
    clock: VirtualClock
    chance: random.Random
    in_flight: int = 0
    most_in_flight: int = 0
    sent: int = 0
    before: dict[str, dict[int, Version]] = field(default_factory=dict)
    _is_cut: bool = False

    def __post_init__(self) -> None:
        """Begin with an empty bucket."""
        super().__init__(self.clock, seconds=3600)
        self._bucket = ServerBucket(self.conditions.rate, self.conditions.burst)
        self._storm: dict[int, bool] = {}
        self.store = MemoryStore(self.clock)

    __hash__ = object.__hash__

    @override
    def abort(self) -> None:
        self._is_cut = True

    @override
    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        self._bucket.add(self.clock.monotonic())
        self.sent += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            self._travel()
            response = self._answer(request)
            self._travel()
        finally:
            self.in_flight -= 1
        return response

    def _travel(self) -> None:
        left = self.conditions.latency * (0.25 + self.chance.random() / 2)
        while left > 0 and not self._is_cut:
            self.clock.sleep(min(left, 0.1))
            left -= 0.1
        if self._is_cut:
            raise requests.ConnectionError

    def _answer(self, request: requests.PreparedRequest) -> requests.Response:
        url = urlsplit(request.url or "")
        path = url.path.removeprefix("/api/")
        model = self.models[path.partition("/")[0].removesuffix(".json")]
        model.gets += 1
        self.before.setdefault(path.partition("/")[0].removesuffix(".json"), dict(model.rows))
        model.live()
        second = int(self.clock.monotonic())
        if self._storm.setdefault(second, self.chance.random() < self.conditions.storms):
            retry_after = self.chance.choice([{}, {"Retry-After": "1"}, {"Retry-After": "3"}])
            return self._response(request, 429, b"{}", **retry_after)
        if self.chance.random() < self.conditions.fails:
            kind = self.chance.choice(["503", "500", "cut", "lost"])
            if kind == "lost":
                raise requests.ConnectionError
            if kind != "cut":
                return self._response(request, int(kind), b"")
        else:
            kind = ""
        try:
            content, date = model.serve(path, dict(parse_qsl(url.query)), fails_in_passing=False)
        except RequestError as error:
            return self._response(request, error.status or 503, b"{}")
        response = self._response(request, 200, content, **({} if date is None else {"Date": date}))
        if kind == "cut":
            cut = content[: self.chance.randrange(len(content) + 1)]
            response.raw = CutBody(cut) if self.chance.random() < 0.5 else io.BytesIO(cut[:-1])
        return response

    def _response(
        self, request: requests.PreparedRequest, status: int, content: bytes, **headers: str
    ) -> requests.Response:
        response = requests.Response()
        response.status_code = status
        response.headers = CaseInsensitiveDict(headers)
        response.raw = io.BytesIO(content)
        response.request = request
        response.url = request.url or ""
        return response


def session_through(network: ModelNetwork, logger: logging.Logger) -> JettiSession:
    """The real session of a process. All of them share the bucket of the token."""
    conditions, clock = network.conditions, network.clock
    limiter = RateLimiter(network.store, rate=conditions.rate, burst=conditions.burst, clock=clock)
    host = Host("http://jetti.invalid/api/", limiter)
    return JettiSession(host, clock=clock, transport=network, logger=logger)
