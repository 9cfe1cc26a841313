"""The fields that never leave Jetti: credentials that its responses carry.

Source: the field list of the API. None of them is in a schema, none is asked for, and
none survives in an included object or among undocumented fields.
"""

from __future__ import annotations

import re
from typing import Any

SECRET_FIELDS: dict[str, frozenset[str]] = {
    resource: frozenset(fields.split())
    for resource, fields in {
        "amazon_accounts": "authToken",
        "big_commerce_stores": "accessToken clientSecret",
        "channels": "hash shipstationPassword",
        "custom_channels": "webhookHash",
        "dropship_providers": "authenticationSecret authenticationToken"
        " commissionRateEndpointHash shippoToken taxJarToken",
        "dropship_purchase_imports": "duoplanePassword",
        "duoplane_accounts": "duoplanePassword",
        "elastic_path_stores": "clientSecret",
        "inventory_exports": "s3Key s3Secret",
        "inventory_feeds": "authenticationSecret authenticationToken hash",
        "magento_stores": "apiPassword",
        "purchases": "vendorEndpointHeaders",
        "referrals": "authenticationSecret authenticationToken",
        "saleor_stores": "accessToken",
        "salesforce_accounts": "password securityToken",
        "shopify_stores": "accessToken apiKey password",
        "square_space_stores": "accessToken",
        "users": "hash password resetToken token",
        "webhooks": "hash",
        "woo_commerce_stores": "consumerKey consumerSecret",
    }.items()
}
"""Secret fields by resource, snake_case: the only list of them."""

_ALL_SECRET_NAMES = frozenset().union(*SECRET_FIELDS.values()) - {"hash"}
_SOUNDS_SECRET = re.compile(
    r"passw|secret|token|credential|api_?key|access_?key|private_?key|authorization|webhookhash", re.IGNORECASE
)


def without_secrets(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same undocumented value without what sounds like a secret, at any depth."""
    if isinstance(value, dict):
        return {name: without_secrets(item) for name, item in value.items() if not is_secret("", name)}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value


def is_secret(resource: str, field: str) -> bool:
    """Whether the value of a field is a known secret of a resource, or sounds like one.

    Args:
        resource: The resource in snake_case.
        field: A field, documented or not; ask only for those that no schema has.
    """
    return (
        field in SECRET_FIELDS.get(resource, ())
        or field in _ALL_SECRET_NAMES
        or _SOUNDS_SECRET.search(field) is not None
    )


_CREDENTIALS_IN_URL = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*://)"
    r"(?:[^/?#\s@]*(?:@[^/?#\s@]*)*"  # user:password, also with an @ in it
    r"|[^/?#\s@:]*:(?!\d*(?:[/?#\s]|$))[^\s@]*)@"  # a password with a slash, but no port with a path
)

_CREDENTIALS_IN_JSON = re.compile(rb"://[^\s\"]*@")


def may_contain_credentials(content: bytes) -> bool:
    """Whether `mask_credentials` would change a text in this JSON. Fast, because nothing is decoded.

    True may be wrong, False is always right: any character of a URL can be written as an escape sequence,
    so an ``@`` together with any backslash is enough.

    Args:
        content: The encoded JSON.
    """
    if b"\\u0040" in content:
        return True
    if b"@" not in content:
        return False
    return b"\\" in content or (b"://" in content and _CREDENTIALS_IN_JSON.search(content) is not None)


def mask_credentials(text: str) -> str:
    """Mask the user information of every URL in a text: ``ftp://***@host/file.csv``."""
    return _CREDENTIALS_IN_URL.sub(r"\1***@", text) if "@" in text else text


def mask_deep(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same value with all URLs in it masked, at any depth."""
    if isinstance(value, str):
        return mask_credentials(value)
    if isinstance(value, list):
        return [mask_deep(item) for item in value]
    if isinstance(value, dict):
        return {key: mask_deep(item) for key, item in value.items()}
    return value
