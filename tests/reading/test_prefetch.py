"""Reading ahead: the same rows as without it, in less time."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_jetti.client.clock import SystemClock
from tap_jetti.client.hosts import Host
from tap_jetti.client.rate_limit import MemoryStore, RateLimiter
from tap_jetti.client.session import JettiSession
from tap_jetti.client.transport import Transport
from tap_jetti.errors import AuthenticationError, ForbiddenError, Interrupted, SettingsError
from tap_jetti.facts.json_codec import decode_json
from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.reading.id_read import IdRead
from tap_jetti.reading.keyset import IncrementalRead
from tap_jetti.reading.page import decode_objects
from tap_jetti.reading.page_limit import PageLimit
from tap_jetti.reading.pages import Projection, ResourcePages
from tap_jetti.reading.prefetch import Prefetcher, StreamRead
from tap_jetti.reading.prefetch.memory import PLACE_BYTES, PLACES
from tap_jetti.reading.prefetch.scheduler import PriorityScheduler, Stopped
from tap_jetti.reading.resource_facts import ResourceFacts
from tap_jetti.reading.server_profile import ServerProfile
from tap_jetti.sandbox import Options, Sandbox

LOGGER = logging.getLogger("tests.client")
EPOCH = datetime(2020, 1, 1, tzinfo=timezone.utc)


def made_rows(offsets, first_id=1):
    """Rows whose updatedAt lie so many microseconds after 2020."""
    return [
        {"id": number, "updatedAt": (EPOCH + timedelta(microseconds=offset)).isoformat().replace("+00:00", "Z")}
        for number, offset in enumerate(offsets, first_id)
    ]


def fixed(page_size):
    """A server of which nothing is known, asked for pages of one size."""
    return ServerProfile(page_limit=PageLimit(fixed=page_size))


class Account:
    """A sandbox, and reads of it with what `concurrency` says."""

    def __init__(self, sandbox, stack):
        self.sandbox = sandbox
        self._stack = stack
        self.clock = SystemClock()
        self.ahead = None

    def session(self, *, rate=10_000, burst=10_000, **options):
        """A session of its own."""
        limiter = RateLimiter(MemoryStore(self.clock), rate=rate, burst=burst, clock=self.clock)
        session = JettiSession(
            Host.api(self.sandbox.api_url, token=self.sandbox.token, limiter=limiter),
            clock=self.clock,
            **{"retry_seconds": 30, "logger": LOGGER, **options},
        )
        self._stack.callback(session.close)
        return session

    def plan(self, resource, profile, *, full=False, start=None, verify_counts="auto", **known):
        """How a resource is read, of which so much is known."""

        def reader(source):
            if full:
                return IdRead(source, verify_counts=verify_counts, logger=LOGGER)
            return IncrementalRead(
                source,
                start=start,
                end=None,
                bookmark_lag=0,
                verify_counts=verify_counts,
                clock=self.clock,
                logger=LOGGER,
            )

        def pages_from(session, decode):
            return ResourcePages(
                session,
                resource,
                projection=Projection(),
                profile=profile,
                facts=ResourceFacts(resource, **known),
                logger=LOGGER,
                decode=decode,
            )

        return StreamRead(pages_from, reader, may_count=verify_counts != "never")

    def serial(self, *resources, page_size=100, **shape):
        """The pages of each resource, read by one reader after another."""
        profile, session = fixed(page_size), self.session()
        return [self._read(self.plan(name, profile, **shape), session) for name in resources]

    def together(self, *resources, session=None, ahead=None, page_size=100, **shape):
        """The pages of each resource, with reading ahead whatever the latency."""
        profile = fixed(page_size)
        self.ahead = Prefetcher(
            session or self.session(),
            **{"concurrency": 8, "clock": self.clock, "logger": LOGGER, "min_latency": 0, **(ahead or {})},
        )
        plans = [self.plan(name, profile, **shape) for name in resources]
        self.ahead.follow(plans)
        try:
            return [self._read(plan) for plan in plans]
        finally:
            self.ahead.close()

    def _read(self, plan, session=None):
        if session:
            reader = plan.reader(plan.pages_from(session, decode_objects))
            pages = reader.pages()
        else:
            opened = self.ahead.open(plan)
            reader, pages = opened.reader, opened.hand_over(decode_objects)
        return [page.rows for page in pages], getattr(reader, "final_bookmark", None)


@pytest.fixture
def account():
    """Starts sandboxes that end with the test."""
    with ExitStack() as stack:

        def start(resources=None, **options):
            sandbox = Sandbox(Options(**{"rate": 0, "empty": True, "latency": 0.005, "extra_fields": False, **options}))
            for name, rows in (resources or {}).items():
                sandbox.replace(name, rows)
            return Account(stack.enter_context(sandbox), stack)

        yield start


SECOND = 1_000_000
MILLISECOND = 1_000


def steps(number, at_least, at_most, seed=1):
    """Growing microseconds, so far apart."""
    chance = random.Random(seed)
    at = 0
    for _ in range(number):
        at += chance.randint(at_least, at_most)
        yield at


def groups(number, size, apart=SECOND):
    """Microseconds in groups of equal ones."""
    return [index // size * apart for index in range(number)]


SHAPES = {
    "unique": list(steps(3000, SECOND, 9 * SECOND)),
    "microseconds": list(steps(3000, 1, 300)),
    "ties": groups(3000, 7),
    "ties of half a page": groups(2000, 50),
    "ties of a page": groups(2000, 100),
    "instants larger than a page": groups(2000, 350),
    "one huge instant amid others": [
        *range(0, 500 * SECOND, SECOND),
        *[501 * SECOND] * 900,
        *range(502 * SECOND, 1400 * SECOND, SECOND),
    ],
    "one instant": [SECOND] * 1200,
    "a few": groups(5, 1),
    "nothing": [],
    "one page": groups(100, 1),
    "one page and a row": groups(101, 1),
    "two pages": groups(199, 1),
}


def flat(pages):
    """The rows of all pages."""
    return [row for page in pages for row in page]


def given_by(reads):
    """The rows and the bookmark of each read, wherever its pages end."""
    return [(flat(pages), bookmark) for pages, bookmark in reads]


class TestSameAsSerial:
    """On data that rest, pages, rows, order and bookmark are those of one reader."""

    @pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
    @pytest.mark.parametrize("from_means", ["page", "offset"])
    def test_any_shape(self, account, shape, from_means):
        """Whatever the keys look like."""
        one = account({"sales": made_rows(shape)}, from_means=from_means)
        assert given_by(one.together("sales")) == given_by(one.serial("sales"))

    @pytest.mark.parametrize("page_cap", [20, 37, 50])
    @pytest.mark.parametrize("shape", ["unique", "microseconds", "ties", "instants larger than a page"])
    def test_any_cap(self, account, shape, page_cap):
        """Wherever the server cuts its pages."""
        one = account({"sales": made_rows(SHAPES[shape][:1200])}, page_cap=page_cap)
        assert given_by(one.together("sales")) == given_by(one.serial("sales"))

    def test_a_capped_page_is_no_end(self, account):
        """Where pages are known to be capped below what is asked for, and no count is due, windows do not end early."""
        one = account({"sales": made_rows(SHAPES["unique"][:1200])}, page_cap=37)
        known = {"largest": 37, "is_capped": True, "proven_at": from_epoch(time.time() - 3600)}
        [(pages, _)] = one.together("sales", **known)
        assert any("from=" in entry.query for entry in one.sandbox.requests)
        assert len(flat(pages)) == 1200

    @pytest.mark.parametrize("concurrency", [2, 3, 16])
    def test_any_concurrency(self, account, concurrency):
        """However many requests may be in flight."""
        one = account({"sales": made_rows(SHAPES["unique"])})
        assert given_by(one.together("sales", ahead={"concurrency": concurrency})) == given_by(one.serial("sales"))

    @pytest.mark.parametrize("count", ["none", "all"])
    @pytest.mark.parametrize("verify_counts", ["auto", "never"])
    def test_without_counts(self, account, count, verify_counts):
        """Whether the server counts or not."""
        one = account({"sales": made_rows(SHAPES["unique"])}, count=count)
        shape = {"verify_counts": verify_counts}
        assert given_by(one.together("sales", **shape)) == given_by(one.serial("sales", **shape))

    def test_streams_that_follow_begin_before_the_first_answer(self, account):
        """What they ask then has no upper bound, is cut at the server's clock once it is known, and not asked again."""
        names = ("sales", "products", "variants", "vendors")
        rows = made_rows([*range(0, 500 * SECOND, SECOND), 10**9 * SECOND])
        one = account(dict.fromkeys(names, rows), latency=1)
        together = one.together(*names)
        first = next(entry for entry in one.sandbox.requests if "sales" in entry.path)
        following = [entry for entry in one.sandbox.requests if "sales" not in entry.path]
        early = {entry.path for entry in following if entry.time < first.time + 1 and "lte" not in entry.query}
        assert early == {f"/api/{name}/count.json" for name in names[1:]}
        assert [len(flat(pages)) for pages, _ in together] == [500] * 4
        asked = Counter(entry.path for entry in one.sandbox.requests)
        one.sandbox.options.latency = 0.005
        one.sandbox.requests.clear()
        assert given_by(together) == given_by(one.serial(*names))
        once = Counter(entry.path for entry in one.sandbox.requests)
        # Their first count has no upper bound, so it says too much here, and the end is counted again.
        assert all(asked[f"/api/{name}.json"] <= once[f"/api/{name}.json"] + 2 for name in names[1:])

    def test_without_a_date_header_streams_that_follow_are_read_as_in_turn(self, account, caplog):
        """Though they began before the first answer, nothing is asked twice, and the lack is said once."""
        names = ("sales", "products", "variants", "vendors")
        one = account(dict.fromkeys(names, made_rows(groups(250, 1))), latency=0.3, date_header=False)
        wall = one.clock.time
        one.clock.time = lambda: wall() + one.clock.monotonic() / 100  # as it is while it is set right
        together = one.together(*names)
        asked = Counter(entry.path for entry in one.sandbox.requests if "sales" not in entry.path)
        assert sum("no Date header" in entry.getMessage() for entry in caplog.records) == 1
        one.sandbox.options.latency = 0
        one.sandbox.requests.clear()
        assert given_by(together) == given_by(one.serial(*names))
        assert asked == Counter(entry.path for entry in one.sandbox.requests if "sales" not in entry.path)

    @pytest.mark.parametrize("rows", [30, 100])
    def test_streams_that_follow_take_no_further_request(self, account, rows):
        """What reads ahead asks nothing that a serial read would not ask."""
        names = ("sales", "products", "variants", "vendors", "channels", "customers", "purchases", "transfers")
        one = account(dict.fromkeys(names, made_rows(groups(rows, 1))))
        one.serial(*names)
        serial = Counter(entry.path for entry in one.sandbox.requests)
        one.sandbox.requests.clear()
        one.together(*names)
        assert Counter(entry.path for entry in one.sandbox.requests) == serial

    def test_a_long_stream_that_follows_is_left_to_its_reader(self, account):
        """A scout ends when its reader comes, however much there is to read: beside it there are no windows."""
        one = account({"products": made_rows(SHAPES["a few"]), "sales": made_rows(SHAPES["unique"])}, latency=0.1)
        one.together("products", "sales", session=one.session(rate=50, burst=2), ahead={"places": 1200})
        assert any("from=" in entry.query for entry in one.sandbox.requests)

    def test_where_no_thread_can_be_started_the_error_says_what_to_set(self, account, monkeypatch):
        """A machine that allows no more threads ends the read with the setting that does without."""
        one = account(dict.fromkeys(("sales", "products"), made_rows(SHAPES["a few"])))

        def refuse(_thread):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(SettingsError, match="concurrency to 1"):
            one.together("sales", "products")

    def test_half_a_surrogate_pair(self, account):
        """A text that JavaScript has cut in two is as readable ahead as it is in turn."""
        names = ("sales", "products", "variants")
        rows = [{**row, "notes": "whole"} for row in made_rows(SHAPES["unique"])]
        rows[170]["notes"] = rows[1700]["notes"] = rows[2]["notes"] = "here"
        one = account(dict.fromkeys(names, rows))

        def cutting(session):
            get = session.get

            def cut(path, query=None, *, decode=None, **named):
                decode = decode or decode_json
                return get(path, query, decode=lambda body: decode(body.replace(b'"here"', b'"cut \\ud83d"')), **named)

            session.get = cut
            return session

        together = one.together(*names, session=cutting(one.session(retry_seconds=0)))
        assert [page[2]["notes"] for (page, *_), _ in together] == ["cut \ufffd"] * 3
        assert [row["notes"] for row in flat(together[0][0])].count("cut \ufffd") == 3

    def test_by_id(self, account):
        """Reads of whole tables are split too."""
        one = account({"sales": made_rows(SHAPES["unique"])})
        assert given_by(one.together("sales", full=True)) == given_by(one.serial("sales", full=True))

    def test_many_streams(self, account):
        """Streams of every length follow each other."""
        names = ["sales", "products", "variants", "vendors", "channels", "customers", "purchases", "transfers"]
        sizes = [3, 100, 0, 2500, 30, 7, 650, 99]
        one = account({name: made_rows(steps(size, 1, 3 * SECOND)) for name, size in zip(names, sizes, strict=True)})
        assert given_by(one.together(*names)) == given_by(one.serial(*names))

    @pytest.mark.parametrize("faults", [0.1, 0.3])
    def test_under_faults(self, account, faults):
        """Failed, cut and refused requests are asked again."""
        one = account({"sales": made_rows(SHAPES["unique"])})
        expected = one.serial("sales")
        one.sandbox.options.faults = faults
        one.sandbox.options.fault_kinds = ("503", "reset-before", "reset-after", "truncated", "html-200")
        assert given_by(one.together("sales")) == given_by(expected)

    def test_a_server_that_ignores_from(self, account):
        """Two useless probes end the probing."""
        one = account({"sales": made_rows(SHAPES["unique"])}, from_means="offset")
        session = one.session()
        get = session.get

        def without_from(path, query=None, **named):
            return get(path, [pair for pair in query if pair[0] != "from"], **named)

        session.get = without_from
        assert given_by(one.together("sales", session=session)) == given_by(one.serial("sales"))

    def test_a_server_that_refuses_from(self, account):
        """A probe that is refused harms nothing."""
        one = account({"sales": made_rows(SHAPES["unique"])})
        session = one.session()
        get = session.get

        def refusing(path, query=None, **named):
            return get(path, [(name, "x" if name == "from" else value) for name, value in query], **named)

        session.get = refusing
        assert given_by(one.together("sales", session=session)) == given_by(one.serial("sales"))


class TestNothingIsLost:
    """While rows change, every row that rests is given, and every row at least once."""

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        seed=st.integers(0, 1 << 30),
        size=st.integers(200, 1500),
        apart=st.sampled_from([1, 400, 5 * MILLISECOND, SECOND]),
        tie=st.sampled_from([1, 3, 40, 130]),
        options=st.fixed_dictionaries(
            {
                "page_cap": st.sampled_from([20, 37, 100]),
                "unstable_ties": st.booleans(),
                "from_means": st.sampled_from(["page", "offset"]),
            }
        ),
    )
    def test_changes_meanwhile(self, account, seed, size, apart, tie, options):
        """Rows that move on, appear or vanish hide no other."""
        one = account({"sales": made_rows(groups(size, tie, apart))}, latency=0.002, **options)
        chance = random.Random(seed)
        moved, gone = set(), set()

        def change(number, _method, _path):
            if number % 3:
                return
            kind = chance.random()
            ids = [chance.randint(1, size) for _ in range(chance.choice([1, 1, 5, 60]))]
            if kind < 0.7:
                moved.update(ids)
                one.sandbox.touch("sales", ids)
            elif kind < 0.85:
                gone.add(ids[0])
                one.sandbox.delete("sales", ids[0])
            else:
                one.sandbox.upsert("sales", {})

        one.sandbox.on_request = change
        [(pages, bookmark)] = one.together("sales")
        one.sandbox.on_request = None
        given_ids = {row["id"] for row in flat(pages)}
        assert given_ids >= set(range(1, size + 1)) - moved - gone
        one.sandbox.options.clock = lambda: time.time() + 5  # a Date header tells seconds only
        [(rest, _)] = one.serial("sales", start=bookmark)
        assert given_ids | {row["id"] for row in flat(rest)} >= {row["id"] for row in one.sandbox.rows("sales")}

    @pytest.mark.parametrize("way", ["serial", "together"])
    def test_rows_that_moved_on_do_not_hide_as_many_unread_ones(self, account, way):
        """A page cut short is not the end because as many read rows have moved on as are unread when it is counted."""
        one = account({"sales": made_rows(SHAPES["two pages"])})
        pages = []

        def change(_number, _method, path):
            if not path.endswith("count.json"):
                pages.append(path)
                one.sandbox.options.page_cap = 50 if len(pages) == 2 else 100
            elif len(pages) == 2:
                one.sandbox.touch("sales", range(1, 51))

        one.sandbox.on_request = change
        [(read, _)] = one.serial("sales") if way == "serial" else one.together("sales", ahead={"concurrency": 2})
        assert {row["id"] for row in flat(read)} >= set(range(51, 200))

    @pytest.mark.parametrize("way", ["serial", "together"])
    def test_a_tiny_page_of_a_whole_table_is_not_its_end(self, account, way):
        """A table read by id is read on behind a page of five rows while the server counts more than it gave."""
        one = account({"sales": made_rows(SHAPES["unique"][:450])})
        pages = []

        def cut(_number, _method, path):
            if not path.endswith("count.json"):
                pages.append(path)
                one.sandbox.options.page_cap = 5 if len(pages) == 3 else 100

        one.sandbox.on_request = cut
        [(read, _)] = (one.serial if way == "serial" else one.together)("sales", full=True)
        assert [row["id"] for row in flat(read)] == list(range(1, 451))


class TestFailures:
    """A failure is raised where the reader comes to it."""

    def test_of_a_stream_that_follows(self, account):
        """A stream that is forbidden fails when it is read, and the ones around it do not."""
        rows = made_rows(SHAPES["one page and a row"])
        one = account({"sales": rows, "products": rows, "variants": rows}, forbidden=("products",))
        ahead = Prefetcher(one.session(), concurrency=8, clock=one.clock, logger=LOGGER, min_latency=0)
        plans = [one.plan(name, fixed(100)) for name in ("sales", "products", "variants")]
        ahead.follow(plans)
        outcomes = []
        for plan in plans:
            try:
                outcomes.append(sum(map(len, ahead.open(plan).hand_over(decode_objects))))
            except ForbiddenError:
                outcomes.append("forbidden")
        ahead.close()
        assert outcomes == [101, "forbidden", 101]

    def test_of_a_token_that_ends(self, account):
        """A token that is refused midway ends the read there, after the rows before."""
        one = account({"sales": made_rows(SHAPES["unique"])})

        def revoke(number, _method, _path):
            if number == 12:
                one.sandbox.options.token = "another"

        one.sandbox.on_request = revoke
        ahead = Prefetcher(one.session(), concurrency=8, clock=one.clock, logger=LOGGER, min_latency=0)
        plan = one.plan("sales", fixed(100))
        pages = ahead.open(plan).hand_over(decode_objects)
        given_ids = []
        with pytest.raises(AuthenticationError):
            given_ids.extend(row["id"] for page in pages for row in page)
        ahead.close()
        assert given_ids == list(range(1, len(given_ids) + 1))


class TestGate:
    """Slots go to the most urgent request."""

    def test_a_request_that_is_not_wanted_any_more_takes_none(self, account):
        """Of two that wait for a slot, the one that was dropped meanwhile ends, and the other one goes."""
        one = account(dict.fromkeys(("sales", "products"), made_rows(SHAPES["a few"])))
        session = one.session(rate=1, burst=1)
        session.get("sales.json")
        gate = PriorityScheduler(session, 2, SystemClock())
        urgencies = {"sales": (0, 0), "products": (1, 0)}
        ends = {}

        def ask(name):
            try:
                with gate.request(lambda: urgencies[name]) as acquire:
                    ends[name] = session.get(f"{name}.json", acquire=acquire).status
            except Stopped:
                ends[name] = "dropped"

        threads = [threading.Thread(target=ask, args=(name,)) for name in urgencies]
        for thread in threads:
            thread.start()
        urgencies["sales"] = None
        for thread in threads:
            thread.join(10)
        assert ends == {"sales": "dropped", "products": 200}


class TestEnd:
    """Nothing is left behind."""

    def test_a_reader_that_was_interrupted_while_it_read_ahead_has_no_end(self, account):
        """The main thread gets the interruption, and does not take the pages so far for all of the stream."""
        one = account({"sales": made_rows(SHAPES["unique"])})
        ahead = Prefetcher(one.session(rate=1, burst=1), concurrency=2, clock=one.clock, logger=LOGGER)
        stream = ahead.open(one.plan("sales", fixed(7)))
        one.clock.stop()
        stream.begin()
        with pytest.raises(Interrupted):
            stream.run()
        with pytest.raises(Interrupted):
            list(stream.hand_over(decode_objects))

    def test_no_thread_is_left(self, account):
        """All threads have ended when `close` returns."""
        one = account({"sales": made_rows(SHAPES["unique"])})
        before = set(threading.enumerate())
        one.together("sales")
        assert set(threading.enumerate()) <= before

    def test_requests_in_flight_are_cut(self, account):
        """Threads that wait for an answer end with `close`, not with the answer."""
        rows = made_rows(SHAPES["one page and a row"])
        names = ["sales", "products", "variants", "vendors"]
        one = account(dict.fromkeys(names, rows))
        ahead = Prefetcher(one.session(), concurrency=8, clock=one.clock, logger=LOGGER, min_latency=0)
        plans = [one.plan(name, fixed(100)) for name in names]
        ahead.follow(plans)
        before = set(threading.enumerate())
        pages = ahead.open(plans[0]).hand_over(decode_objects)
        next(pages)
        one.sandbox.options.latency = 3600
        arrived = threading.Event()
        closing = threading.Thread(target=lambda: (arrived.wait(), ahead.close()))
        closing.start()
        one.sandbox.on_request = None
        threading.Timer(0.2, arrived.set).start()
        with pytest.raises(Interrupted):
            list(pages)
        closing.join()
        left = [thread for thread in set(threading.enumerate()) - before if thread.name == "jetti-prefetch"]
        assert not left

    def test_a_connection_that_is_made_after_the_end_is_cut(self, account):
        """A thread that was just connecting when all was cut does not wait for an answer either."""
        one = account({"sales": []}, latency=3600)
        transport = Transport(SystemClock(), seconds=300)
        with ExitStack() as stack:
            stack.callback(transport.close)
            transport.abort()
            request = requests.Request("GET", f"{one.sandbox.api_url}sales.json").prepare()
            with pytest.raises(requests.ConnectionError):
                transport.send(request, timeout=5)


class TestCost:
    """What is asked and kept."""

    def test_low_latency_asks_nothing_more(self, account):
        """With answers faster than the limit no further request is sent, and no thread outlives the first answer."""
        one = account({"sales": made_rows(SHAPES["unique"]), "products": made_rows(SHAPES["a few"])}, latency=0)
        one.serial("sales", "products")
        serial = len(one.sandbox.requests)
        one.sandbox.requests.clear()
        before = set(threading.enumerate())
        seen = set()
        one.sandbox.on_request = lambda number, *_: seen.update(threading.enumerate() if number > serial + 20 else ())
        one.together("sales", "products", ahead={"min_latency": 60})
        assert (len(one.sandbox.requests), seen - before) == (serial, set())

    def test_few_extra_requests(self, account):
        """Probes are pages, so a long read costs hardly more requests."""
        one = account({"sales": made_rows(steps(12_000, SECOND, 9 * SECOND))})
        one.serial("sales")
        serial = len(one.sandbox.requests)
        one.sandbox.requests.clear()
        one.together("sales", ahead={"concurrency": 4})
        assert any("from=" in entry.query for entry in one.sandbox.requests)
        assert len(one.sandbox.requests) <= 1.1 * serial

    @pytest.mark.parametrize("kept", [300, 1000, PLACES])
    def test_memory_is_bounded(self, account, kept):
        """A slow consumer is not run away from."""
        one = account({name: made_rows(SHAPES["unique"]) for name in ("sales", "products", "variants")})
        ahead = Prefetcher(one.session(), concurrency=8, clock=one.clock, logger=LOGGER, min_latency=0, places=kept)
        plans = [one.plan(name, fixed(100)) for name in ("sales", "products", "variants")]
        ahead.follow(plans)
        rows = 0
        for plan in plans:
            for number, page in enumerate(ahead.open(plan).hand_over(decode_objects)):
                rows += len(page)
                if number % 10 == 5:
                    time.sleep(0.1)
        ahead.close()
        assert rows == 9000
        # What the reader waits for goes beyond it: one page, and the one that completes it.
        assert 0 < ahead.memory.most_held <= kept + 200

    def test_large_rows_take_the_room_of_many(self, account):
        """Rows of 50 KB are not held in the number that small ones are: all that is held stays below 32 MB in bytes."""
        rows = [{**row, "description": "x" * 50_000} for row in made_rows(steps(600, SECOND, 9 * SECOND))]
        one = account({"products": rows, "variants": rows})
        ahead = Prefetcher(one.session(), concurrency=8, clock=one.clock, logger=LOGGER, min_latency=0, places=1000)
        plans = [one.plan(name, fixed(20)) for name in ("products", "variants")]
        ahead.follow(plans)
        pages = ahead.open(plans[0]).hand_over(decode_objects)
        for _ in range(5):
            next(pages)
        asked = -1
        while asked != len(one.sandbox.requests):
            asked = len(one.sandbox.requests)
            time.sleep(0.3)
        ahead.close()
        assert asked <= 5 + 1000 * PLACE_BYTES // (20 * 50_000) + 8  # and those under way


class TestCounts:
    """What is counted, and when."""

    def test_nothing_is_counted_where_it_is_not_wanted(self, account):
        """With `verify_counts: never` windows begin without a count of the length."""
        one = account({"sales": made_rows(SHAPES["unique"])})
        one.together("sales", verify_counts="never")
        assert not any("count.json" in entry.path for entry in one.sandbox.requests)
        assert any("from=" in entry.query for entry in one.sandbox.requests)


class TestRetries:
    """An attempt after a failure waits for its permit as the first one did."""

    def test_a_retry_of_the_reader_goes_before_what_is_read_ahead(self, account):
        """Of two requests that wait, the urgent one gets the permit, though it is its second attempt."""
        one = account(dict.fromkeys(("sales", "products"), made_rows(SHAPES["a few"])))
        session = one.session(rate=4, burst=1)
        scheduler = PriorityScheduler(session, 1, SystemClock())
        order = []
        with scheduler.request(lambda: (0, 0)) as acquire:
            acquire()

            def read_ahead():
                with scheduler.request(lambda: (1, 0)) as acquire_ahead:
                    acquire_ahead()
                    order.append("ahead")

            thread = threading.Thread(target=read_ahead)
            thread.start()
            while not scheduler._waiting:
                time.sleep(0.001)
            acquire()
            order.append("retry")
        thread.join(10)
        assert order == ["retry", "ahead"]
