import pytest


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
    return start(rate=2.0, clock=clock)


def statuses(client, methods):
    """The statuses of requests sent one after the other."""
    path = {"GET": "sales.json", "POST": "dropship-providers.json"}
    return [client.request(method, path[method], {"name": "Provider"}).status_code for method in methods]


@pytest.mark.parametrize(
    ("rule", "methods", "expected"),
    [
        pytest.param("one", ["GET"] * 3, [200, 200, 429], id="gets"),
        pytest.param("one", ["POST", "GET"], [200, 429], id="a-write-fills-the-bucket"),
        pytest.param("one", ["GET", "POST"], [200, 429], id="a-write-needs-an-empty-bucket"),
        pytest.param("separate", ["GET", "GET", "POST", "GET", "POST"], [200, 200, 200, 429, 429], id="separate"),
    ],
)
def test_bucket(client, rule, methods, expected):
    """A GET costs one unit, a write two, in one bucket or in separate ones."""
    client.sandbox.options.bucket_rule = rule
    assert statuses(client, methods) == expected
    assert len(client.sandbox.requests.refused) == expected.count(429)


def test_bucket_drains(client, clock):
    """The bucket drains two units per second; a refused request adds none."""
    assert statuses(client, ["GET"] * 4) == [200, 200, 429, 429]
    clock.now += 0.5
    assert statuses(client, ["GET"] * 2) == [200, 429]
    clock.now += 60
    assert statuses(client, ["GET"] * 3) == [200, 200, 429]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param("none", None, id="none"),
        pytest.param("seconds", "1", id="seconds"),
        pytest.param("date", "Tue, 14 Nov 2023 22:13:21 GMT", id="date"),
        pytest.param("garbage", "soon", id="garbage"),
    ],
)
def test_retry_after(client, mode, expected):
    """Retry-After has the form that the option sets."""
    client.sandbox.options.retry_after = mode
    statuses(client, ["GET", "GET"])
    response = client.get("sales.json")
    assert response.status_code == 429
    assert response.headers.get("Retry-After") == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param("seconds", "3600", id="seconds"),
        pytest.param("date", "Tue, 14 Nov 2023 23:13:20 GMT", id="date"),
    ],
)
def test_retry_after_of_any_length(client, mode, expected):
    """Retry-After can ask for any time."""
    client.sandbox.options.retry_after = mode
    client.sandbox.options.retry_after_seconds = 3600.0
    statuses(client, ["GET", "GET"])
    assert client.get("sales.json").headers["Retry-After"] == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param("x-ratelimit", {"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "1"}, id="x-ratelimit"),
        pytest.param("ratelimit", {"RateLimit": '"default";r=1;t=1'}, id="ratelimit"),
        pytest.param("call-limit", {"X-Api-Call-Limit": "1/2"}, id="call-limit"),
    ],
)
def test_headers(client, mode, expected):
    """The rate limit headers have the form that the option sets."""
    client.sandbox.options.rate_limit_headers = mode
    headers = client.get("sales.json").headers
    assert {name: headers[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param("constant", [("2", "0"), ("2", "0")], id="constant"),
        pytest.param("daily-quota", [("10000", "9999"), ("10000", "9998")], id="daily-quota"),
        pytest.param("minute-quota", [("120", "119"), ("120", "118")], id="minute-quota"),
        pytest.param("garbage", [("many", "-1"), ("many", "-1")], id="garbage"),
    ],
)
def test_headers_that_lie(client, mode, expected):
    """The headers can show values other than the state of the bucket."""
    client.sandbox.options.rate_limit_headers = mode
    found = [client.get("sales.json").headers for _ in expected]
    assert [(headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) for headers in found] == expected


def test_another_system_takes_its_part(client, clock):
    """Another client uses about as many units per second as the option sets, and can fill the bucket."""
    client.sandbox.options.foreign_load = 0.5
    client.sandbox.options.capacity = 1_000.0
    client.sandbox.options.rate = 0.001
    client.sandbox.options.rate_limit_headers = "call-limit"
    for _ in range(10):
        clock.now += 50
        used = int(client.get("sales.json").headers["X-Api-Call-Limit"].split("/")[0])
    assert used == pytest.approx(10 * 50 * 0.5 + 10, rel=0.25)
    client.sandbox.options.capacity = 100.0
    assert client.get("sales.json").status_code == 429


def test_request_log(client, clock):
    """The request log has all requests with their parsed bodies, and computes the most units in a window."""
    statuses(client, ["POST"])
    clock.now += 1
    statuses(client, ["GET"])
    requests = client.sandbox.requests
    assert [(entry.method, entry.path, entry.status, entry.cost) for entry in requests] == [
        ("POST", "/api/dropship-providers.json", 200, 2.0),
        ("GET", "/api/sales.json", 200, 1.0),
    ]
    assert requests[0].body == {"name": "Provider"}
    assert (requests.max_units_in_window(1.0), requests.max_units_in_window(1.5)) == (2.0, 3.0)
    assert (len(requests.gets), len(requests.writes), len(requests.refused)) == (1, 1, 0)
    requests.clear()
    assert len(requests) == 0
