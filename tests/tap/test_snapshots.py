"""Snapshots of ids: by them a warehouse finds deleted rows, so an id that is missing deletes a row that exists."""

from __future__ import annotations

import json
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runs import Commands, Output, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.sandbox import Sandbox


def fill(sandbox: Sandbox, stream: str, count: int) -> None:
    """So many rows of 2020."""
    date = "2020-01-01T00:00:00.000Z"
    sandbox.replace(stream, [{"id": n, "createdAt": date, "updatedAt": date} for n in range(1, count + 1)])


def test_a_row_created_after_a_prefetched_snapshot_is_not_taken_for_deleted(
    sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """The snapshot is as old as its first page, not as the moment in which it is written."""
    sandbox = sandboxes(page_cap=100, latency=0.1)
    fill(sandbox, "products", 2500)
    fill(sandbox, "sales", 50)
    creating = threading.Timer(0.4, sandbox.upsert, ["sales", {}])

    def create_after_the_snapshot(_number: int, _method: str, path: str) -> None:
        if path.endswith("sales/count.json") and not creating.is_alive() and not creating.finished.is_set():
            creating.start()

    sandbox.on_request = create_after_the_snapshot
    config = config_for(sandbox, rate_limit=20, rate_limit_burst=1, id_snapshots=["sales"], bookmark_lag=0)
    output = commands.run(config, catalog=catalog_of("products", "sales_ids", config=config))
    creating.join()
    assert output.code == 0, output.errors
    created = next(row for row in sandbox.rows("sales") if row["id"] == 51)["createdAt"]
    assert 51 in output.ids("sales_ids") or created > output.records("sales_ids")[0]["snapshotAt"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("maps", [{}, {"sales_ids": {"twice": "id * 2"}}], ids=["pages", "stream maps"])
def test_a_snapshot_leaves_whole_though_a_signal_comes(
    number: signal.Signals, maps: dict[str, Any], sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """A signal while a snapshot is written ends the run when all its ids are out; what follows does not begin."""
    sandbox = sandboxes()
    fill(sandbox, "sales", 12_000)
    fill(sandbox, "vendors", 10)
    config = config_for(sandbox, id_snapshots=["sales", "vendors"], stream_maps=maps)
    catalog = catalog_of("sales_ids", "vendors_ids", config={**config, "stream_maps": {}})
    with commands.start(config, catalog=catalog) as process:
        assert process.stdout
        assert process.stderr
        lines: list[str] = []
        while not lines or '"RECORD"' not in lines[-1]:
            lines.append(process.stdout.readline())
        process.send_signal(number)
        for line in process.stderr:
            if "Received" in line:
                break
        lines += process.stdout.read().splitlines()
        process.stderr.read()
    output = Output([line for line in lines if line.strip()], code=process.returncode)
    assert process.returncode == 128 + number
    assert output.ids("sales_ids") == list(range(1, 12_001))
    assert not output.ids("vendors_ids")


def test_a_snapshot_of_no_rows_is_named(sandboxes: Callable[..., Sandbox], commands: Commands) -> None:
    """An empty resource has no record that could carry a new snapshotAt, and the log says what that means."""
    sandbox = sandboxes()
    config = config_for(sandbox, id_snapshots=["sales"])
    output = commands.run(config, catalog=catalog_of("sales_ids", config=config))
    assert (output.code, output.records()) == (0, [])
    assert "sales_ids is empty" in output.errors


@pytest.mark.parametrize("fault", ["no count", "failing count", "failing page"])
def test_a_snapshot_that_cannot_be_proven_does_not_leave(
    fault: str, sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """Without a count that proves it, or with a page that fails, no id leaves and the run ends with 1."""
    sandbox = sandboxes(page_cap=100, **({"count": "none"} if fault == "no count" else {}))
    fill(sandbox, "sales", 1000)
    fill(sandbox, "vendors", 5)
    reader = sandbox._application._routes._reader
    for name in ("count", "page"):
        real = getattr(reader, name)

        def answer(resource: str, query: Any, name: str = name, real: Any = real) -> Any:
            found = real(resource, query)
            is_late = name == "count" or "501" in str(query)
            if resource == "sales" and fault == f"failing {name}" and is_late:
                return type(found)(500, json.dumps({"title": "api.sales.broken", "status": 500}).encode())
            return found

        setattr(reader, name, answer)
    config = config_for(sandbox, id_snapshots=["sales"], retry_seconds=0)
    output = commands.run(config, catalog=catalog_of("sales_ids", "vendors", config=config))
    assert output.code == (75 if fault == "failing page" else 1), output.errors
    assert output.ids("sales_ids") == []
    assert output.ids("vendors") == [1, 2, 3, 4, 5]
    assert "sales_ids" in output.errors
