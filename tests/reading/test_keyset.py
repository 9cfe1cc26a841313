"""Whatever changes while a resource is read, no row is lost and the read comes to an end."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from runs import EXAMPLES, LOGGER, unlimited_session
from tap_jetti.client.clock import VirtualClock
from tap_jetti.errors import ClientError, IncompleteReadError, ServerError, SettingsError, UnreliableResponseError
from tap_jetti.facts.timestamps import from_epoch, to_epoch
from tap_jetti.reading.id_read import IdRead
from tap_jetti.reading.keyset import IncrementalRead
from tap_jetti.reading.page_limit import PageLimit
from tap_jetti.reading.pages import Projection, ResourcePages
from tap_jetti.reading.proof import Proof
from tap_jetti.reading.resource_facts import ResourceFacts
from tap_jetti.reading.server_profile import ServerProfile
from tap_jetti.sandbox import Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

RESOURCE = "sales"
NOON = 1_600_000_000.25
"""The server's clock when the first read starts."""

LAG = 10.0
"""Seconds of `bookmark_lag`: more than the latest commit and the skew between clocks together."""

MICROSECOND = 1_000_000


class EndlessReadError(AssertionError):
    """A read sent more requests than any read of so few rows needs."""


class Bounded(HTTPAdapter):
    """The network, for a bounded number of requests."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def send(self, *arguments: Any, **named: Any) -> Any:
        """Send a request unless there were too many."""
        self.left -= 1
        if self.left < 0:
            raise EndlessReadError
        return super().send(*arguments, **named)


@dataclass(frozen=True)
class Change:
    """Something that happens while the read goes on.

    Attributes:
        request: The number of the request before whose answer it happens.
        kind: What happens.
        of: Which rows it meets, by a seed.
        share: How many of them, between 0 and 1.
    """

    request: int
    kind: str
    of: int
    share: float


@dataclass(frozen=True)
class Story:
    """A resource, the server it lives on, and what happens to it.

    Attributes:
        groups: Rows that are changed together, and the microseconds from one group to the next.
        spread: Microseconds over which the rows of a group are stored.
        page_size: Rows asked for.
        caps: Most rows that the server gives, from request to request.
        changes: What happens meanwhile.
        server: Further options of the server.
        seed: What decides all else.
    """

    groups: tuple[tuple[int, int], ...]
    spread: int
    page_size: int
    caps: tuple[int, ...]
    changes: tuple[Change, ...] = ()
    server: tuple[tuple[str, Any], ...] = ()
    seed: int = 0

    def rows(self, now: float) -> list[dict[str, Any]]:
        """The rows before the read, the last of them changed shortly before now."""
        chance = random.Random(self.seed)
        keys: list[int] = []
        moment = round(now * MICROSECOND) - 1_500_000 - sum(gap for _, gap in self.groups) - self.spread
        for size, gap in self.groups:
            keys += [moment + (chance.randrange(self.spread) if self.spread else 0) for _ in range(size)]
            moment += gap
        ids = list(range(1, len(keys) + 1))
        chance.shuffle(ids)
        return [{"id": row_id, "updatedAt": exact(key), "notes": "0"} for row_id, key in zip(ids, keys, strict=True)]


def exact(micros: int) -> str:
    """The text of an instant with its microseconds."""
    return f"{from_epoch(micros // MICROSECOND)[:19]}.{micros % MICROSECOND:06d}Z"


@dataclass
class World:
    """A sandbox that lives through a story."""

    story: Story
    sandbox: Sandbox
    clock: VirtualClock
    request: int = 0
    events: list[Change] = field(default_factory=list)
    version: int = 0

    def begin(self) -> None:
        """Fill the sandbox and let the story begin with the next request."""
        self.sandbox.replace(RESOURCE, self.story.rows(self.clock.time()))
        self.sandbox.on_request = self.on_request
        self.tell(self.story.changes)

    def tell(self, changes: Sequence[Change]) -> None:
        """Let these changes happen, counted from the next request on."""
        self.request = 0
        self.events = sorted(changes, key=lambda change: change.request)

    def on_request(self, _number: int, _method: str, _path: str) -> None:
        """Let happen what is due."""
        self.request += 1
        self.sandbox.options.page_cap = self.story.caps[self.request % len(self.story.caps)]
        while self.events and self.events[0].request <= self.request:
            self.happen(self.events.pop(0))

    def happen(self, change: Change) -> None:
        """Change some rows."""
        chance = random.Random(change.of)
        stored = self.stored()
        some = [row_id for row_id, _, _ in stored if chance.random() < change.share]
        one = chance.choice(stored)[0] if stored else 1
        self.version += 1
        if change.kind == "advance":
            self.clock.advance(3 * change.share)
        elif change.kind == "update":
            self.update(one)
        elif change.kind == "insert":
            self.update(1_000_000 + self.version)  # no id is given twice, not even that of a row that is gone
        elif change.kind == "delete":
            self.sandbox.delete(RESOURCE, one)
        elif change.kind == "deletes":
            for row_id in some:
                self.sandbox.delete(RESOURCE, row_id)
        elif change.kind == "updates":
            for row_id in some:
                self.update(row_id)
        elif change.kind == "mass update":
            self.sandbox.touch(RESOURCE, some)
        elif change.kind == "late commit":
            self.update(one, visible_after=3 * change.share)
        self.clock.advance(0.001)

    def update(self, row_id: int, visible_after: float = 0.0) -> None:
        """Write one row anew."""
        self.sandbox.upsert(RESOURCE, {"id": row_id, "notes": str(self.version)}, visible_after)

    def stored(self) -> list[tuple[int, int, str]]:
        """The committed rows by id, with the microseconds of their last change, and their version."""
        found = self.sandbox._account.database.fetch(
            f"SELECT id, updated, json_extract(body, '$.notes') FROM {RESOURCE} ORDER BY id"
        )
        return [tuple(row) for row in found]


PASSING = tuple(kind for kind in Options().fault_kinds if kind != "problem-500")
"""Failures that are tried again until they pass; a business error ends a read when it comes three times in a row."""


@contextlib.contextmanager
def living(story: Story) -> Iterator[World]:
    """The sandbox of a story."""
    clock = VirtualClock(wall=NOON)
    options = {"fault_kinds": PASSING, **dict(story.server)}
    with Sandbox(Options(empty=True, rate=0, seed=story.seed, clock=clock.time, **options)) as sandbox:
        world = World(story, sandbox, clock)
        sandbox.replace(RESOURCE, [])
        world.begin()
        yield world


@dataclass
class Result:
    """What one run gave."""

    seen: set[tuple[int, str, str]]
    bookmark: str | None
    upper: str | None
    requests: int
    records: int = 0
    facts: ResourceFacts = field(default_factory=lambda: ResourceFacts(RESOURCE))
    proof: Proof = Proof.UNPROVEN


def run(
    world: World,
    *,
    bookmark: str | None = None,
    end: str | None = None,
    verify_counts: str = "auto",
    facts: ResourceFacts | None = None,
    stop_after: int | None = None,
    lag: float = LAG,
) -> Result:
    """Read the resource as a stream does, in a process of its own, up to its end or some record."""
    adapter = Bounded(200 + 8 * (len(world.stored()) + sum(size for size, _ in world.story.groups)))
    most = adapter.left
    seen: set[tuple[int, str, str]] = set()
    records = 0
    with contextlib.closing(unlimited_session(world.sandbox, world.clock, transport=adapter)) as session:
        facts = facts or ResourceFacts(RESOURCE)
        read = IncrementalRead(
            source(session, world.story.page_size, facts=facts),
            start=bookmark,
            end=end,
            bookmark_lag=lag,
            verify_counts=verify_counts,
            clock=world.clock,
            logger=LOGGER,
        )

        def advance(instant: str | None) -> None:
            nonlocal bookmark
            assert instant is None or instant <= from_epoch(to_epoch(read.range.upper) - lag), "beyond U - lag"
            bookmark = max(filter(None, (bookmark, instant)), default=None)

        last = ""
        for page in read.pages():
            assert page, "an empty page is none"
            for row in page:
                assert row["updatedAt"] <= read.range.upper, "a row of the next run"
                seen.add((row["id"], row["updatedAt"], row["notes"]))
                advance(read.bookmark(row["updatedAt"]))
                records += 1
                if records == stop_after:
                    return Result(seen, bookmark, read.range.upper, most - adapter.left, records, facts)
            last = page.keys[-1]
        assert last is not None
        advance(read.final_bookmark)
        return Result(seen, bookmark, read.range.upper, most - adapter.left, records, facts, read.proof)


def evenly_dated(count: int) -> list[dict[str, Any]]:
    """Rows a second apart, long ago."""
    return [
        {"id": number, "updatedAt": from_epoch(NOON - 1000 - count + number), "notes": "0"}
        for number in range(1, count + 1)
    ]


def source(
    session: Any,
    page_size: int,
    profile: ServerProfile | None = None,
    resource: str = RESOURCE,
    facts: ResourceFacts | None = None,
) -> ResourcePages:
    """The pages of the resource."""
    return ResourcePages(
        session,
        resource,
        projection=Projection(),
        profile=profile or fixed(page_size),
        facts=facts,
        logger=LOGGER,
    )


def fixed(page_size: int) -> ServerProfile:
    """A server of which nothing is known, asked for pages of one size."""
    return ServerProfile(page_limit=PageLimit(fixed=page_size))


def settled(
    before: list[tuple[int, int, str]], after: list[tuple[int, int, str]], upper: str
) -> set[tuple[int, str, str]]:
    """The rows that a run must have given: there when it began, unchanged at its end, and not later than U."""
    limit = round(to_epoch(upper) * 1000) * 1000
    return {
        (row_id, from_epoch(micros // 1000 / 1000), notes)
        for row_id, micros, notes in set(before) & set(after)
        if micros <= limit
    }


sizes = st.one_of(st.integers(1, 9), st.integers(10, 99), st.just(100))
groups = st.lists(
    st.tuples(
        st.one_of(st.just(1), st.integers(1, 4), st.integers(1, 60), st.integers(90, 230)),
        st.sampled_from([1, 400, 999, 1000, 1001, 2500, 1_000_000]),
    ),
    max_size=14,
).map(tuple)
kinds = st.sampled_from(["advance", "update", "insert", "delete", "deletes", "updates", "mass update", "late commit"])
changes = st.lists(st.builds(Change, st.integers(1, 25), kinds, st.integers(0, 9999), st.floats(0, 1)), max_size=8).map(
    tuple
)
caps = st.one_of(
    st.sampled_from([(100,), (50,), (37,), (20,)]),
    st.lists(st.integers(10, 100), min_size=2, max_size=5).map(tuple),
)
servers = st.fixed_dictionaries(
    {},
    optional={
        "unstable_ties": st.booleans(),
        "microseconds": st.booleans(),
        "clock_skew": st.sampled_from([-5000.0, 5000.0]),
        "date_skew": st.floats(-3, 3),
        "count": st.sampled_from(["all", "none"]),
        "faults": st.just(0.05),
    },
).map(lambda options: tuple(sorted(options.items())))
stories = st.builds(
    Story, groups, st.sampled_from([0, 0, 3, 900, 1000, 5000]), sizes, caps, changes, servers, st.integers(0, 9999)
)


@given(stories)
@settings(max_examples=50 * EXAMPLES)
@example(Story(((1500, 1000), (3, 1)), 900, 100, (37,), server=(("unstable_ties", True),)))
@example(Story(((10, 0),) * 20, 0, 10, (100,)))
@example(Story(((9, 1000),) * 9, 0, 9, (100,)))
def test_one_run_gives_every_row_that_does_not_change_meanwhile(story: Story) -> None:
    """One run gives the last state of every row that was there when it began and is not later than U."""
    with living(story) as world:
        before = world.stored()
        result = run(world)
        missing = settled(before, world.stored(), result.upper) - result.seen
        assert not missing


@given(stories, changes, st.one_of(st.none(), st.integers(1, 400)))
@settings(max_examples=50 * EXAMPLES)
def test_two_runs_lose_nothing_for_good(story: Story, more: tuple[Change, ...], stop_after: int | None) -> None:
    """Two runs, the first of which may be killed, give the last state of every row before the second one's U."""
    with living(story) as world:
        first = run(world, stop_after=stop_after)
        world.clock.advance(5)
        world.tell(more)
        before = world.stored()
        second = run(world, bookmark=first.bookmark)
        assert (second.bookmark or "") >= (first.bookmark or ""), "the bookmark went back"
        missing = settled(before, world.stored(), second.upper) - first.seen - second.seen
        assert not missing


@given(stories)
@settings(max_examples=30 * EXAMPLES)
def test_a_full_read_gives_every_row_that_stays(story: Story) -> None:
    """A read by id gives every row that was there when it began and was not deleted, and ends."""
    with living(story) as world:
        before = {row_id for row_id, _, _ in world.stored()}
        adapter = Bounded(100 + 4 * len(before))
        with contextlib.closing(unlimited_session(world.sandbox, world.clock, transport=adapter)) as session:
            read = IdRead(source(session, story.page_size), verify_counts="auto", logger=LOGGER)
            seen = [row["id"] for page in read.pages() for row in page]
        stayed = before & {row_id for row_id, _, _ in world.stored()}
        assert stayed <= set(seen)
        assert seen == sorted(set(seen)), "ids out of order, or twice"


@given(stories, st.lists(st.integers(0, 6_000), min_size=1, max_size=4, unique=True))
@settings(max_examples=30 * EXAMPLES)
def test_slices_tile(story: Story, cuts: list[int]) -> None:
    """Reads of adjacent slices give together what one read gives, and nothing twice."""
    server = tuple(option for option in story.server if option[0] != "clock_skew")  # no slice begins in the future
    quiet = Story(story.groups, story.spread, story.page_size, story.caps, (), server, story.seed)
    with living(quiet) as world:
        rows = world.stored()
        earliest = min((micros for _, micros, _ in rows), default=0) // 1000
        borders = [None, *(from_epoch(earliest / 1000 + cut / 1000) for cut in sorted(cuts)), None]
        seen: list[tuple[int, str, str]] = []
        records = 0
        uppers = []
        for start, end in itertools.pairwise(borders):
            part = run(world, bookmark=start, end=end)
            uppers += [part.upper] if part.upper else []
            assert all((start or "") <= date < (end or "9") for _, date, _ in part.seen)
            seen += part.seen
            records += part.records
        assert records == len(seen) == len(set(seen))
        assert settled(rows, rows, min(uppers, default=from_epoch(NOON))) <= set(seen)


def evenly(count: int, step: int = 1000) -> tuple[tuple[int, int], ...]:
    """Rows with a key each."""
    return ((1, step),) * count


BUDGETED = (0, 1, 9, 10, 30, 99, 100, 101, 150, 198, 199, 200, 250, 1000, 10_000)


@pytest.mark.parametrize("count", BUDGETED)
def test_a_quiet_read_stays_within_its_budget(count: int) -> None:
    """A first read of N rows at 100 a page takes at most ceil(N/100) * 1.02 + 3 requests."""
    with living(Story(evenly(count), 0, 100, (100,))) as world:
        result = run(world)
        assert result.records == count
        assert result.requests <= math.ceil(count / 100) * 1.02 + 3


@pytest.mark.parametrize("count", BUDGETED)
def test_a_quiet_full_read_stays_within_its_budget(count: int) -> None:
    """A read by id of N rows at 100 a page takes at most ceil(N/100) * 1.02 + 3 requests."""
    with (
        living(Story(evenly(count), 0, 100, (100,))) as world,
        contextlib.closing(unlimited_session(world.sandbox, world.clock)) as session,
    ):
        read = IdRead(source(session, 100), verify_counts="auto", logger=LOGGER)
        assert sum(len(page) for page in read.pages()) == count
        assert len(world.sandbox.requests) <= math.ceil(count / 100) * 1.02 + 3


def night(world: World, size: int, *, changed: int = 0) -> tuple[Result, Result]:
    """A first run of so many rows, and the run after so many of them changed."""
    world.sandbox.replace(RESOURCE, evenly_dated(size))
    first = run(world)
    world.clock.advance(60)
    for row_id in range(1, changed + 1):
        world.clock.advance(0.01)
        world.update(row_id)
    world.clock.advance(60)
    return first, run(world, bookmark=first.bookmark, facts=first.facts)


@pytest.mark.parametrize(("size", "changed"), [(400, 60), (400, 0), (60, 5), (1, 0), (7, 3)])
def test_a_night_costs_one_request_once_the_resource_was_counted(size: int, changed: int) -> None:
    """A page smaller than the largest one of a resource that was counted lately is trusted to be the end."""
    with living(Story((), 0, 100, (100,))) as world:
        first, second = night(world, size, changed=changed)
        assert (first.proof, second.proof) == (Proof.PROVEN, Proof.TRUSTED)
        assert (second.records, second.requests) == (changed, 1)


def test_a_week_later_the_end_is_counted_again() -> None:
    """A proof older than a week costs a count."""
    with living(Story((), 0, 100, (100,))) as world:
        first, _ = night(world, 60)
        world.clock.advance(8 * 86_400)
        second = run(world, bookmark=first.bookmark, facts=first.facts)
        assert (second.proof, second.requests) == (Proof.PROVEN, 2)


def test_a_night_that_always_counts() -> None:
    """`verify_counts: always` counts every read, `never` none."""
    with living(Story((), 0, 100, (100,))) as world:
        first, _ = night(world, 60)
        always = run(world, bookmark=first.bookmark, facts=first.facts, verify_counts="always")
        never = run(world, bookmark=first.bookmark, facts=first.facts, verify_counts="never")
        assert (always.proof, always.requests) == (Proof.PROVEN, 2)
        assert (never.proof, never.requests) == (Proof.UNPROVEN, 1)


@pytest.mark.parametrize("cap", [3, 5, 9])
def test_a_server_that_gives_fewer_than_ten_rows_at_a_time_hides_none(cap: int) -> None:
    """Where pages are cut to a few rows, a small page is not taken for the end."""
    rows = evenly_dated(60)
    with living(Story((), 0, 100, (cap,))) as world:
        world.sandbox.replace(RESOURCE, rows)
        for start in (None, rows[20]["updatedAt"]):
            result = run(world, bookmark=start)
            assert {row_id for row_id, _, _ in result.seen} == {
                row["id"] for row in rows if row["updatedAt"] >= (start or "")
            }


@pytest.mark.parametrize("at", [2, 3])
@pytest.mark.parametrize("rows_left", [0, 7])
def test_a_short_page_at_the_wrong_moment_loses_nothing(at: int, rows_left: int) -> None:
    """Rows of one instant behind a page of few rows, or none, are given all the same."""
    instant = {"updatedAt": evenly_dated(106)[-1]["updatedAt"]}
    rows = [row | instant if row["id"] > 106 else row for row in evenly_dated(160)]
    with living(Story((), 0, 100, (100,))) as world:
        world.sandbox.replace(RESOURCE, rows)
        pages: list[str] = []

        def cut(_number: int, _method: str, path: str) -> None:
            if not path.endswith("count.json"):
                pages.append(path)
                world.sandbox.options.page_cap = rows_left if len(pages) == at else 100

        world.sandbox.on_request = cut
        result = run(world)
        assert len({row_id for row_id, _, _ in result.seen}) == 160
        assert result.proof is Proof.PROVEN


@pytest.mark.parametrize("empty", [1, 3])
def test_an_empty_page_is_not_the_end_of_a_read_by_id(empty: int) -> None:
    """A read by id goes on behind an empty page while rows are counted behind the last id."""
    with (
        living(Story(evenly(1000), 0, 100, (100,))) as world,
        contextlib.closing(unlimited_session(world.sandbox, world.clock)) as session,
    ):
        pages: list[str] = []

        def cut(_number: int, _method: str, path: str) -> None:
            if not path.endswith("count.json"):
                pages.append(path)
                world.sandbox.options.page_cap = 0 if len(pages) == empty else 100

        world.sandbox.on_request = cut
        read = IdRead(source(session, 100), verify_counts="auto", logger=LOGGER)
        assert sum(len(page) for page in read.pages()) == 1000
        assert read.proof is Proof.PROVEN


def test_a_read_by_id_ends_though_a_row_is_added_per_request() -> None:
    """The newest id when the read began is its upper bound."""
    with (
        living(Story(evenly(500), 0, 100, (100,))) as world,
        contextlib.closing(unlimited_session(world.sandbox, world.clock, transport=Bounded(60))) as session,
    ):

        def add(*_: Any) -> None:
            world.version += 1
            world.update(1_000_000 + world.version)

        world.sandbox.on_request = add
        read = IdRead(source(session, 20), verify_counts="auto", logger=LOGGER)
        assert sum(len(page) for page in read.pages()) >= 500
        assert read.proof is Proof.PROVEN


def test_a_bookmark_later_than_the_servers_clock_is_an_error() -> None:
    """A state that would read nothing for ever is named, with both dates."""
    with living(Story(evenly(5), 0, 100, (100,))) as world:
        future = from_epoch(world.clock.time() + 3600)
        with pytest.raises(SettingsError, match=r"sales: the bookmark or start_date .* is later than Jetti's clock"):
            run(world, bookmark=future)
        assert run(world, bookmark=from_epoch(world.clock.time() + 30)).records == 0


def test_clocks_that_differ_by_more_than_a_minute_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, with what it means."""
    with living(Story(evenly(5), 0, 100, (100,), server=(("clock_skew", 300.0),))) as world:
        run(world)
    assert sum("clock is 5 min ahead of this machine's" in entry.getMessage() for entry in caplog.records) == 1


def pages_of(rows: int, **server: Any) -> int:
    """The requests that a first read of so many rows takes with default settings."""
    with living(Story((), 0, 100, (10_000,), server=tuple(server.items()))) as world:
        world.sandbox.replace(RESOURCE, evenly_dated(rows))
        with contextlib.closing(unlimited_session(world.sandbox, world.clock)) as session:
            read = IncrementalRead(
                source(session, 100, ServerProfile()),
                start=None,
                end=None,
                bookmark_lag=LAG,
                verify_counts="auto",
                clock=world.clock,
                logger=LOGGER,
            )
            world.sandbox.on_request = None
            for name, value in server.items():
                setattr(world.sandbox.options, name, value)
            assert sum(len(page) for page in read.pages()) == rows
        return len(world.sandbox.requests)


@pytest.mark.parametrize(
    ("server", "most"),
    [({"page_cap": 10_000}, 27), ({"page_cap": 250}, 80 * 1.03 + 3), ({"page_cap": 100}, 200 * 1.03 + 3)],
    ids=["any page", "cap 250", "cap 100"],
)
def test_rows_per_request_grow_to_what_the_server_gives(server: dict[str, Any], most: float) -> None:
    """20,000 rows take a GET per 1,000 of them, or per as many as the server gives, and a few more."""
    assert pages_of(20_000, **server) <= most


@pytest.mark.parametrize("size", [1, 30, 1500])
def test_a_quiet_second_run_takes_one_request(size: int) -> None:
    """After a run of which the newest instant is older than the lag, a run without changes is one request."""
    with living(Story(((150, 1_000_000), (size, 20_000_000)), 0, 100, (100,))) as world:
        world.clock.advance(60)
        first = run(world)
        again = run(world, bookmark=first.bookmark, facts=first.facts)
        assert (again.records, again.requests) == (0, 1)


def test_the_first_page_is_cut_at_the_upper_bound() -> None:
    """Rows that changed after the first request left belong to the next run, also on its first page."""
    story = Story(evenly(20), 0, 100, (100,), tuple(Change(1, kind, 1, 0.9) for kind in ("advance", "mass update")))
    with living(story) as world:
        result = run(world)
        assert 0 < result.records < 20
        assert all(date <= result.upper for _, date, _ in result.seen)


@pytest.mark.parametrize(
    ("count", "cap", "deleted"), [(60, 50, 10), (39, 37, 2), (25, 20, 5)], ids=["cap 50", "cap 37", "cap 20"]
)
def test_rows_that_leave_before_the_count_do_not_hide_as_many_unread_ones(count: int, cap: int, deleted: int) -> None:
    """A short first page is not the end because as many read rows left as are unread when the count is asked."""
    with living(Story(evenly(count), 0, 100, (cap,))) as world:
        ordered = [row_id for row_id, _, _ in sorted(world.stored(), key=lambda row: row[1])]

        def delete(number: int, _method: str, path: str) -> None:
            world.sandbox.options.page_cap = cap
            if path.endswith("count.json") and number == 2:
                for row_id in ordered[:deleted]:
                    world.sandbox.delete(RESOURCE, row_id)

        world.sandbox.on_request = delete
        result = run(world)
        assert {row_id for row_id, _, _ in result.seen} == set(ordered)


def test_a_count_that_agrees_by_chance_does_not_move_the_bookmark_past_unread_rows() -> None:
    """Where as many read rows left as are unread, what is unread of the newest instant is in the next run."""
    with living(Story((*evenly(45), (15, 20_000_000)), 0, 100, (50,))) as world:
        ordered = [row_id for row_id, _, _ in sorted(world.stored(), key=lambda row: row[1])]

        def delete(number: int, _method: str, path: str) -> None:
            world.sandbox.options.page_cap = 50
            if path.endswith("count.json") and number == 2:
                for row_id in ordered[:10]:
                    world.sandbox.delete(RESOURCE, row_id)

        world.sandbox.on_request = delete
        first = run(world)
        second = run(world, bookmark=first.bookmark)
        assert {row_id for row_id, _, _ in first.seen | second.seen} == set(ordered)


@pytest.mark.parametrize("lie", ["ignore_filter", "ignore_order"])
@pytest.mark.parametrize("count", [30, 250])
def test_a_server_that_ignores_the_query_is_an_error(lie: str, count: int) -> None:
    """Rows outside the asked bounds or order are asked for once more, and then the read stops."""
    with living(Story(evenly(count), 0, 100, (100,), server=((lie, True),))) as world:
        start = from_epoch(world.stored()[0][1] / MICROSECOND)
        with pytest.raises(UnreliableResponseError, match=r"(?s)sales\.json.*expected"):
            run(world, bookmark=start)


@pytest.fixture
def hiding(sandboxes: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A server that counts rows which it does not give."""
    sandbox = sandboxes()
    real = sandbox._application._routes._reader.page

    def page(resource: str, query: Any) -> Any:
        answer = real(resource, query)
        import json  # noqa: PLC0415

        rows = [row for row in json.loads(answer.body) if row["id"] % 10]
        return type(answer)(200, json.dumps(rows).encode())

    monkeypatch.setattr(sandbox._application._routes._reader, "page", page)
    return sandbox


@pytest.mark.parametrize("kind", ["incremental", "full"])
def test_a_count_that_is_higher_is_an_error(
    kind: str, hiding: Sandbox, clock: VirtualClock, sessions: Callable[..., Any]
) -> None:
    """A server that goes on counting more rows than it gives ends the read, with the cure."""
    hiding.replace(
        RESOURCE, [{"id": n, "updatedAt": f"2020-01-01T00:{n // 60:02}:{n % 60:02}Z"} for n in range(1, 251)]
    )
    pages = source(sessions(hiding), 100)
    read = (
        IdRead(pages, verify_counts="auto", logger=LOGGER)
        if kind == "full"
        else IncrementalRead(
            pages, start=None, end=None, bookmark_lag=10, verify_counts="auto", clock=clock, logger=LOGGER
        )
    )
    with pytest.raises(IncompleteReadError, match="sales is incomplete"):
        list(read.pages())
    assert pages.facts.proven_at is None, "what is refuted proves nothing for the next run"


@pytest.mark.parametrize("count", ["purchases", "none"])
@pytest.mark.parametrize("rows", [5, 30, 150, 250])
def test_a_missing_count_loses_nothing(count: str, rows: int, caplog: pytest.LogCaptureFixture) -> None:
    """A server without counts is read to the end all the same, and the lack of proof is told once."""
    with living(Story(evenly(rows), 0, 100, (37,), server=(("count", count),))) as world:
        assert run(world).records == rows
        told = [entry for entry in caplog.records if "cannot be counted" in entry.getMessage()]
        assert len(told) <= 1


def test_without_a_date_header_this_machines_clock_stands_in(caplog: pytest.LogCaptureFixture) -> None:
    """A server that sends no Date is read up to this machine's clock, which is said once."""
    with living(Story(evenly(250), 0, 100, (100,), server=(("date_header", False),))) as world:
        result = run(world)
        assert result.records == 250
        assert result.upper == from_epoch(NOON)
    assert sum("no Date header" in entry.getMessage() for entry in caplog.records) == 1


class Scripted:
    """A session that gives prepared answers to pages."""

    def __init__(self, body: Any) -> None:
        from tap_jetti.client.server_clock import ServerClock  # noqa: PLC0415

        self.server_clock = ServerClock()
        self.server_clock.observe("Sun, 13 Sep 2020 12:26:40 GMT", received=0)
        self.body = body

    def get(self, path: str, query: Any = None, *, decode: Any = None, retry: bool = True) -> Any:
        """Answer."""
        import json  # noqa: PLC0415

        from tap_jetti.client.session import Response  # noqa: PLC0415

        content = json.dumps({"count": 0} if "count" in path else self.body).encode()
        return Response(200, decode(content) if decode else json.loads(content), len(content), 0.0, 0.0)


GOOD = {"id": 1, "updatedAt": "2020-01-01T00:00:00.000Z"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"rows": []}, "expected a JSON array, got dict"),
        (None, "expected a JSON array, got NoneType"),
        ("text", "expected a JSON array, got str"),
        ([1], "expected each row to be an object, got int"),
        ([[]], "expected each row to be an object, got list"),
        ([{"updatedAt": GOOD["updatedAt"]}], "expected an integer id, got NoneType"),
        ([{**GOOD, "id": "x1"}], "expected an integer id, got str"),
        ([{**GOOD, "id": True}], "expected an integer id, got bool"),
        ([{**GOOD, "id": "9" * 5000}], "expected an integer id, got str"),
        ([{**GOOD, "id": "²"}], "expected an integer id, got str"),
        ([{**GOOD, "id": 10**30}], "expected an integer id of 64 bits"),
        ([{"id": 1}], "expected a date as updatedAt"),
        ([{**GOOD, "updatedAt": None}], "expected a date as updatedAt"),
        ([{**GOOD, "updatedAt": "yesterday"}], "expected a date as updatedAt"),
        ([{**GOOD, "updatedAt": 1577836800}], "expected a date as updatedAt"),
        ([{**GOOD, "updatedAt": "2020-99-99T99:99:99.999Z"}], "expected a date as updatedAt"),
        ([GOOD, {**GOOD, "id": 2, "updatedAt": "2019-01-01T00:00:00.000Z"}], "expected rows ordered by updatedAt"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_page_that_is_none_is_an_error(body: Any, message: str, clock: VirtualClock) -> None:
    """A page that is no list of rows with an id and a date is asked for twice, and then named."""
    read = IncrementalRead(
        source(Scripted(body), 100),
        start=None,
        end=None,
        bookmark_lag=10,
        verify_counts="auto",
        clock=clock,
        logger=LOGGER,
    )
    with pytest.raises(UnreliableResponseError, match=message):
        list(read.pages())


def test_ids_and_dates_in_other_forms_are_brought_to_the_normal_one(clock: VirtualClock) -> None:
    """An id as text and a date with an offset are read like any other."""
    body = [{"id": "7", "updatedAt": "2020-01-01T02:00:00.123456+02:00"}]
    read = IncrementalRead(
        source(Scripted(body), 100),
        start=None,
        end=None,
        bookmark_lag=10,
        verify_counts="never",
        clock=clock,
        logger=LOGGER,
    )
    first = next(read.pages())
    assert first.rows == [{"id": 7, "updatedAt": "2020-01-01T00:00:00.123Z"}]


@pytest.mark.parametrize("mode", ["never", "many", "always"])
def test_a_refused_list_of_fields_costs_one_request(
    mode: str, sandboxes: Callable[..., Sandbox], clock: VirtualClock, sessions: Callable[..., Any]
) -> None:
    """Where the server refuses a list of fields, all fields are read, and the list is not sent again."""
    from tap_jetti.facts import resources  # noqa: PLC0415

    sandbox = sandboxes(refuse_attributes=mode)
    sandbox.replace(RESOURCE, [{"id": n, "updatedAt": "2020-01-01T00:00:00Z"} for n in range(1, 251)])
    wanted = sorted(resources.schema(RESOURCE)["properties"])[:40]
    pages = ResourcePages(
        sessions(sandbox),
        RESOURCE,
        projection=Projection(sorted({*wanted, "id", "updatedAt"})),
        profile=fixed(100),
        logger=LOGGER,
    )
    read = IdRead(pages, verify_counts="auto", logger=LOGGER)
    assert sum(len(page) for page in read.pages()) == 250
    asked = [entry for entry in sandbox.requests if "attributes" in entry.query]
    assert len(asked) == (1 if mode == "always" else 3)


def test_a_list_of_fields_that_makes_the_url_too_long_is_not_sent(
    sandboxes: Callable[..., Sandbox], sessions: Callable[..., Any]
) -> None:
    """A list of fields of more than 6,000 characters is left out; one that the server finds too long, too."""
    sandbox = sandboxes(refuse_long_url=1000)
    sandbox.replace(RESOURCE, [{"id": n, "updatedAt": "2020-01-01T00:00:00Z"} for n in range(1, 251)])
    for fields in (["id"] * 600, ["id"] * 100):
        sandbox.requests.clear()
        pages = ResourcePages(
            sessions(sandbox),
            RESOURCE,
            projection=Projection(fields),
            profile=fixed(100),
            logger=LOGGER,
        )
        assert sum(len(page) for page in IdRead(pages, verify_counts="auto", logger=LOGGER).pages()) == 250
        assert sum(entry.status == 414 for entry in sandbox.requests) == (len(fields) == 100)


class RefusingLargePages:
    """A session over a sandbox on which pages above some size fail in some way."""

    def __init__(self, session: Any, above: int, answer: Callable[[], Any]) -> None:
        self._session = session
        self._above = above
        self._answer = answer
        self.server_clock = session.server_clock
        self.sent = 0

    def get(self, path: str, query: Any = None, **named: Any) -> Any:
        """Read, unless too many rows are asked for."""
        self.sent += 1
        if int(dict(query).get("limit", 0)) > self._above:
            found = self._answer()
            if isinstance(found, Exception):
                raise found
            named["decode"](found)
        return self._session.get(path, query, **named)


def refusal() -> ClientError:
    """What a server says that allows no such limit."""
    return ClientError("The request was refused", method="GET", path="/api/sales.json", status=400)


def failure() -> ServerError:
    """What a server says that fails on it."""
    return ServerError("Server error", method="GET", path="/api/sales.json", status=500)


@pytest.mark.parametrize(
    ("above", "answer", "most"),
    [
        (100, refusal, 204 + 3),
        (250, failure, 20_000 / 249 + 5 + 3),
        (100, lambda: b'{"error": "limit"}', 204 + 3),
    ],
    ids=["400 above 100", "500 above 250", "no page above 100"],
)
def test_a_page_size_that_fails_costs_three_requests_at_most(above: int, answer: Any, most: float) -> None:
    """A larger page that fails is a request more, and the largest size that works is used from then on."""
    with living(Story((), 0, 100, (10_000,))) as world:
        world.sandbox.replace(RESOURCE, evenly_dated(20_000))
        with contextlib.closing(unlimited_session(world.sandbox, world.clock)) as session:
            refusing = RefusingLargePages(session, above, answer)
            read = IncrementalRead(
                source(refusing, 100, ServerProfile()),
                start=None,
                end=None,
                bookmark_lag=LAG,
                verify_counts="auto",
                clock=world.clock,
                logger=LOGGER,
            )
            assert sum(len(page) for page in read.pages()) == 20_000
            assert refusing.sent <= most
