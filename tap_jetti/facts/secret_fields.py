"""What never leaves Jetti: the secret fields of its responses, and credentials inside URLs.

The secret fields of a resource stand in its schema file, under ``x-secret``. None of them is among the properties of
a schema, none is asked for, and none survives in an included object or among undocumented fields.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any
from urllib.parse import unquote

from tap_jetti.facts import resources

_WITHOUT_SCHEMA = {"duoplane_accounts": frozenset({"duoplanePassword"})}
"""The secret fields of resources whose fields the API does not document: they have no schema file."""

_AMBIGUOUS_NAME = "hash"
"""A secret of some resources, such as channels; a harmless hash of the content in others, such as channel_products."""

_SOUNDS_SECRET = re.compile(
    r"passw|passphrase|pwd|secret|token|credential|authorization|basic_?auth|oauth|bearer|cookie|jwt|csrf|xsrf|totp"
    r"|webhook_?hash|connection_?string|session_?(?:id|key)"
    r"|(?:access|account|api|client|consumer|encryption|host|license|master|private|service|shared|signing|ssh)[_-]?key",
    re.IGNORECASE,
)
_SECRET_WORDS = frozenset({"auth", "creds", "dsn", "otp", "pass", "pw"})
"""Words that make a name secret only as a whole: an author is none."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_SIGNATURES = frozenset({"sig", "signature"})
"""Words that make a parameter of a URL secret: whoever has such a URL may fetch what it leads to."""


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
    return field in known_secrets(resource) or _sounds_secret(field) or field in _secrets_of_any_resource()


@lru_cache(maxsize=4096)
def _sounds_secret(name: str) -> bool:
    return _SOUNDS_SECRET.search(name) is not None or not _SECRET_WORDS.isdisjoint(_words(name))


def _words(name: str) -> set[str]:
    """The words of a name in camelCase, snake_case or kebab-case, in lower case."""
    return {word.lower() for word in _WORD.findall(name)}


def without_secrets(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same undocumented value without the fields that `is_secret` holds for, at any depth."""
    return _stripped(value) if _names_secret(value) else value


def _stripped(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {name: _stripped(item) for name, item in value.items() if not _is_secret_anywhere(name)}
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    return value


def _names_secret(value: object) -> bool:
    """Whether a field at any depth is secret. It is asked for each object of each row, so that it must be fast."""
    if isinstance(value, dict):
        if any(map(_is_secret_anywhere, value)):
            return True
        value = value.values()
    elif not isinstance(value, list):
        return False
    for item in value:  # noqa: SIM110 - twice as fast as `any`
        if isinstance(item, (dict, list)) and _names_secret(item):
            return True
    return False


@lru_cache(maxsize=4096)
def _is_secret_anywhere(name: str) -> bool:
    return is_secret("", name)


def is_secret_parameter(name: str) -> bool:
    """Whether the value of a parameter in a URL must not be shown: a token, a password, a signature.

    Args:
        name: The name of the parameter, percent-encoded or not.
    """
    plain = unquote(name)
    return _sounds_secret(plain) or not _SIGNATURES.isdisjoint(_words(plain))


_AFTER_SCHEME = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)"
    r"(?:[^/?#\s@]*(?:@[^/?#\s@]*)*"  # user:password, also with an @ in it
    r"|[^/?#\s@:]*:(?!\d*(?:[/?#\s]|$))[^\s@]*)@"  # a password with a slash, but no port with a path
)
_WITHOUT_SCHEME = re.compile(
    r"(?<![A-Za-z0-9._%+~-])(?!e?-?mail(?:to)?:)[A-Za-z0-9._%+~-]{1,100}:[^\s@/?#<>]{1,200}@"
    # A mail address may follow a word and a colon, too. A host is followed by a path or a port.
    r"(?=(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?:/|:\d))",
    re.IGNORECASE,
)
_PARAMETER = re.compile(r"([?&;#])([^\s=?&;#\"'<>]{1,100})=([^\s?&;#\"'<>]+)")

_ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")
_PARAMETER_IN_JSON = re.compile(rb"[?&;#]([^\s=?&;#\"'<>]{1,100})=[^\s?&;#\"'<>]")


def may_contain_credentials(content: bytes) -> bool:
    """Whether `mask_credentials` would change a text in this JSON. Fast, because nothing is decoded.

    True may be wrong, False is always right: where a character of a URL may be written as an escape sequence, it is
    True.

    Args:
        content: The encoded JSON.
    """
    if b"\\" in content:  # a search for one byte is twenty times as fast as the next ones
        if _ESCAPED_ASCII.search(content):
            return True
        content = content.replace(rb"\/", b"/")
    if _has_colon_before_at(content):
        return True
    return b"=" in content and any(
        is_secret_parameter(name.decode("utf-8", "replace")) for name in set(_PARAMETER_IN_JSON.findall(content))
    )


def _has_colon_before_at(content: bytes) -> bool:
    """Whether any text in this JSON may have a colon before an ``@``, without a blank between them.

    A loop over the ``@``, because a regular expression that may begin anywhere takes ten times as long.
    """
    before, at = 0, content.find(b"@")
    while at >= 0:
        quote = content.rfind(b'"', before, at)
        if quote < 0 or content[quote - 1 : quote] == b"\\":  # a second @ in one text, or a quotation mark before it
            return True
        if b":" in content[quote:at].split()[-1]:
            return True
        before, at = at, content.find(b"@", at + 1)
    return False


def mask_credentials(text: str) -> str:
    """Mask the credentials of every URL in a text: ``ftp://***@host/file.csv``, ``https://host/?token=***``."""
    if "@" in text:
        text = _WITHOUT_SCHEME.sub("***@", _AFTER_SCHEME.sub(r"\1***@", text))
    return _PARAMETER.sub(_without_value, text) if "=" in text else text


def _without_value(found: re.Match[str]) -> str:
    mark, name, _ = found.groups()
    return f"{mark}{name}=***" if is_secret_parameter(name) else found[0]


def mask_deep(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same value with all URLs in it masked, at any depth."""
    if isinstance(value, str):
        return mask_credentials(value)
    if isinstance(value, list):
        return [mask_deep(item) for item in value]
    if isinstance(value, dict):
        return {key: mask_deep(item) for key, item in value.items()}
    return value
