import gc
import socket
import sys
import threading
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import requests

from tap_jetti.sandbox import Options, Sandbox


@pytest.fixture
def clock():
    """A clock that only moves when a test moves it."""

    class Clock:
        now = 1_700_000_000.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def client(start, clock):
    """A client of a sandbox with the rows that the tests need."""
    client = start(clock=clock)
    client.sandbox.replace("sales", [{"id": number, "updatedAt": "2023-01-01", "notes": "old"} for number in (1, 2)])
    return client


def test_stops_cleanly():
    """After the context no thread runs and nothing listens on the port."""
    before = threading.active_count()
    with Sandbox(Options(empty=True)) as sandbox:
        url = sandbox.api_url
    assert threading.active_count() == before
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=1)


def test_stops_with_open_connections():
    """An idle keep-alive connection does not keep the sandbox from stopping."""
    session = requests.Session()
    with Sandbox(Options(empty=True)) as sandbox:
        session.get(sandbox.url + "_sandbox/requests", timeout=5)
    assert "jetti-sandbox" not in {thread.name for thread in threading.enumerate()}
    session.close()


def test_stops_while_connections_are_made(monkeypatch):
    """Connections that are accepted while the sandbox stops are closed like all others."""
    unraised = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: unraised.append(one.exc_value))
    for _ in range(60):
        with ExitStack() as clients:
            with Sandbox(Options(empty=True)) as sandbox:
                address = ("127.0.0.1", urlsplit(sandbox.url).port or 0)
                for _ in range(5):
                    clients.enter_context(socket.create_connection(address))
            gc.collect()
    assert unraised == []


def test_taken_port():
    """A port in use is an OSError, and nothing is left open."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        sandbox = Sandbox(Options(empty=True, port=other.getsockname()[1]))
        with pytest.raises(OSError, match="in use"):
            sandbox.__enter__()


def test_upsert_merges(client):
    """An upsert without updatedAt gets the server's time, and keeps the other fields of the row."""
    client.sandbox.upsert("sales", {"id": 2, "status": "draft"})
    row = client.read("sales/2.json")
    assert (row["notes"], row["status"], row["updatedAt"]) == ("old", "draft", "2023-11-14T22:13:20.000Z")
    assert client.sandbox.upsert("sales", {"status": "draft"})["id"] == 3


def test_late_commit(client, clock):
    """A late commit has the updatedAt of the write and is not visible before the commit."""
    client.sandbox.upsert("sales", {"id": 1, "notes": "new"}, visible_after=5)
    client.sandbox.upsert("sales", {"id": 9}, visible_after=5)
    assert [row["notes"] for row in client.read("sales.json?order[attribute]=id")] == ["old", "old"]
    clock.now += 5
    rows = client.read("sales.json?where[updatedAt][$gte]=2023-11-14&order[attribute]=id")
    assert [(row["id"], row["updatedAt"]) for row in rows] == [
        (1, "2023-11-14T22:13:20.000Z"),
        (9, "2023-11-14T22:13:20.000Z"),
    ]


def test_late_commit_loses_to_a_later_change(client, clock):
    """A change that is written before a late commit of the same row wins."""
    client.sandbox.upsert("sales", {"id": 1, "notes": "late"}, visible_after=5)
    clock.now += 1
    client.sandbox.upsert("sales", {"id": 1, "notes": "later"})
    client.sandbox.upsert("sales", {"id": 2, "notes": "late"}, visible_after=5)
    client.sandbox.delete("sales", 2)
    clock.now += 60
    assert [row["notes"] for row in client.sandbox.rows("sales")] == ["later"]


def test_touch(client):
    """A mass update gives many rows the same updatedAt."""
    assert client.sandbox.touch("sales", [1, 2, 99], "2024-05-05T05:05:05.123456Z") == 2
    assert {row["updatedAt"] for row in client.sandbox.rows("sales")} == {"2024-05-05T05:05:05.123Z"}
    assert client.ids("where[updatedAt][$lte]=2024-05-05T05:05:05.123Z") == []
    client.sandbox.touch("sales", [1])
    assert client.read("sales/1.json")["updatedAt"] == "2023-11-14T22:13:20.000Z"


def test_delete(client):
    """A deleted row is gone, and its id is not reused."""
    assert client.sandbox.delete("sales", 2)
    assert not client.sandbox.delete("sales", 2)
    assert client.get("sales/2.json").status_code == 404
    assert client.sandbox.upsert("sales", {})["id"] == 3


def test_on_request(client):
    """The callback runs before the request is processed and may change rows."""
    calls = []

    def callback(number, method, path):
        calls.append((number, method, path))
        client.sandbox.upsert("sales", {"id": 10 + number})
        client.sandbox.touch("sales", [1])
        client.sandbox.delete("sales", 2)

    client.sandbox.on_request = callback
    assert client.ids("order[attribute]=id") == [1, 11]
    client.sandbox.on_request = None
    assert calls == [(1, "GET", "/api/sales.json")]
    assert client.ids("order[attribute]=id") == [1, 11]


def test_clock_skew(client):
    """The server's clock sets updatedAt and the Date header."""
    client.sandbox.options.clock_skew = 3600
    assert client.sandbox.now() == 1_700_003_600.0
    assert client.sandbox.upsert("sales", {"id": 1})["updatedAt"] == "2023-11-14T23:13:20.000Z"
    assert client.get("sales.json").headers["Date"] == "Tue, 14 Nov 2023 23:13:20 GMT"


def test_changes_from_many_threads(start):
    """Rows may be written by many threads while they are read."""
    client = start()

    def write(offset):
        for number in range(50):
            client.sandbox.upsert("sales", {"id": offset + number})

    threads = [threading.Thread(target=write, args=(offset,)) for offset in (1, 101, 201)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        client.read("sales.json?order[attribute]=updatedAt")
    assert client.sandbox.count("sales") == 150


def test_database_file(tmp_path):
    """A database file keeps its rows, late commits included."""
    options = Options(empty=True, database=str(tmp_path / "rows.sqlite"))
    with Sandbox(options) as sandbox:
        sandbox.upsert("sales", {"id": 7, "externalId": "S7"})
        sandbox.upsert("sales", {"id": 8}, visible_after=1e6)
    with Sandbox(options) as sandbox:
        assert [row["id"] for row in sandbox.rows("sales")] == [7, 8]
        assert sandbox.upsert("sales", {})["id"] == 9


@pytest.mark.parametrize(
    "rows",
    [pytest.param([{"updatedAt": None}], id="no-id"), pytest.param([{"id": 1, "updatedAt": "soon"}], id="bad-date")],
)
def test_bad_rows(client, rows):
    """Invalid rows are an error, and the old rows stay."""
    with pytest.raises(ValueError, match=r"id|date"):
        client.sandbox.replace("sales", rows)
    assert client.sandbox.count("sales") == 2


def test_unknown_names(client):
    """Unknown resources, options and choices are errors that say what is expected."""
    with pytest.raises(ValueError, match="snake_case"):
        client.sandbox.rows("sale-items")
    with pytest.raises(ValueError, match="page or offset"):
        client.sandbox.options.from_means = "row"
    with pytest.raises(ValueError, match="no option 'latenci'"):
        client.sandbox.options.latenci = 1
    with Sandbox(Options(empty=True)) as stopped:
        pass
    with pytest.raises(RuntimeError, match="context manager"):
        _ = stopped.url


@pytest.mark.parametrize("late_commits", [0.0, 0.01])
def test_churn(start, late_commits):
    """Churn updates, adds and deletes rows while the sandbox runs."""
    client = start(churn=2000.0, late_commits=late_commits)
    client.sandbox.replace("sales", [{"id": number, "updatedAt": "2023-01-01"} for number in range(1, 200)])
    changed: set[int] = set()
    while not (200 in changed and len(changed) > 100 and 0 in changed):
        present = {row["id"] for row in client.sandbox.rows("sales")}
        changed |= {row["id"] for row in client.sandbox.rows("sales") if row["updatedAt"] > "2023-01-02"}
        changed |= {0} if set(range(1, 200)) - present else set()
        changed |= {200} if max(present) >= 200 else set()
