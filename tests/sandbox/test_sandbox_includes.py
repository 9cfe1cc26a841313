import pytest


@pytest.fixture
def client(start):
    """A client of a sandbox with the rows that the tests need."""
    client = start()
    client.sandbox.replace("sales", [{"id": 1, "updatedAt": None, "customerId": 5}, {"id": 2, "updatedAt": None}])
    client.sandbox.replace("customers", [{"id": 5, "updatedAt": None, "name": "Customer 5"}])
    client.sandbox.replace("variants", [{"id": 8, "updatedAt": None, "sku": "A"}])
    client.sandbox.replace(
        "sale_items", [{"id": number, "updatedAt": None, "saleId": 1, "variantId": 8} for number in (3, 4)]
    )
    return client


def test_has_many(client):
    """Has-many: the rows that refer to a row are listed under their plural name."""
    rows = client.read("sales.json?order[attribute]=id&attributes[]=id&include[0][model]=SaleItem")
    assert [[item["id"] for item in row["sale_items"]] for row in rows] == [[3, 4], []]


def test_belongs_to(client):
    """Belongs-to: the row that a row refers to stands under its singular name, or null if there is none."""
    rows = client.read("sales.json?order[attribute]=id&include[0][model]=Customer&include[0][attributes][]=name")
    assert [row["customer"] for row in rows] == [{"name": "Customer 5"}, None]


def test_nested(client):
    """An include may have includes."""
    row = client.read(
        "sales/1.json?attributes[]=id&include[0][model]=SaleItem&include[0][attributes][0]=variantId"
        "&include[0][include][0][model]=Variant&include[0][include][0][attributes][0]=sku"
    )
    assert row == {"id": 1, "sale_items": [{"variantId": 8, "variant": {"sku": "A"}}] * 2}


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("attributes[]=id&include[0][model]=Customer", id="foreign-key-not-listed"),
        pytest.param("include[0][model]=Nonsense", id="unknown-model"),
        pytest.param("include[0][model]=BundleVariant", id="not-associated"),
    ],
)
def test_refused_include(client, query):
    """An invalid include is a problem with status 500."""
    response = client.get(f"sales.json?{query}")
    assert response.status_code == 500
    assert response.json()["title"].startswith("api.query.include")


def test_an_include_without_its_foreign_key_is_answered_if_the_server_is_lenient(client):
    """The key is not shown, since it was not asked for."""
    client.sandbox.options.include_without_key = "answer"
    rows = client.read("sales.json?order[attribute]=id&attributes[]=id&include[0][model]=Customer")
    assert [list(row) for row in rows] == [["id", "customer"]] * 2
    assert rows[0]["customer"]["name"] == "Customer 5"


def test_an_include_without_a_model_is_left_out_if_the_server_is_lenient(client):
    """The other entries of the list are answered; by default the whole request is refused."""
    query = "sales.json?order[attribute]=id&include[0][attributes][]=id&include[1][model]=SaleItem"
    assert client.get(query).status_code == 500
    client.sandbox.options.include_without_model = "ignore"
    assert [len(row["sale_items"]) for row in client.read(query)] == [2, 0]
