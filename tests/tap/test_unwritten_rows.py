"""A reader can be far ahead of what is written. Nothing that it knows may then stand for rows that were not written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from runs import Commands, catalog_of, config_for, root
from tap_jetti.tap.bookmark import Bookmark

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.sandbox import Sandbox


def rows(count: int, *, tie_from: int | None = None) -> list[dict[str, Any]]:
    """Rows a second apart; from one on they share their date."""
    last = count if tie_from is None else tie_from
    return [
        {"id": n + 1, "updatedAt": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(1.6e9 + min(n, last)))}
        for n in range(count)
    ]


def prefetched(sandboxes: Callable[..., Sandbox], sales: list[dict[str, Any]]) -> Sandbox:
    """A sandbox whose sales are prefetched to their end while products are written."""
    sandbox = sandboxes(page_cap=100, latency=0.05)
    sandbox.replace("products", rows(1500))
    sandbox.replace("sales", sales)
    return sandbox


def test_rows_of_the_last_instant_that_were_not_written_come_in_the_next_run(
    sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """A stream that fails between two pages which share an instant loses none of its rows."""
    sales = rows(105, tie_from=95)  # the second page repeats five rows and brings five more of the same instant
    sales[104]["undocumented"] = 1
    sandbox = prefetched(sandboxes, sales)
    config = config_for(sandbox, rate_limit=1000, unknown_fields="error")
    first = commands.run(config, streams=("products", "sales"))
    assert (first.code, len(first.ids("sales"))) == (1, 100)
    second = commands.run({**config, "unknown_fields": "warn"}, streams=("products", "sales"), state=first.state)
    assert second.code == 0
    assert {*first.ids("sales"), *second.ids("sales")} == set(range(1, 106))


@pytest.mark.parametrize("is_refused", [True, False], ids=["a row that cannot be written", "all rows written"])
def test_no_version_is_activated_of_which_rows_were_not_written(
    is_refused: bool, sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """ACTIVATE_VERSION makes a target delete all other rows: it is not sent if a page could not be written."""
    sales = rows(305)
    if is_refused:
        sales[204]["undocumented"] = 1
    sandbox = prefetched(sandboxes, sales)
    catalog = catalog_of("products", "sales")
    entry = next(one for one in catalog["streams"] if one["stream"] == "sales")
    entry["replication_method"] = root(entry)["forced-replication-method"] = "FULL_TABLE"
    config = config_for(sandbox, rate_limit=1000, unknown_fields="error", emit_activate_version_messages=True)
    output = commands.run(config, catalog=catalog)
    activated = [message["stream"] for message in output.of("ACTIVATE_VERSION")]
    assert (output.code, activated) == ((1, []) if is_refused else (0, ["sales"]))


def test_what_was_learnt_waits_for_the_batch() -> None:
    """While the bookmark is held, a STATE does not hold the ids of rows that are in no batch yet."""

    class State:
        is_flushed = True
        stream_state: dict[str, Any] = {}  # noqa: RUF012 - the form of the SDK's state manager

    bookmark = Bookmark(State())
    bookmark.hold()
    bookmark.learn({"last_ids": [1]})
    assert State.stream_state == {}
    bookmark.release()
    assert State.stream_state == {"server_profile": {"last_ids": [1]}}
