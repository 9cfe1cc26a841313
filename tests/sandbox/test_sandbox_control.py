import json
import os
import signal
import subprocess
import sys

import pytest
import requests


@pytest.fixture
def client(start):
    """A client of a sandbox with the rows that the tests need."""
    client = start()
    client.sandbox.replace("sales", [{"id": 1, "updatedAt": "2023-01-01"}])
    return client


def control(client, method, path, body=None):
    """The status and the JSON of a control call."""
    response = requests.request(method, f"{client.sandbox.url}_sandbox/{path}", json=body, timeout=10)
    return response.status_code, response.json()


def test_counts_and_rows(client):
    """Reading counts and rows needs no token, takes no units, and is not in the request log."""
    assert control(client, "GET", "counts")[1]["sales"] == 1
    assert control(client, "GET", "rows/sales")[1] == client.sandbox.rows("sales")
    assert len(client.sandbox.requests) == 0


def test_request_log(client):
    """The summary counts the requests that arrived since a time, and the request log can be cleared."""
    client.read("sales.json")
    summary = control(client, "GET", "requests")[1]
    assert (summary["requests"], summary["gets"], summary["refused"], summary["units"]) == (1, 1, 0, 1.0)
    assert control(client, "GET", f"requests?since={client.sandbox.now() + 60}")[1]["requests"] == 0
    control(client, "POST", "reset-requests")
    assert control(client, "GET", "requests")[1]["requests"] == 0


def test_touch(client):
    """A touch changes the rows with the given ids, by default all rows of a resource."""
    assert control(client, "POST", "touch", {"resource": "sales", "at": "2024-01-01"}) == (200, {"touched": 1})
    assert client.sandbox.rows("sales")[0]["updatedAt"] == "2024-01-01T00:00:00.000Z"
    assert control(client, "POST", "touch", {"resource": "sales", "ids": [9]}) == (200, {"touched": 0})


def test_options(client):
    """A changed option applies to the next request."""
    assert control(client, "POST", "options", {"page_cap": 1, "forbidden": ["sales"]})[0] == 200
    assert client.get("sales.json").status_code == 403
    assert client.sandbox.options.page_cap == 1


def test_settle(client):
    """Queued inbound records are applied at once, and the log says which were not."""
    client.inbound("POST", "inventory-feeds/parse-webhooks.json", [], "wrong")
    assert control(client, "POST", "settle") == (200, {"log": ["The webhook hash is unknown."]})


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("GET", "nonsense", None, 404, id="call"),
        pytest.param("GET", "rows/nonsense", None, 400, id="resource"),
        pytest.param("POST", "options", {"nonsense": 1}, 400, id="option"),
        pytest.param("POST", "options", {"from_means": "row"}, 400, id="choice"),
    ],
)
def test_refused(client, method, path, body, status):
    """An invalid control call is answered with an error that says why."""
    found, response = control(client, method, path, body)
    assert found == status
    assert response["error"]


def run(*arguments, **named):
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "tap_jetti.cli", *arguments], stderr=subprocess.PIPE, text=True, **named
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command(number):
    """The command prints the settings for its clients and stops cleanly on a signal."""
    with run("sandbox", "--port", "0", "--empty", "--rate", "0", "--fault-kinds", "503") as process:
        process.stderr.readline()
        config = json.loads(process.stderr.readline().partition(":")[2])
        headers = {"Authorization": f"Bearer {config['api_token']}"}
        assert requests.get(config["api_url"] + "sales.json", headers=headers, timeout=10).json() == []
        process.send_signal(number)
        assert "has stopped" in process.stderr.read()
    assert process.returncode == 0


def test_command_without_the_extra(tmp_path):
    """Without uvicorn the command says in one line what to install."""
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError(name='uvicorn')")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    with run("sandbox", env={**os.environ, "PYTHONPATH": path}) as process:
        assert process.stderr.read() == (
            "`jetti sandbox` needs uvicorn. Install it with: pip install 'tap-jetti[sandbox]'\n"
        )
    assert process.returncode == 1


def test_command_refuses_unknown_values():
    """A value that is not among the choices is a usage error."""
    with run("sandbox", "--fault-kinds", "nonsense") as process:
        assert "expected 500 or" in process.stderr.read()
    assert process.returncode == 2
