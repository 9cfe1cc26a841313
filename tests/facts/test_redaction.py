"""What a message may show: no secret in any of its forms, no credentials, no control characters."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runs import EXAMPLES
from tap_jetti.facts.redaction import Redactor, secrets_in, secrets_of_environment, shortened

SECRETS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=10, max_size=40).filter(
    lambda text: len(text.strip()) >= 10 and len(set(text)) > 4
)

FORMS = {
    "as it is": lambda text: text,
    "in a path": lambda text: quote(text, safe=""),
    "in a URL": quote,
    "in a query": quote_plus,
    "in JSON": lambda text: json.dumps(text)[1:-1],
    "in JSON twice": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "in Python": lambda text: repr(text)[1:-1],
    "in HTML": html.escape,
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "in base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "in lower case": str.lower,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(secret=SECRETS)
@settings(max_examples=30 * EXAMPLES)
@example(secret="jtk_live-51H/x+y=z")
def test_a_secret_is_masked_in_every_form(form, secret: str) -> None:
    """However a secret is spelt, nothing of it is left, whatever stands around it."""
    spelt = form(secret)
    assert Redactor([secret]).mask(f"before{spelt}after") == "before***after"


@given(user=st.text("abcxyz", min_size=1, max_size=5), secret=SECRETS)
def test_a_secret_within_base64_is_masked(user: str, secret: str) -> None:
    """The credentials of a proxy are sent as base64 of user and password: no part of the password can be decoded."""
    sent = base64.b64encode(f"{user}:{secret}".encode()).decode()
    left = Redactor([secret]).mask(f"Proxy-Authorization: Basic {sent}")
    assert "***" in left
    assert len(left) < len("Proxy-Authorization: Basic ***") + len(user) * 2 + 8


@pytest.mark.parametrize("secret", ["any", "12345", "x7"])
def test_a_short_secret_is_masked_as_a_word(secret: str) -> None:
    """A token of a few characters does not turn every other word into a mask."""
    redactor = Redactor([secret])
    assert redactor.mask(f"token {secret} of the c{secret}e") == f"token *** of the c{secret}e"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ftp://bob:S3cr3t/Pw@h/x.csv", "ftp://***@h/x.csv"),
        ("ftp://bob:123/Pw@h/x.csv", "ftp://***@h/x.csv"),
        ("redis://:a#b?c/d@h:1/0 failed", "redis://***@h:1/0 failed"),
        ("redis://u:p@ss/w@h:1/0", "redis://***@h:1/0"),
        ("user:pw@host", "***@host"),
        ("user:pw@host/x", "***@host/x"),
        ("mailto:a@b.c", "mailto:a@b.c"),
        ("see https://host/x?token=abc&page=2", "see https://host/x?token=***&page=2"),
        ("password=hunter2&user=bob", "password=***&user=bob"),
        ('{"clientSecret": "hunter"}', '{"clientSecret": "***"}'),
        ("Authorization: Bearer abc123def", "Authorization: Bearer ***"),
        ("The token: a81bc81b-dead is unknown", "The token: *** is unknown"),
        ("Invalid token: expired", "Invalid token: expired"),
        ("api_token is missing. Create a token", "api_token is missing. Create a token"),
        ("Invalid settings: rate_limit must be more than 0", "Invalid settings: rate_limit must be more than 0"),
        ("stream=sales outcome=complete rows=1", "stream=sales outcome=complete rows=1"),
        ("a\x1b[31mb\r\nc\u202ed\x9be\ufeff", r"a\x1b[31mb\r\nc\u202ed\x9be\ufeff"),
        ("Größe 10 – ok", "Größe 10 – ok"),
        ("\ud83d", r"\ud83d"),
    ],
)
def test_foreign_text_is_cleaned(text: str, left: str) -> None:
    """What looks like a credential is masked without being known, and control characters are escaped."""
    assert Redactor().clean(text) == left


def test_secrets_are_found_in_settings() -> None:
    """By the name of a setting, at any depth, and within URLs, whatever characters the password has."""
    given_settings = {
        "api_token": 12345678,
        "hash_of_feed": "declared",
        "unknown": {"clientSecret": ["a", {"b": "c"}]},
        "rate_limit_store": "redis://u:pa%2Fss/w#d@host:1/0",
        "feed_path": "https://only-a-token@host/",
        "timeout": 3,
        "start_date": "pasted-into-the-wrong-setting-2",
        "rejects_path": "/var/log/rejects-of-2026.jsonl",
    }
    found = set(secrets_in(given_settings, ["hash_of_feed"]))
    assert {"12345678", "declared", "a", "c", "pa%2Fss/w#d", "pa/ss/w#d", "only-a-token"} <= found
    assert "pasted-into-the-wrong-setting-2" in found
    assert not {"3", "/var/log/rejects-of-2026.jsonl"} & found


def test_secrets_are_found_in_the_environment() -> None:
    """The password of a proxy and the values of secret names are secrets; a path or a switch is none."""
    environment = {
        "HTTPS_PROXY": "http://bob:p4ss%40@proxy:3128",
        "FSSPEC_FTP_PASSWORD": "hunter-two",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token",
        "USE_TOKEN": "1",
        "PATH": "/bin",
    }
    found = set(secrets_of_environment(environment))
    assert {"p4ss%40", "p4ss@", "bob:p4ss@", "hunter-two"} == found


@given(st.lists(SECRETS.map(lambda text: text.replace(" ", "_")), min_size=1, max_size=20), st.integers(1, 200))
def test_a_text_is_cut_between_words(words: list[str], length: int) -> None:
    """A secret is never cut in two, so that it is masked as a whole or is not there."""
    text = " ".join(words)
    left = shortened(text, length)
    assert len(left) <= max(length, 1) + 1
    assert set(left.removesuffix("…").split()) <= set(words)
