"""Credentials that are bound to one origin and never sent to another."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from requests.auth import AuthBase
from typing_extensions import override

from tap_jetti.errors import RedirectError

if TYPE_CHECKING:
    from requests import PreparedRequest

WEBHOOK_HASH_HEADER = "jetti-webhook-hash"


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a URL, with the scheme's own port filled in."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port


class OriginBoundAuth(AuthBase):
    """Sets one header on requests to one origin, and refuses any other.

    Args:
        url: Any URL of the origin that the credential belongs to.
        header: The name of the header.
        value: The secret value of the header.
    """

    def __init__(self, url: str, header: str, value: str) -> None:
        self._origin = origin_of(url)
        self._header = header
        self._value = value

    @override
    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if origin_of(request.url or "") != self._origin:
            raise RedirectError(
                "Refused to send the credentials to another host",
                method=request.method or "GET",
                path=urlsplit(request.url or "").path or "/",
            )
        request.headers[self._header] = self._value
        return request


def bearer_token(api_url: str, token: str) -> OriginBoundAuth:
    """The account's API token, for the synchronous API."""
    return OriginBoundAuth(api_url, "Authorization", f"Bearer {token}")


def webhook_hash(inbound_url: str, value: str) -> OriginBoundAuth:
    """The hash of one feed or channel, for the asynchronous inbound API."""
    return OriginBoundAuth(inbound_url, WEBHOOK_HASH_HEADER, value)
