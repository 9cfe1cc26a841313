"""What a message may show: no secret that is known, no credentials of a URL, no control character."""

from __future__ import annotations

import base64
import json
import re
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

from tap_jetti.facts.secret_fields import is_secret, mask_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MASK = "***"

_SHORT = 8
"""Below this number of characters a secret is masked only where no letter or digit adjoins it."""

_SHORTEST_OF_ENVIRONMENT = 8
"""Characters that the value of a variable with a secret name needs to count as a secret: ``1`` is a switch."""

_SMALLEST_CORE = 8
"""Characters of base64 that a secret must determine, for them to be looked for within a longer text."""

_USER_INFO = re.compile(r"://([^\s\"]*)@")
_TO_THE_LAST_AT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s\"'<>]*@")
_ANY_USER = re.compile(
    r"(?<![A-Za-z0-9._%+~-])(?!mailto:)[A-Za-z0-9._%+~-]{1,100}:(?!//)[^\s@\"]{1,200}@", re.IGNORECASE
)
_AUTHORIZATION = re.compile(r"\b(Bearer|Basic|Token)\s+(?=[A-Za-z._~+/-]*\d)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,60})(\"?\s?[=:]\s?\"?)([^\s\"'&;,<>()]{4,})")
_TOKEN = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_-]{20,}")
_FOR_URLS = str.maketrans("+/", "-_")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")


class Redactor:
    """Masks what no message may show. Threads may share it.

    Args:
        secrets: Values that are known to be secret.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        """Mask these values, too, in each of the forms in which they may leave."""
        new = {secret for secret in secrets if secret.strip()} - self._forms
        if not new:
            return
        self._forms |= {form for secret in new for form in _forms(secret)}
        # The longest first: a secret may be a part of another one.
        parts = (_bounded(form) for form in sorted(self._forms, key=len, reverse=True))
        self._pattern = re.compile("|".join(parts), re.IGNORECASE)

    def mask(self, text: str) -> str:
        """Mask the known secrets in a text, and nothing else."""
        return self._pattern.sub(MASK, text) if self._pattern is not None else text

    def clean(self, text: str) -> str:
        """A text as a message may show it: masked, with control characters as escape sequences.

        What looks like a credential is masked, too, even if it may be none: in a message that does no harm.
        """
        text = self.mask(text)
        if "@" in text:
            text = _ANY_USER.sub(f"{MASK}@", _TO_THE_LAST_AT.sub(rf"\1{MASK}@", text))
        text = _AUTHORIZATION.sub(rf"\1 {MASK}", mask_credentials(text))
        return escape_control_characters(_NAMED.sub(_without_value, text))

    def clean_lines(self, text: str) -> str:
        """The same for a text of several lines, such as a traceback."""
        return "\n".join(map(self.clean, text.split("\n")))

    def holds_secret(self, value: Any) -> bool:  # noqa: ANN401 - any JSON
        """Whether a known secret occurs in a value, at any depth."""
        if isinstance(value, str):
            return self._pattern is not None and self._pattern.search(value) is not None
        if isinstance(value, dict):
            return any(map(self.holds_secret, (*value.keys(), *value.values())))
        return isinstance(value, list) and any(map(self.holds_secret, value))


def shortened(text: str, length: int) -> str:
    """The beginning of a text that is too long, without a word that is cut: it may be a part of a secret."""
    if len(text) <= length:
        return text
    words = text[: length + 1].rsplit(maxsplit=1)
    return f"{words[0].rstrip()}…" if len(words) > 1 else "…"


def escape_control_characters(text: str) -> str:
    r"""The text with everything that a terminal may act on, or not show, as an escape sequence: ``\x1b``, ``\n``."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def looks_like_token(text: str) -> bool:
    """Whether a text is probably a token or a key: one long word of letters and digits. A path or a date is none."""
    return _TOKEN.fullmatch(text.strip()) is not None


def secrets_in(settings: Mapping[str, Any], secret_names: Iterable[str] = ()) -> Iterator[str]:
    """The secret values in settings: by their names, within URLs, and what looks like a token, at any depth.

    Args:
        settings: The settings, valid or not.
        secret_names: The names of those that are secret whatever they are called.
    """
    names = frozenset(secret_names)
    for name, value in settings.items():
        yield from _secrets_of(value, is_named=name in names or is_secret("", str(name)))


def secrets_of_environment(environment: Mapping[str, str]) -> Iterator[str]:
    """The secrets in environment variables: those of proxies and other URLs, and the values of secret names."""
    for name, value in environment.items():
        yield from _passwords_of(value)
        if is_secret("", name) and len(value) >= _SHORTEST_OF_ENVIRONMENT and not value.startswith(("/", ".", "~")):
            yield value


def _secrets_of(value: object, *, is_named: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _secrets_of(item, is_named=is_named or is_secret("", str(name)))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _secrets_of(item, is_named=is_named)
    elif is_named and value is not None and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, str):
        yield from _passwords_of(value)
        if looks_like_token(value):  # it was pasted into the wrong setting
            yield value


def _passwords_of(text: str) -> Iterator[str]:
    """The passwords of the URLs in a text, also with a slash, ``#`` or ``?`` in them."""
    for found in _USER_INFO.finditer(text):
        user, colon, password = found[1].partition(":")
        secret = password if colon else user  # a token alone stands in the place of the user
        if secret:
            yield secret
            yield f"{unquote(user)}:{unquote(password)}"  # as it is encoded in a header
            if unquote(secret) != secret:
                yield unquote(secret)


def _forms(secret: str) -> Iterator[str]:
    """A secret as it is, and as URLs, JSON, Python, HTML and headers spell it."""
    for text in {secret, secret.strip()}:
        yield text
        yield from (quote(text, safe=""), quote(text), quote_plus(text), escape(text))
        in_json = json.dumps(text)[1:-1]
        yield from (in_json, json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(in_json)[1:-1])
        yield from (repr(text)[1:-1], text.encode("unicode_escape", "surrogatepass").decode("ascii"))
        yield from _base64_forms(text.encode("utf-8", "surrogatepass"))


def _base64_forms(secret: bytes) -> Iterator[str]:
    """A secret in base64, and the characters that it determines wherever it stands in what is encoded."""
    whole = base64.b64encode(secret).decode()
    yield from (whole, whole.rstrip("="), whole.translate(_FOR_URLS), whole.translate(_FOR_URLS).rstrip("="))
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret)
        end = len(encoded.rstrip(b"=")) - (1 if (before + len(secret)) % 3 else 0)
        core = encoded[(0, 2, 3)[before] : end]
        if len(core) >= _SMALLEST_CORE:
            yield from (core.decode(), core.decode().translate(_FOR_URLS))


def _bounded(form: str) -> str:
    pattern = re.escape(form)
    return pattern if len(form) >= _SHORT else rf"(?<![^\W_]){pattern}(?![^\W_])"


def _without_value(found: re.Match[str]) -> str:
    """Mask the value of a secret name. After a colon it must look like no word: ``Invalid token: expired``."""
    name, between, value = found.groups()
    is_value = "=" in between or '"' in between or any(character.isdigit() for character in value)
    return f"{name}{between}{MASK}" if is_value and value != MASK and is_secret("", name) else found[0]
