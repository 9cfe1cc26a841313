import socket

import pytest
import requests

from tap_jetti.sandbox.options import COSTLY_FAULTS, FAULT_KINDS, Options

BODY = {"name": "Provider"}


def post(client):
    """The response of a write."""
    return client.request("POST", "dropship-providers.json", BODY)


@pytest.mark.parametrize(
    ("kind", "status", "content"),
    [
        pytest.param("500", 500, "Internal", id="500"),
        pytest.param("502-html", 502, "<html>", id="502-html"),
        pytest.param("503", 503, "Unavailable", id="503"),
        pytest.param("429", 429, "rate_limit", id="429"),
        pytest.param("html-200", 200, "<html>", id="html-200"),
        pytest.param("problem-500", 500, '"title":"api.', id="problem-500"),
    ],
)
def test_answered_fault(start, kind, status, content):
    """A fault with a response does not process the request."""
    client = start(faults=1.0, fault_kinds=(kind,))
    response = post(client)
    assert (response.status_code, content in response.text) == (status, True)
    assert client.sandbox.count("dropship_providers") == 0


@pytest.mark.parametrize(("kind", "rows"), [("reset-before", 0), ("reset-after", 1)])
def test_reset(start, kind, rows):
    """A reset closes the connection without a response, before or after the request is processed."""
    client = start(faults=1.0, fault_kinds=(kind,))
    with pytest.raises(requests.ConnectionError):
        post(client)
    assert client.sandbox.count("dropship_providers") == rows
    assert [entry.status for entry in client.sandbox.requests] == [0]


def test_truncated(start):
    """A truncated response ends in the middle of its body, after the request is processed."""
    client = start(faults=1.0, fault_kinds=("truncated",))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        post(client)
    assert client.sandbox.count("dropship_providers") == 1


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"faults": 1.0, "fault_kinds": ("stall",), "stall_seconds": 60.0}, id="stall"),
        pytest.param({"latency": 60.0}, id="latency"),
        pytest.param({"latency_jitter": 1e9}, id="jitter"),
    ],
)
def test_slow(start, options):
    """A slow request times out in the client, and the sandbox stops without waiting for it."""
    client = start(**options)
    with pytest.raises(requests.ReadTimeout):
        client.session.get(client.sandbox.api_url + "sales.json", timeout=0.05)


@pytest.mark.parametrize("kind", ["drip-head", "drip-body"])
def test_drip(start, kind):
    """A dripping response is complete in the end; a client that leaves and a sandbox that stops do not wait for it."""
    client = start(faults=1.0, fault_kinds=(kind,), drip_seconds=0.001)
    client.sandbox.replace("sales", [{"id": 1, "updatedAt": None, "notes": "x" * 1000}])
    assert [row["id"] for row in client.get("sales.json").json()] == [1]
    client.sandbox.options.drip_seconds = 60.0
    with pytest.raises(requests.RequestException):
        client.session.get(client.sandbox.api_url + "sales.json", timeout=0.05)


def test_bomb(start):
    """A bomb is a small body that decompresses to the bytes of the option."""
    client = start(faults=1.0, fault_kinds=("bomb",), bomb_bytes=3_000_000)
    response = client.get("sales.json")
    assert (response.json(), len(response.content)) == ([], 3_000_000)
    assert int(response.headers["Content-Length"]) < 10_000


def test_interim_responses(start):
    """Interim responses come before the real one, on the same connection."""
    client = start(interim_responses=2)
    address = (client.sandbox.options.host, int(client.sandbox.url.rsplit(":", 1)[1].strip("/")))
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(b"GET /api/sales.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    statuses = [line.split()[1] for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert statuses == [b"103", b"100", b"401"]


def test_costly_faults_are_simulated_only_if_they_are_chosen():
    """By default no fault takes long or much memory."""
    assert set(FAULT_KINDS) - set(Options().fault_kinds) == set(COSTLY_FAULTS)


def test_share_of_faults(start):
    """Faults occur at random, and the other requests succeed."""
    client = start(faults=0.5, fault_kinds=("503",))
    statuses = [client.get("sales.json").status_code for _ in range(60)]
    assert set(statuses) == {200, 503}
