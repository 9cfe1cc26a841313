import pytest
import requests

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


def test_share_of_faults(start):
    """Faults occur at random, and the other requests succeed."""
    client = start(faults=0.5, fault_kinds=("503",))
    statuses = [client.get("sales.json").status_code for _ in range(60)]
    assert set(statuses) == {200, 503}
