"""The two hosts of an account, each with its base URL, credentials, rate limit and proxies."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from requests.auth import AuthBase
from requests.utils import get_environ_proxies
from typing_extensions import Self, override

from tap_jetti.errors import RedirectError, SettingsError

if TYPE_CHECKING:
    from requests import PreparedRequest

    from tap_jetti.client.rate_limit import RateLimiter

WEBHOOK_HASH_HEADER = "jetti-webhook-hash"

_SEGMENT = r"[A-Za-z0-9_~-][A-Za-z0-9_~.-]*"
_PATH = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
"""A path below the base. An id or a name in it can neither climb with ``..`` nor begin a query or another host."""


@dataclass(frozen=True)
class Host:
    """Everything that belongs to one host. Build it with `api` or `inbound`.

    Attributes:
        base_url: The URL that paths are joined to, with a trailing slash, as from `parse_base_url`.
        limiter: The rate limit of the host. Each host has its own.
        auth: The credentials of requests to the host, or None if each request has its own.
        proxies: The proxies for the host by URL scheme, as in the environment when the host was built.
        setting: The setting that the base URL comes from, for messages.
    """

    base_url: str
    limiter: RateLimiter
    auth: OriginBoundAuth | None = field(default=None, repr=False)
    proxies: dict[str, str] = field(default_factory=dict, repr=False)
    setting: str = "api_url"

    @classmethod
    def api(cls, base_url: str, *, token: str, limiter: RateLimiter) -> Self:
        """The synchronous API, with a bearer token."""
        auth = OriginBoundAuth(base_url, "Authorization", f"Bearer {token}")
        return cls(base_url, limiter, auth, get_environ_proxies(base_url))

    @classmethod
    def inbound(cls, base_url: str, *, limiter: RateLimiter) -> Self:
        """The asynchronous inbound API. It takes the webhook hash of a feed or channel, another one per request."""
        return cls(base_url, limiter, proxies=get_environ_proxies(base_url), setting="inbound_url")

    def with_webhook_hash(self, value: str) -> Self:
        """The same host, with the webhook hash of one feed or channel as its credentials.

        Raises:
            SettingsError: The hash cannot be sent as a header.
        """
        value = value.strip()  # one that was read from a file ends in a newline
        if not (value.isascii() and value.isprintable()):
            raise SettingsError(
                "The webhook hash contains invalid characters. Correct inventory_feed_hash or channel_hash."
            )
        return replace(self, auth=OriginBoundAuth(self.base_url, WEBHOOK_HASH_HEADER, value))

    def url_of(self, path: str) -> str:
        """The URL of a path below the base, such as ``sales.json``.

        Raises:
            ValueError: The path is not plain: an id or a name in it would change what the URL means.
        """
        if not _PATH.fullmatch(path):
            raise ValueError("not a plain path")
        return self.base_url + path


class OriginBoundAuth(AuthBase):
    """Sets a secret header on requests to one origin, and raises on a request to any other.

    Args:
        url: Any URL of the origin that the secret belongs to.
        header: The name of the header.
        value: The secret.
    """

    def __init__(self, url: str, header: str, value: str) -> None:
        self._origin = origin_of(url)
        self._header = header
        self._value = value

    @override
    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if origin_of(request.url or "") != self._origin:
            raise RedirectError(
                "Did not send the credentials to another host",
                method=request.method or "GET",
                path=urlsplit(request.url or "").path or "/",
                advice="If Jetti has moved, correct api_url or inbound_url",
            )
        request.headers[self._header] = self._value
        return request


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a URL. The port defaults to the scheme's own."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port


def parse_base_url(url: str, setting: str, *, default_path: str, allow_http: bool = False) -> str:
    """The base URL that a setting stands for, with a trailing slash.

    Args:
        url: The value of the setting.
        setting: The name of the setting, for the error.
        default_path: The path to add if the URL has none.
        allow_http: Whether the token may be sent to another machine unencrypted.

    Raises:
        SettingsError: The URL is not an http or https URL, or it contains credentials or a query, or it is an http URL
            of another machine.
    """
    try:
        parts = urlsplit(url.strip())
        parts.port  # noqa: B018 - an invalid port raises only when it is read
    except ValueError as error:
        raise SettingsError(f"{setting} must be an http or https URL, such as https://host/api/.") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"{setting} must be an http or https URL, such as https://host/api/.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError(f"{setting} must be a plain URL without credentials, query or fragment.")
    if parts.scheme == "http" and not allow_http and not _is_this_machine(parts.hostname):
        raise SettingsError(
            f"{setting} begins with http://, so the token would be sent to {parts.hostname} unencrypted. Use https://,"
            " or set allow_http to true if nobody else can read the network."
        )
    path = parts.path.rstrip("/") + "/" if parts.path.strip("/") else default_path
    return f"{parts.scheme}://{parts.netloc}{path}"


def _is_this_machine(host: str) -> bool:
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)
