import pytest

ROWS = [
    {
        "id": number,
        "updatedAt": f"2024-01-01T00:00:0{number}.564999Z",
        "saleId": None if number % 2 else 1,
        "channelId": number,
        "externalId": f"S{number}",
        "total": number * 10.5,
        "status": "draft" if number < 3 else "finalized",
        "finalized": number > 2,
        "dateOrdered": f"2024-02-0{number}T00:00:00.000Z",
    }
    for number in range(1, 6)
]
ORDER = "&order[attribute]=id"


@pytest.fixture
def client(start):
    """A client of a sandbox with the rows that the tests need."""
    client = start()
    client.sandbox.replace("sales", ROWS)
    return client


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        pytest.param("where[id]=3", [3], id="equal-id"),
        pytest.param("where[channelId]=3", [3], id="equal-integer"),
        pytest.param("where[externalId]=S4", [4], id="equal-text"),
        pytest.param("where[total]=31.5", [3], id="equal-decimal"),
        pytest.param("where[finalized]=true", [3, 4, 5], id="equal-boolean"),
        pytest.param("where[saleId]=", [1, 3, 5], id="equal-null"),
        pytest.param("where[dateOrdered]=2024-02-02", [2], id="equal-date"),
        pytest.param("where[id][$gte]=4", [4, 5], id="gte"),
        pytest.param("where[id][$lte]=2", [1, 2], id="lte"),
        pytest.param("where[total][$gte]=42&where[total][$lte]=42.0", [4], id="range-decimal"),
        pytest.param("where[dateOrdered][$gte]=2024-02-04T00:00:00Z", [4, 5], id="gte-date"),
        pytest.param("where[dateOrdered][$lte]=2024-02-01T01:00:00%2B01:00", [1], id="lte-offset"),
        pytest.param("where[id][$in][]=1&where[id][$in][]=5", [1, 5], id="in-appended"),
        pytest.param("where[id][$in][0]=1&where[id][$in][1]=5", [1, 5], id="in-indexed"),
        pytest.param("where[saleId][$in][]=&where[id][$lte]=3", [1, 3], id="in-null"),
        pytest.param("where[status][$notIn][]=draft", [3, 4, 5], id="notIn"),
        pytest.param("where[status][$ne]=finalized", [1, 2], id="ne"),
        pytest.param("where[saleId][$ne]=", [2, 4], id="ne-null"),
        pytest.param("where[saleId][$ne]=2", [2, 4], id="ne-value-excludes-null"),
        pytest.param("where%5Bid%5D%5B%24gte%5D=5", [5], id="encoded-brackets"),
        pytest.param("where[id][$gte]=2&where[status]=draft", [2], id="all-are-anded"),
    ],
)
def test_filter(client, where, expected):
    """Each documented operator selects its rows, and count.json counts them."""
    assert client.ids(where + ORDER) == expected
    assert client.read(f"sales/count.json?{where}") == {"count": len(expected)}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param("where[id][$gt]=1", 400, id="operator"),
        pytest.param("where[updatedAt][$gte]=yesterday", 400, id="date"),
        pytest.param("where[channelId]=x", 400, id="integer"),
        pytest.param("where[nonsense]=1", 500, id="field"),
        pytest.param("order[attribute]=nonsense", 500, id="order"),
        pytest.param("attributes[]=nonsense", 500, id="attribute"),
        pytest.param("limit=many", 400, id="limit"),
    ],
)
def test_refused_query(client, query, status):
    """An invalid query is a problem with a dotted title."""
    response = client.get(f"sales.json?{query}")
    body = response.json()
    assert response.status_code == status
    assert body["title"].startswith("api.query")
    assert body["type"] == f"https://problems.jetti.io/details#{body['title']}"
    assert body["status"] == status


def test_dates_compare_at_stored_precision(client):
    """A stored .564999 is returned as .564: $gte on the returned value finds the row, $lte misses it."""
    assert client.read("sales/2.json")["updatedAt"] == "2024-01-01T00:00:02.564Z"
    assert 2 in client.ids("where[updatedAt][$gte]=2024-01-01T00:00:02.564Z")
    assert 2 not in client.ids("where[updatedAt][$lte]=2024-01-01T00:00:02.564Z")
    assert 2 in client.ids("where[updatedAt][$lte]=2024-01-01T00:00:02.565Z")


def test_milliseconds_only(start):
    """Without microseconds the returned value is the stored one."""
    client = start(microseconds=False)
    client.sandbox.replace("sales", ROWS)
    assert 2 in client.ids("where[updatedAt][$lte]=2024-01-01T00:00:02.564Z")


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        pytest.param("order[attribute]=id", [1, 2, 3, 4, 5], id="ascending"),
        pytest.param("order[attribute]=id&order[descending]=true", [5, 4, 3, 2, 1], id="descending"),
        pytest.param("order[attribute]=id&order[descending]=false", [5, 4, 3, 2, 1], id="false-is-truthy"),
        pytest.param("order[attribute]=saleId", [2, 4, 1, 3, 5], id="nulls-last"),
        pytest.param("order[attribute]=saleId&order[nullsFirst]=true", [1, 3, 5, 2, 4], id="nulls-first"),
        pytest.param("order[attribute]=updatedAt", [1, 2, 3, 4, 5], id="updatedAt"),
    ],
)
def test_order(client, order, expected):
    """Rows come in the order of the query; any text of `descending` means descending."""
    assert client.ids(order) == expected


def test_null_dates_are_ordered(start):
    """Rows without updatedAt come last, or first with `nullsFirst`."""
    client = start()
    client.sandbox.replace("sale_invoices", [{"id": 1, "updatedAt": None}, {"id": 2, "updatedAt": "2024-01-01"}])
    assert client.ids("order[attribute]=updatedAt", "sale-invoices") == [2, 1]
    assert client.ids("order[attribute]=updatedAt&order[nullsFirst]=1", "sale-invoices") == [1, 2]


def test_unstable_ties(start):
    """Rows with equal keys come in a random order if the option says so."""
    client = start(unstable_ties=True)
    client.sandbox.replace("sales", [{"id": number, "updatedAt": "2024-01-01"} for number in range(1, 40)])
    orders = {tuple(client.ids("order[attribute]=updatedAt&limit=40")) for _ in range(5)}
    assert len(orders) > 1


@pytest.mark.parametrize(
    ("options", "query", "expected"),
    [
        pytest.param({}, "limit=2&from=1", [3, 4], id="page"),
        pytest.param({"from_means": "offset"}, "limit=2&from=1", [2, 3], id="offset"),
        pytest.param({"from_means": "nothing"}, "limit=2&from=1", [1, 2], id="from-is-ignored"),
        pytest.param({"page_caps": ("sales=1", "products=9")}, "limit=4", [1], id="cap-of-a-resource"),
        pytest.param({"page_cap_bytes": 1}, "limit=4", [1], id="cap-by-bytes"),
        pytest.param({"ignore_descending": True}, "limit=2&order[descending]=true", [1, 2], id="descending-is-ignored"),
        pytest.param({"default_limit": 3}, "from=0", [1, 2, 3], id="default-limit"),
        pytest.param({"page_cap": 2}, "limit=4", [1, 2], id="cap"),
        pytest.param({"page_cap": 2}, "limit=4&from=2", [5], id="pages-are-of-the-capped-size"),
        pytest.param({"ignore_filter": True}, "where[id]=1", [1, 2, 3, 4, 5], id="ignored-filter"),
    ],
)
def test_paging(client, options, query, expected):
    """The size of a page and the meaning of `from` are options."""
    for name, value in options.items():
        setattr(client.sandbox.options, name, value)
    assert client.ids(query + ORDER) == expected


@pytest.mark.parametrize("status", [400, 500])
def test_refused_limit(client, status):
    """A limit above the largest accepted one is refused, with the status of the options; the largest one is not."""
    client.sandbox.options.refuse_limit = 4
    client.sandbox.options.refuse_limit_status = str(status)
    assert client.ids("limit=4" + ORDER) == [1, 2, 3, 4]
    assert client.get("sales.json?limit=5").status_code == status


def test_ignored_order(client):
    """A server that ignores `order` returns rows in an arbitrary order."""
    client.sandbox.replace("sales", [{"id": number, "updatedAt": "2024-01-01"} for number in range(1, 50)])
    client.sandbox.options.ignore_order = True
    assert client.ids("order[attribute]=id") != list(range(1, 50))


def test_short_pages(start):
    """Any prefix of a page may be given although more rows follow, an empty one, too."""
    client = start(short_pages=1.0)
    client.sandbox.replace("sales", ROWS)
    pages = [client.ids("limit=5&order[attribute]=id") for _ in range(50)]
    assert {len(page) for page in pages} == set(range(6))
    assert all(page == list(range(1, len(page) + 1)) for page in pages)


def test_attributes(client):
    """Only the attributes of the query are returned, in either form of list."""
    assert client.read("sales/1.json?attributes[]=id&attributes[]=status") == {"id": 1, "status": "draft"}
    assert client.read("sales/1.json?attributes[1]=id&attributes[0]=status") == {"status": "draft", "id": 1}


@pytest.mark.parametrize(
    ("mode", "query", "status"),
    [
        pytest.param("never", "attributes[30]=id", 200, id="never"),
        pytest.param("many", "attributes[20]=id", 200, id="many-up-to-20"),
        pytest.param("many", "attributes[21]=id", 400, id="many-above-20"),
        pytest.param("many", "&".join(["attributes[]=id"] * 40), 200, id="many-appended"),
        pytest.param("always", "attributes[]=id", 400, id="always"),
    ],
)
def test_refused_attributes(client, mode, query, status):
    """A server may refuse long indexed lists, or all of them."""
    client.sandbox.options.refuse_attributes = mode
    assert client.get(f"sales.json?{query}").status_code == status


@pytest.mark.parametrize(
    ("option", "value", "path", "status"),
    [
        pytest.param("token", "other", "sales.json", 401, id="token"),
        pytest.param("forbidden", ("sales",), "sales.json", 403, id="forbidden"),
        pytest.param("missing", ("sales",), "sales.json", 404, id="missing"),
        pytest.param("seed", 1, "nonsense.json", 404, id="unknown-resource"),
        pytest.param("seed", 1, "sales/99.json", 404, id="unknown-id"),
        pytest.param("seed", 1, "sale_items.json", 404, id="underscore-in-a-path"),
        pytest.param("seed", 1, "sales", 404, id="no-json-suffix"),
        pytest.param("count", "none", "sales/count.json", 404, id="no-counts"),
        pytest.param("count", "purchases", "sales/count.json", 404, id="no-count-of-sales"),
        pytest.param("count", "purchases", "purchases/count.json", 200, id="count-of-purchases"),
        pytest.param("refuse_long_url", 40, "sales.json?where[id]=1&limit=100&from=0", 414, id="long-url"),
        pytest.param("redirect_to", "https://example.com/", "sales.json", 302, id="redirect"),
    ],
)
def test_status(client, option, value, path, status):
    """Each of these requests, with its option, is answered with its status."""
    setattr(client.sandbox.options, option, value)
    assert client.get(path).status_code == status


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        pytest.param({}, "total", 10.5, id="number"),
        pytest.param({"decimals": "text"}, "total", "10.5", id="text"),
        pytest.param({}, "companyId", 1, id="company-number"),
        pytest.param({"company_id": "text"}, "companyId", "1", id="company-text"),
    ],
)
def test_forms_of_values(client, options, field, expected):
    """Decimals and companyId have the form that the options set."""
    for name, value in options.items():
        setattr(client.sandbox.options, name, value)
    assert client.read("sales/1.json")[field] == expected


def test_secrets_come_back(start):
    """Responses carry secrets with fake values, also in included objects."""
    client = start()
    client.sandbox.replace("inventory_feeds", [{"id": 7, "updatedAt": "2024-01-01"}])
    client.sandbox.replace("inventory_feed_variants", [{"id": 1, "updatedAt": None, "inventoryFeedId": 7}])
    rows = client.read("inventory-feed-variants.json?include[0][model]=InventoryFeed")
    assert client.read("inventory-feeds/7.json")["authenticationToken"] == "fake-authenticationToken-7"
    assert rows[0]["inventory_feed"]["hash"] == client.sandbox.feed_hash(7)


def test_head_of_response(client):
    """A page is a bare array with the server's time in whole seconds."""
    client.sandbox.options.clock = lambda: 1_700_000_000.9
    client.sandbox.options.date_skew = 60
    response = client.get("sales.json")
    assert response.headers["Date"] == "Tue, 14 Nov 2023 22:14:20 GMT"
    assert isinstance(response.json(), list)
    client.sandbox.options.date_header = False
    assert "Date" not in client.get("sales.json").headers
