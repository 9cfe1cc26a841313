"""What never leaves Jetti: the secret fields of its responses, and credentials inside URLs.

The secret fields of a resource stand in its schema file, under ``x-secret``. None of them is among the properties of
a schema, none is asked for, and none survives in an included object or among undocumented fields.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from tap_jetti.facts import resources

_WITHOUT_SCHEMA = {"duoplane_accounts": frozenset({"duoplanePassword"})}
"""The secret fields of resources whose fields the API does not document: they have no schema file."""

_AMBIGUOUS_NAME = "hash"
"""A secret of some resources, such as channels; a harmless hash of the content in others, such as channel_products."""

_SOUNDS_SECRET = re.compile(
    r"passw|secret|token|credential|api_?key|access_?key|private_?key|authorization|webhookhash", re.IGNORECASE
)


@cache
def known_secrets(resource: str) -> frozenset[str]:
    """The fields of a resource that are known to be secret, whether the resource has a schema file or not."""
    if resource in resources.names():
        return resources.secret_fields(resource)
    return _WITHOUT_SCHEMA.get(resource, frozenset())


@cache
def _secrets_of_any_resource() -> frozenset[str]:
    """Names that are secret wherever they occur; needed only for undocumented fields, as it reads all schema files."""
    by_resource = (*map(resources.secret_fields, resources.names()), *_WITHOUT_SCHEMA.values())
    return frozenset().union(*by_resource) - {_AMBIGUOUS_NAME}


def is_secret(resource: str, field: str) -> bool:
    """Whether an undocumented field is a known secret of any resource, or its name sounds like one.

    Args:
        resource: The resource in snake_case; empty if it is not known.
        field: A field that the schema of the resource does not list.
    """
    return (
        field in known_secrets(resource)
        or _SOUNDS_SECRET.search(field) is not None
        or field in _secrets_of_any_resource()
    )


def without_secrets(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same undocumented value without the fields that `is_secret` holds for, at any depth."""
    if isinstance(value, dict):
        return {name: without_secrets(item) for name, item in value.items() if not is_secret("", name)}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value


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
    has_escapes = b"\\" in content  # a search for one byte is twenty times as fast as the next one
    if has_escapes and b"\\u0040" in content:
        return True
    if b"@" not in content:
        return False
    return has_escapes or (b"://" in content and _CREDENTIALS_IN_JSON.search(content) is not None)


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
