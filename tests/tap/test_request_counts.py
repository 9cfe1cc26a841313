"""How many GETs a run takes: as few as prove that nothing is missing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from runs import config_for, run_here
from tap_jetti.facts.timestamps import from_epoch, later

if TYPE_CHECKING:
    from collections.abc import Callable

    from runs import Output
    from tap_jetti.sandbox import Sandbox

STREAMS = ("sales", "products", "variants")
LOADED = 400
LONG = 3000


def row(row_id: int, at: float) -> dict[str, Any]:
    """A row that was changed at this time, in seconds since the epoch."""
    return {"id": row_id, "updatedAt": from_epoch(at)}


def fill(sandbox: Sandbox, stream: str, rows: int) -> None:
    """Rows one second apart, the last of them a week ago."""
    first = time.time() - 7 * 86400 - rows
    sandbox.replace(stream, [row(number + 1, first + number) for number in range(rows)])


def aged(state: dict[str, Any], days: int) -> dict[str, Any]:
    """A state whose counts are so many days older than they are."""
    for bookmark in state["bookmarks"].values():
        profile = bookmark["server_profile"]
        profile["proven_at"] = later(profile["proven_at"], milliseconds=-days * 86400 * 1000)
    return state


def gets_of(
    sandbox: Sandbox, state: dict[str, Any] | None = None, streams: tuple[str, ...] = STREAMS
) -> tuple[int, Output]:
    """The GETs of a run that must succeed, and its output.

    Settings are the default ones, but nothing is prefetched: that depends on how busy the machine is.
    """
    sandbox.requests.clear()
    output = run_here(config_for(sandbox, concurrency=1), streams=streams, state=state)
    assert output.code == 0
    return len(sandbox.requests), output


class TestNights:
    """Runs that go on from the state of a first load, on a server that caps pages at 100 rows."""

    @pytest.fixture
    def loaded(self, sandboxes: Callable[..., Sandbox]) -> tuple[Sandbox, dict[str, Any]]:
        """A server, and the state of the first load, a day ago."""
        sandbox = sandboxes()
        for stream in STREAMS:
            fill(sandbox, stream, LOADED)
        gets, output = gets_of(sandbox)
        assert gets == len(STREAMS) * (5 + 1)  # pages and a count
        assert output.counts() == dict.fromkeys(STREAMS, LOADED)
        return sandbox, aged(output.state, days=1)

    @pytest.mark.parametrize("changed", [0, 5, 60])
    def test_a_night_takes_one_get_per_stream(self, loaded: tuple[Sandbox, dict[str, Any]], changed: int) -> None:
        """A page smaller than the largest of the stream is its end, and no row is given again."""
        sandbox, state = loaded
        for stream in STREAMS:
            for number in range(changed):
                sandbox.upsert(stream, row(number + 1, time.time() - 3600 + number))
        gets, output = gets_of(sandbox, state)
        assert gets == len(STREAMS)
        assert len(output.records()) == changed * len(STREAMS)

    def test_a_night_with_proofs_takes_two(self, loaded: tuple[Sandbox, dict[str, Any]]) -> None:
        """After a week each stream is counted again."""
        sandbox, state = loaded
        for stream in STREAMS:
            sandbox.touch(stream, range(1, 61), from_epoch(time.time() - 3600))
        gets, output = gets_of(sandbox, aged(state, days=7))
        assert gets == 2 * len(STREAMS)
        assert len(output.records()) == 60 * len(STREAMS)


class TestPages:
    """One long stream, by what the server does with large pages. Of each first load one GET is the count."""

    @pytest.mark.parametrize(
        ("options", "most"),
        [
            pytest.param({"page_cap": 100_000}, 1 + 4 + 2, id="any page"),  # 100, 200, 400, 800, then 1,000 twice
            pytest.param({"page_cap": 250}, 1 + 12 + 3, id="capped at 250"),
            pytest.param({"page_cap": 100}, 1 + 31 + 3, id="capped at 100"),
            pytest.param({"page_cap": 100_000, "refuse_limit": 100}, 1 + 31 + 3, id="refused above 100"),
            pytest.param(
                {"page_cap": 100_000, "refuse_limit": 250, "refuse_limit_status": "500"}, 1 + 16 + 3, id="500 above 250"
            ),
        ],
    )
    def test_first_load(self, sandboxes: Callable[..., Sandbox], options: dict[str, Any], most: int) -> None:
        """A size that fails costs three GETs at most."""
        sandbox = sandboxes(**options)
        fill(sandbox, "sales", LONG)
        gets, output = gets_of(sandbox, streams=("sales",))
        assert output.ids("sales") == list(range(1, LONG + 1))
        assert gets <= most

    @pytest.mark.parametrize("status", ["400", "500"])
    @pytest.mark.parametrize("most", [99, 50])
    def test_a_server_that_refuses_100_rows_is_read_by_50(
        self, sandboxes: Callable[..., Sandbox], most: int, status: str
    ) -> None:
        """The largest page that any client was seen to ask for may be too large, the default one is not."""
        sandbox = sandboxes(page_cap=100_000, refuse_limit=most, refuse_limit_status=status)
        fill(sandbox, "sales", 500)
        fill(sandbox, "products", 500)
        gets, output = gets_of(sandbox, streams=("sales", "products"))
        assert output.ids("sales") == output.ids("products") == list(range(1, 501))
        assert gets <= 2 * (500 // 49 + 2) + 6
        sandbox.touch("sales", range(1, 301), from_epoch(time.time() - 3600))
        gets_of(sandbox, output.state, streams=("sales",))
        assert {entry.status for entry in sandbox.requests} == {200}

    def test_a_refused_size_is_not_asked_for_again(self, sandboxes: Callable[..., Sandbox]) -> None:
        """The bookmark keeps it, so the next long read does without the requests that failed."""
        sandbox = sandboxes(page_cap=100_000, refuse_limit=100)
        fill(sandbox, "sales", 500)
        _, output = gets_of(sandbox, streams=("sales",))
        assert any(entry.status == 400 for entry in sandbox.requests)
        sandbox.touch("sales", range(1, 501), from_epoch(time.time() - 3600))
        gets_of(sandbox, output.state, streams=("sales",))
        assert not any(entry.status == 400 for entry in sandbox.requests)

    def test_a_passing_503_pins_nothing(self, sandboxes: Callable[..., Sandbox]) -> None:
        """A larger page that fails once is asked for again, and no size is remembered as refused."""
        sandbox = sandboxes(page_cap=100_000, fault_kinds=("503",))
        fill(sandbox, "sales", LONG)

        def fail(number: int, *_: object) -> None:
            sandbox.options.faults = float(number == 4)  # after the count and pages of 100 and 200 rows

        sandbox.on_request = fail
        gets, output = gets_of(sandbox, streams=("sales",))
        assert [entry.status for entry in sandbox.requests].count(503) == 1
        assert output.ids("sales") == list(range(1, LONG + 1))
        assert gets <= 7 + 3
        assert output.state["bookmarks"]["sales"]["server_profile"]["refused_page_size"] is None
