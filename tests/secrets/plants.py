"""Marked secrets, and the search for them in whatever left a command."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path

_MARK = re.compile(rb"Zk(\d{4})q9XwT7mPvB2rLs", re.IGNORECASE)
_ENCODED = re.compile(rb"[A-Za-z0-9+/_-]{24,}")

SECRET_NAMES = (
    "auth", "authToken", "jwt", "JWT", "pwd", "ftpPwd", "Cookie", "Set-Cookie", "cookies", "password", "userPassword",
    "passphrase", "secret", "clientSecret", "accessToken", "refresh_token", "apiKey", "api_key", "X-API-Key",
    "privateKey", "private_key", "Authorization", "basicAuth", "oauth2", "credentials", "bearer", "sessionId",
    "connectionString", "webhookHash", "otp", "dsn", "ftpPass", "consumerKey", "sharedKey",
)  # fmt: skip
"""Names of fields whose values are secret wherever they occur."""

URLS = (
    "https://bob:{}@host/x", "ftp://{}@host/", "ftp://bob:a/{}@host/x.csv", "ftp://bob:a#{}@host/", "sftp://b:a?{}@h/",
    "//bob:{}@host/x", "bob:{}@host/x", "see bob:{}@10.0.0.1:21", "https://host/x?token={}", "https://h/?a=1&access_token={}",
    "https://h/?a=1&amp;jwt={}", "https://h/#id_token={}", "https://h/x?auth={}&b=2", "https://h/x?api_key={}",
    "https://h/x?password={}", "https://h/x?X-Amz-Signature={}", "https://h/x?sig={}", "https://h/?to=https://o/?pwd={}",
)  # fmt: skip
"""Texts with a secret in a URL."""


class Plants:
    """Makes marked secrets, each of which is found again by its number.

    Attributes:
        places: Where each was planted, by its number.
    """

    def __init__(self) -> None:
        self.places: list[str] = []

    def new(self, place: str) -> str:
        """A secret that stands in one place."""
        self.places.append(place)
        return f"Zk{len(self.places) - 1:04d}q9XwT7mPvB2rLs"

    def fields(self, place: str) -> dict[str, Any]:
        """Fields with secret names."""
        return {name: self.new(f"{place}, field {name}") for name in SECRET_NAMES}

    def urls(self, place: str) -> list[str]:
        """Texts with secrets in URLs."""
        return [url.format(self.new(f"{place}, URL {url}")) for url in URLS]

    def found_in(self, content: bytes) -> set[str]:
        """The places whose secrets are in some bytes, as they are or in base64, at any offset."""
        texts = [content]
        for run in _ENCODED.findall(content):
            for offset in range(4):
                part = run[offset:].translate(bytes.maketrans(b"-_", b"+/"))
                texts.append(base64.b64decode(part[: len(part) // 4 * 4]))
        return {self.places[int(number)] for text in texts for number in _MARK.findall(text)}

    def found_below(self, folder: Path) -> set[str]:
        """The places whose secrets are in the name or the content of any file in a folder."""
        found: set[str] = set()
        for path in folder.rglob("*"):
            found |= self.found_in(str(path).encode())
            if path.is_file():
                found |= self.found_in(path.read_bytes())
        return found


def forms_of(secret: str) -> list[str]:
    """How a server may repeat a secret that it was sent."""
    encoded = base64.b64encode(secret.encode()).decode()
    behind_user = base64.b64encode(f"bob:{secret}".encode()).decode()
    return [
        secret,
        secret.upper(),
        quote(secret),
        encoded,
        f"Basic {behind_user}",
        f'{{\\"x\\": \\"{secret}\\"}}',
        f"x{secret}y",
    ]
