"""How many rows are asked for per page, and what failures of larger pages teach."""

from __future__ import annotations

import itertools
import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from runs import LOGGER
from tap_jetti.client.server_clock import ServerClock
from tap_jetti.client.session import Response
from tap_jetti.errors import (
    AuthenticationError,
    ClientError,
    DecodeError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RequestError,
    ServerError,
    TransportError,
    UnreliableResponseError,
)
from tap_jetti.facts.timestamps import from_epoch, later
from tap_jetti.reading.page import Page
from tap_jetti.reading.page_limit import BYTES_IN_FLIGHT, MAX_BYTES, Limit, PageLimit, may_be_too_large
from tap_jetti.reading.pages import KeyRange, Projection, ResourcePages
from tap_jetti.reading.resource_facts import ResourceFacts
from tap_jetti.reading.server_profile import ServerProfile

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.errors import JettiError

NOW = "2020-06-15T12:00:00.000Z"
PLACE: dict[str, Any] = {"method": "GET", "path": "/api/sales.json"}
REFUSED = ClientError("Jetti refused the request", status=400, **PLACE)
FAILED = ServerError("Jetti failed", status=500, **PLACE)
BUSY = ServerError("Jetti failed", status=503, **PLACE)
ALL = KeyRange("id", 0)


@dataclass
class Server:
    """A session to a resource without end, which notes what it was asked for.

    Attributes:
        fails: The error of the request with this number and this limit; None: it succeeds.
        cap: Rows per page at most.
        seconds: How long a request takes.
        row_bytes: Bytes of a row.
        asked: The limit of each request, and whether it was to be retried.
    """

    fails: Callable[[int, int], JettiError | None] = lambda _number, _limit: None
    cap: int = 10_000
    seconds: float = 0.1
    row_bytes: int = 100
    server_clock: ServerClock = field(default_factory=ServerClock)
    asked: list[tuple[int, bool]] = field(default_factory=list)

    def get(self, path: str, query: Any = None, *, decode: Any = None, retry: bool = True) -> Response:
        """Give as many rows as are asked for."""
        limit = int(dict(query)["limit"])
        self.asked.append((limit, retry))
        error = self.fails(len(self.asked), limit)
        if error is not None:
            raise error
        self.server_clock.observe("Mon, 15 Jun 2020 12:00:00 GMT", received=0.0)
        rows = range(min(limit, self.cap))
        return Response(
            200, Page(list(rows), list(rows), [NOW for _ in rows]), self.row_bytes * len(rows), 0.0, self.seconds
        )

    @property
    def limits(self) -> list[int]:
        """The limit of each request."""
        return [limit for limit, _ in self.asked]


def pages_from(
    server: Server, limits: PageLimit | None = None, *, facts: ResourceFacts | None = None, **options: Any
) -> ResourcePages:
    """The pages of a server."""
    return ResourcePages(
        server,
        "sales",
        profile=ServerProfile(page_limit=limits or PageLimit()),
        facts=facts,
        logger=LOGGER,
        **{"projection": Projection(), **options},
    )


def sizes(pages: ResourcePages, number: int) -> list[int]:
    """The rows of so many pages."""
    return [len(pages.page(ALL).page) for _ in range(number)]


def above(most: int, error: JettiError) -> Callable[[int, int], JettiError | None]:
    """A server that fails above so many rows."""
    return lambda _number, limit: error if limit > most else None


class TestGrowth:
    """Pages grow as long as that pays."""

    def test_full_pages_double_up_to_the_maximum(self) -> None:
        """From 100 rows to 1,000 in five pages."""
        assert sizes(pages_from(Server()), 6) == [100, 200, 400, 800, 1000, 1000]

    def test_the_maximum_holds_from_the_first_page_on(self) -> None:
        """Also when it is below what reads begin with."""
        assert sizes(pages_from(Server(), PageLimit(maximum=64)), 3) == [64, 64, 64]

    def test_a_resource_begins_with_its_largest_page(self) -> None:
        """A size that worked in an earlier run is asked for at once, as a probe."""
        server = Server()
        assert sizes(pages_from(server, facts=ResourceFacts("sales", 800)), 2) == [800, 1000]
        assert server.asked[0] == (800, False)

    def test_a_fixed_size_is_never_changed(self) -> None:
        """What `page_size` says is asked for, and retried as any request."""
        server = Server()
        assert sizes(pages_from(server, PageLimit(fixed=37), facts=ResourceFacts("sales", 800)), 3) == [37, 37, 37]
        assert server.asked == [(37, True)] * 3

    @pytest.mark.parametrize(
        ("answers", "options"),
        [
            ({"cap": 99}, {}),
            ({"seconds": 2.0}, {}),
            ({"row_bytes": MAX_BYTES // 200 + 1}, {}),
            ({}, {"projection": Projection(include=[{"model": "Item"}])}),
            ({}, {"facts": ResourceFacts("sales", 100, is_capped=True)}),
        ],
        ids=["short pages", "slow", "large", "associated models", "a known cap"],
    )
    def test_pages_do_not_grow(self, answers: dict[str, Any], options: dict[str, Any]) -> None:
        """Where a larger one would not come, or would be too slow or too large."""
        server = Server(**answers)
        sizes(pages_from(server, **options), 3)
        assert server.limits == [100, 100, 100]

    @pytest.mark.parametrize(
        ("concurrency", "most"),
        [(1, MAX_BYTES), (4, BYTES_IN_FLIGHT // 4), (8, BYTES_IN_FLIGHT // 8)],
    )
    def test_pages_in_flight_are_bounded_together(self, concurrency: int, most: int) -> None:
        """The bytes of a page twice as large must fit as often as there are requests in flight."""
        for size, grows in ((most // 2, True), (most // 2 + 1, False)):
            limits = PageLimit(concurrency=concurrency)
            wanted = limits.after(limits.ask("sales", 100), rows=100, seconds=0.1, size=size, may_grow=True)
            assert wanted == (200 if grows else 100)


class TestProbes:
    """The first request for a size that no page of this run has had."""

    def test_a_probe_is_sent_once(self) -> None:
        """All other requests are retried."""
        server = Server()
        sizes(pages_from(server), 6)
        assert server.asked == [(100, True), (200, False), (400, False), (800, False), (1000, False), (1000, True)]

    def test_one_is_in_flight_at_a_time(self) -> None:
        """Others ask for the size that worked until it has come, fails, or is given up."""
        limits = PageLimit()
        probe = limits.ask("sales", 200)
        assert probe == Limit(200, is_probe=True, resource="sales")
        assert limits.ask("sales", 200) == limits.ask("sales", 400) == Limit(100, resource="sales")
        limits.after(probe, rows=200, seconds=0.1, size=1, may_grow=True)
        assert limits.ask("sales", 200) == Limit(200, resource="sales")
        probe = limits.ask("sales", 400)
        assert probe.is_probe
        limits.give_up(probe)
        probe = limits.ask("sales", 400)
        assert probe.is_probe
        limits.failed(probe, BUSY)
        assert limits.ask("sales", 400).is_probe

    def test_giving_up_another_request_leaves_the_probe(self) -> None:
        """Only a probe ends a probe."""
        limits = PageLimit()
        limits.ask("sales", 200)
        limits.give_up(Limit(100, resource="sales"))
        limits.after(Limit(100, resource="sales"), rows=100, seconds=0.1, size=1, may_grow=True)
        assert not limits.ask("sales", 200).is_probe

    def test_threads_send_one_at_a_time(self) -> None:
        """However many ask at once."""
        limits, barrier = PageLimit(), threading.Barrier(8)
        given: list[Limit] = []

        def ask() -> None:
            barrier.wait()
            given.append(limits.ask("sales", 200))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(given, key=lambda limit: limit.rows) == [Limit(100, resource="sales")] * 7 + [
            Limit(200, is_probe=True, resource="sales")
        ]

    def test_an_interrupted_probe_is_given_up(self) -> None:
        """Or no size would ever be probed again."""

        def interrupt(number: int, _limit: int) -> None:
            if number == 2:
                raise KeyboardInterrupt

        server = Server(interrupt)
        pages = pages_from(server)
        pages.page(ALL)
        with pytest.raises(KeyboardInterrupt):
            pages.page(ALL)
        assert sizes(pages, 1) == [200]
        assert server.asked[-1] == (200, False)


class TestRefusals:
    """What the failure of a probe teaches."""

    def test_refused_above_100(self) -> None:
        """A 4xx is believed at once, and nothing is found out between sizes that are close."""
        server = Server(above(100, REFUSED))
        found = sizes(pages_from(server), 12)
        assert found == [100] * 12
        assert len(server.asked) - len(found) <= 3

    def test_a_failure_above_250(self) -> None:
        """Three failures at most, and the pages come to within a quarter of what works."""
        server = Server(above(250, FAILED))
        found = sizes(pages_from(server), 12)
        assert len(server.asked) - len(found) <= 3
        assert found[-1] == 250

    @pytest.mark.parametrize("error", [REFUSED, FAILED, BUSY], ids=str)
    @pytest.mark.parametrize("most", [1, 60, 100, 101, 120, 130, 199, 250, 399, 400, 500, 700, 999])
    def test_at_most_three_probes_of_a_run_fail(self, most: int, error: JettiError) -> None:
        """Whatever the server allows, and the page that was asked for comes all the same."""
        server = Server(above(most, error))
        limits = PageLimit(first=min(100, most))
        found = sizes(pages_from(server, limits), 30)
        assert len(server.asked) - len(found) <= 3
        assert found[-1] * 2 >= most
        assert server.limits[-10:] == [found[-1]] * 10

    def test_a_second_resource_is_spared_the_failures(self) -> None:
        """The size that was refused is known to all streams of the run."""
        server = Server(above(100, REFUSED))
        first = pages_from(server)
        sizes(first, 8)
        asked = len(server.asked)
        second = ResourcePages(server, "variants", projection=Projection(), profile=first.profile, logger=LOGGER)
        assert sizes(second, 8) == [100] * 8
        assert len(server.asked) == asked + 8

    def test_a_size_that_works_for_one_resource_is_a_probe_for_another(self) -> None:
        """Pages of large rows may be refused at a size that works for small ones."""
        first = pages_from(Server())
        sizes(first, 6)
        server = Server(above(150, REFUSED))
        second = ResourcePages(server, "variants", projection=Projection(), profile=first.profile, logger=LOGGER)
        found = sizes(second, 8)
        assert found[-1] >= 100
        assert len(server.asked) - len(found) <= 3
        assert sizes(first, 1) == [1000]

    def test_probes_of_a_size_that_is_known_go_together(self) -> None:
        """Several resources may grow at once up to what one of them has shown to work; only one goes beyond."""
        limits = PageLimit()
        limits.after(limits.ask("sales", 400), rows=400, seconds=0.1, size=1, may_grow=True)
        assert limits.ask("variants", 200).is_probe
        assert limits.ask("products", 400).is_probe
        assert limits.ask("sales", 800).is_probe
        assert limits.ask("prices", 800) == Limit(100, resource="prices")
        assert limits.ask("prices", 400).is_probe

    @pytest.mark.parametrize("number", range(2, 6))
    def test_one_passing_failure_pins_nothing(self, number: int) -> None:
        """Whichever probe it meets, the pages grow to the maximum, and nothing is kept for later runs."""
        server = Server(lambda at, _limit: BUSY if at == number else None)
        pages = pages_from(server)
        assert sizes(pages, 9)[-1] == 1000
        assert pages.profile.page_limit.to_bookmark()["refused_page_size"] is None

    def test_a_page_that_fails_at_any_size_is_an_error(self) -> None:
        """The size is not to blame, so nothing is learnt of it."""
        server = Server(lambda number, _limit: BUSY if number > 1 else None)
        pages = pages_from(server)
        pages.page(ALL)
        with pytest.raises(ServerError):
            pages.page(ALL)
        assert server.asked[1:] == [(200, False), (100, True)]
        server.fails = lambda _number, _limit: None
        assert sizes(pages, 1) == [200]

    @pytest.mark.parametrize(
        ("error", "is_blamed", "is_final"),
        [
            (REFUSED, True, False),
            (FAILED, True, False),
            (BUSY, True, False),
            (DecodeError("The response is cut", **PLACE), True, False),
            (TransportError("Timed out", may_have_arrived=True, **PLACE), True, False),
            (TransportError("No connection", may_have_arrived=False, **PLACE), False, False),
            (RateLimitedError("Rate limit exceeded", status=429, **PLACE), False, False),
            (AuthenticationError("Jetti refused the token", status=401, **PLACE), False, True),
            (ForbiddenError("Not allowed", status=403, **PLACE), False, True),
            (NotFoundError("Not found", status=404, **PLACE), False, True),
            (RequestError("The certificate is not trusted", **PLACE), False, True),
            (UnreliableResponseError("Rows in another order"), False, True),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
    )
    def test_what_follows_a_failed_probe(self, error: JettiError, is_blamed: bool, is_final: bool) -> None:
        """The size that worked, unless that would fail, too. Only what a smaller page may not meet is blamed on it."""
        assert may_be_too_large(error) is is_blamed
        server = Server(lambda number, _limit: error if number == 2 else None)
        pages = pages_from(server)
        pages.page(ALL)
        if is_final:
            with pytest.raises(type(error)):
                pages.page(ALL)
            assert server.limits == [100, 200]
        else:
            assert sizes(pages, 1) == [100]
            assert server.asked == [(100, True), (200, False), (100, True)]
            assert sizes(pages, 1)[0] == (150 if is_blamed else 200)

    def test_a_refusal_is_reported_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """With the setting that would have avoided it."""
        with caplog.at_level(logging.WARNING):
            sizes(pages_from(Server(above(100, REFUSED)), PageLimit(logger=LOGGER, maximum=120)), 5)
        messages = [entry.getMessage() for entry in caplog.records]
        assert len(messages) == 1
        assert "page_size: 100" in messages[0]

    def test_the_list_of_fields_is_blamed_after_the_size(self) -> None:
        """A probe that is refused says nothing of its list of fields."""
        server = Server(above(100, REFUSED))
        pages = pages_from(server, projection=Projection(attributes=["id", "updatedAt"]))
        sizes(pages, 5)
        assert pages.profile.refused_fields is None


class TestMemory:
    """What later runs know of refused sizes."""

    def learnt(self) -> dict[str, Any]:
        """What a run keeps that was refused more than 100 rows."""
        pages = pages_from(Server(above(100, REFUSED)))
        sizes(pages, 8)
        return pages.profile.page_limit.to_bookmark()

    def test_a_refusal_is_kept_with_its_date(self) -> None:
        """The server's clock when the size was refused."""
        learnt = self.learnt()
        assert 100 < learnt["refused_page_size"] <= 200
        assert learnt["refused_at"] == from_epoch(1_592_222_400)

    def test_the_next_run_does_not_fail(self) -> None:
        """It begins where the last one ended."""
        server, limits = Server(above(100, REFUSED)), PageLimit()
        limits.recall(self.learnt(), now=later(NOW, milliseconds=86_400_000))
        assert sizes(pages_from(server, limits), 5) == [100] * 5
        assert len(server.asked) == 5

    def test_a_resource_whose_largest_page_is_refused_now_begins_smaller(self) -> None:
        """What worked once in the past does not overrule what was refused since."""
        limits = PageLimit()
        limits.recall({"refused_page_size": 130, "refused_at": NOW}, now=NOW)
        server = Server(above(129, REFUSED))
        sizes(pages_from(server, limits, facts=ResourceFacts("sales", 800)), 3)
        assert max(server.limits) < 130

    @pytest.mark.parametrize(("days", "is_known"), [(0, True), (29.9, True), (30, True), (30.1, False)])
    def test_it_is_tried_again_after_thirty_days(self, days: float, is_known: bool) -> None:
        """The server may have changed."""
        limits = PageLimit()
        refused_at = later(NOW, milliseconds=-round(days * 86_400_000))
        limits.recall({"refused_page_size": 110, "refused_at": refused_at}, now=NOW)
        assert limits.first("sales", 0) == 100
        assert (limits.ask("sales", 200) == Limit(200, is_probe=True, resource="sales")) is not is_known

    def test_the_least_refused_size_is_taken(self) -> None:
        """Each stream keeps what its run has learnt."""
        limits = PageLimit()
        for size in (500, 110, 400):
            limits.recall({"refused_page_size": size, "refused_at": NOW}, now=NOW)
        assert limits.to_bookmark() == {"refused_page_size": 110, "refused_at": NOW}

    @pytest.mark.parametrize("size", [2, 60, 100])
    def test_a_refusal_of_the_first_size_makes_pages_smaller(self, size: int) -> None:
        """100 rows are not asked for where they, or fewer, were refused, but half of what was."""
        limits = PageLimit()
        limits.recall({"refused_page_size": size, "refused_at": NOW}, now=NOW)
        server = Server(above(size - 1, REFUSED))
        assert sizes(pages_from(server, limits), 1) == [size // 2]
        assert server.asked == [(size // 2, True)]

    @pytest.mark.parametrize(
        "stored",
        [
            {},
            {"refused_page_size": 50},
            {"refused_at": NOW},
            *({"refused_page_size": size, "refused_at": NOW} for size in (0, -5, "50", 50.0, True, None)),
            *({"refused_page_size": 50, "refused_at": date} for date in (None, 5, True)),
        ],
        ids=str,
    )
    def test_a_malformed_refusal_is_none(self, stored: dict[str, Any]) -> None:
        """Nothing is known then, as in a state of an earlier version."""
        limits = PageLimit()
        limits.recall(stored, now=NOW)
        assert limits.to_bookmark() == {"refused_page_size": None, "refused_at": None}


def test_limits_never_exceed_what_is_allowed() -> None:
    """No request asks for more than the maximum, nor for nothing."""
    for maximum, most in itertools.product((1, 2, 3, 10, 100, 150, 1000), (1, 2, 5, 90, 150)):
        server = Server(above(most, FAILED))
        pages = pages_from(server, PageLimit(first=min(most, 100), maximum=maximum))
        sizes(pages, 15)
        assert all(1 <= limit <= maximum for limit in server.limits)
