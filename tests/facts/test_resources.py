"""The schema files hold what the code expects of them, and users get plain JSON Schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tap_jetti.facts import resources
from tap_jetti.facts.secret_fields import is_secret, known_secrets

ROOT_KEYS = ["$schema", "title", "type", "x-selected", "x-replication-key", "x-secret", "properties"]
PROPERTY_KEYS = {"type", "format", "items", "description", "x-references", "x-values"}
SECRETS_OF_THE_CONTRACT = {
    "users": "token password resetToken hash",
    "dropship_providers": "authenticationSecret authenticationToken shippoToken taxJarToken commissionRateEndpointHash",
    "inventory_feeds": "authenticationSecret authenticationToken hash",
    "referrals": "authenticationSecret authenticationToken",
    "channels": "hash shipstationPassword",
    "webhooks": "hash",
    "amazon_accounts": "authToken",
    "big_commerce_stores": "accessToken clientSecret",
    "duoplane_accounts": "duoplanePassword",
    "dropship_purchase_imports": "duoplanePassword",
    "elastic_path_stores": "clientSecret",
    "inventory_exports": "s3Key s3Secret",
    "magento_stores": "apiPassword",
    "saleor_stores": "accessToken",
    "salesforce_accounts": "password securityToken",
    "shopify_stores": "accessToken apiKey password",
    "square_space_stores": "accessToken",
    "woo_commerce_stores": "consumerKey consumerSecret",
    "purchases": "vendorEndpointHeaders",
    "custom_channels": "webhookHash",
}


def text_of(name: str) -> str:
    """The text of a schema file."""
    return (resources.schema_directory() / f"{name}.json").read_text(encoding="utf-8")


def formatted(schema: dict[str, Any]) -> str:
    """A schema with one line per property, the form that schema files have."""
    properties = ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(facts)}" for name, facts in schema["properties"].items()
    )
    values = {key: json.dumps(value) for key, value in schema.items()}
    values["properties"] = f"{{\n{properties}\n  }}"
    lines = ",\n".join(f"  {json.dumps(key)}: {value}" for key, value in values.items())
    return f"{{\n{lines}\n}}\n"


@pytest.mark.parametrize("name", resources.names())
def test_a_schema_file_has_the_form_of_all(name: str) -> None:
    """A schema file has one line per property, states all facts about its resource, and no others."""
    schema = json.loads(text_of(name))
    assert text_of(name) == formatted(schema)
    assert list(schema) == ROOT_KEYS
    assert schema["title"] == name
    assert isinstance(schema["x-selected"], bool)
    assert schema["x-replication-key"] in {resources.REPLICATION_KEY, None}
    assert schema["x-secret"] == sorted(set(schema["x-secret"]))
    assert not [field for field, facts in schema["properties"].items() if not facts.keys() <= PROPERTY_KEYS]


@pytest.mark.parametrize("name", resources.names())
def test_users_get_no_facts_of_our_own(name: str) -> None:
    """The schema of a stream has the properties of its file without the keys that are not JSON Schema's."""
    schema = resources.schema(name)
    assert list(schema["properties"]) == list(json.loads(text_of(name))["properties"])
    assert '"x-' not in json.dumps(schema)


def test_descriptions_say_the_facts_in_words() -> None:
    """The catalog tells people where a foreign key leads and which values are documented."""
    properties = resources.schema("variants")["properties"]
    assert properties["productId"] == {"type": ["integer", "null"], "description": "References products."}
    assert properties["distanceUnit"] == {"type": ["string", "null"], "description": "Documented values: in, cm."}
    assert resources.references("variants")["productId"] == "products"
    assert resources.documented_values("variants")["distanceUnit"] == ("in", "cm")


@pytest.mark.parametrize("name", resources.names())
def test_references_lead_to_resources(name: str) -> None:
    """Every foreign key leads to a resource that has a schema."""
    assert set(resources.references(name).values()) <= set(resources.names())


@pytest.mark.parametrize("name", resources.names())
def test_no_schema_lists_a_secret(name: str) -> None:
    """No secret field of a resource is among the properties of its schema."""
    assert not resources.secret_fields(name) & resources.schema(name)["properties"].keys()


def test_the_secrets_are_those_of_the_contract() -> None:
    """Exactly the secret fields that the contract lists are declared, also of a resource without a schema."""
    names = {*resources.names(), *SECRETS_OF_THE_CONTRACT}
    assert {name: set(known_secrets(name)) for name in names if known_secrets(name)} == {
        name: set(fields.split()) for name, fields in SECRETS_OF_THE_CONTRACT.items()
    }


@pytest.mark.parametrize(
    ("resource", "field", "expected"),
    [
        ("channels", "hash", True),
        ("channel_products", "hash", False),
        ("sales", "vendorEndpointHeaders", True),
        ("sales", "somePassword", True),
        ("duoplane_accounts", "duoplanePassword", True),
        ("no_such_resource", "consumerKey", True),
        ("sales", "auth", True),
        ("sales", "basicAuth", True),
        ("sales", "oauth2", True),
        ("sales", "jwt", True),
        ("sales", "pwd", True),
        ("sales", "ftpPass", True),
        ("sales", "Cookie", True),
        ("sales", "Set-Cookie", True),
        ("sales", "session_id", True),
        ("sales", "X-API-Key", True),
        ("sales", "author", False),
        ("sales", "authorName", False),
        ("sales", "passedAt", False),
        ("sales", "compass", False),
        ("sales", "sessions", False),
        ("sales", "displayName", False),
        ("", "displayName", False),
    ],
    ids=lambda value: str(value) or "unknown",
)
def test_undocumented_fields_that_are_secret(resource: str, field: str, expected: bool) -> None:
    """A field is secret if any resource declares it or it sounds like one; `hash` only where it is declared."""
    assert is_secret(resource, field) is expected
