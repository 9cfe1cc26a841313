"""The settings that tap and target share, and the session that is built from them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_jetti import __version__
from tap_jetti.client.account import account_key
from tap_jetti.client.hosts import Host, origin_of, parse_base_url
from tap_jetti.client.rate_limit import RateLimiter, open_store
from tap_jetti.client.session import JettiSession
from tap_jetti.errors import SettingsError
from tap_jetti.facts.redaction import Redactor

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from tap_jetti.client.clock import Clock

DAY = 24 * 60 * 60
"""Seconds. Settings have bounds, as clocks and sockets do: beyond these, a time is a mistake."""

RATE: th.JSONTypeHelper[Any] = th.NumberType(
    nullable=False,
    minimum=0.001,  # type: ignore[arg-type]  # the SDK means integers, JSON Schema any number
    maximum=1_000_000_000,
)
"""The type of units per second, and of units."""

CLIENT_SETTINGS = th.PropertiesList(
    th.Property(
        "api_token",
        th.StringType(nullable=False, min_length=1),
        required=True,
        secret=True,
        title="API token",
        description="API token. Create it in Jetti under Integrations > Api. It belongs to one company and one role.",
    ),
    th.Property(
        "account",
        th.StringType(nullable=False, min_length=1),
        title="Account",
        description="Any text that names the account. Processes with the same text share one rate limit, even if their"
        " tokens belong to different API users. Default: a hash of host and token.",
    ),
    th.Property(
        "api_url",
        th.StringType(nullable=False),
        default="https://api.jetti.io/api/",
        title="API URL",
        description="Base URL of the API. Jetti was renamed to Onport: https://api.onport.com/api/ works, too.",
    ),
    th.Property(
        "allow_http",
        th.BooleanType(nullable=False),
        default=False,
        title="Allow http",
        description="Whether a URL of Jetti may begin with http:// if its host is another machine. The token is then"
        " sent unencrypted.",
    ),
    th.Property(
        "user_agent",
        th.StringType(nullable=False),
        default=f"tap-jetti/{__version__}",
        title="User agent",
        description="User-Agent header of every request.",
    ),
    th.Property(
        "timeout",
        th.NumberType(nullable=False, exclusive_minimum=0, maximum=DAY),
        default=60,
        title="Time-out",
        description="Read timeout in seconds. A request that times out, or takes five times that in all, is retried.",
    ),
    th.Property(
        "retry_seconds",
        th.NumberType(nullable=False, minimum=0, maximum=30 * DAY),
        default=300,
        title="Retry seconds",
        description="Seconds during which a request that fails is retried. After that it is an error.",
    ),
    th.Property(
        "rate_limit",
        RATE,
        default=2,
        title="Rate limit",
        description="Rate limit of the account in units per second. A GET costs 1 unit, any other request 2.",
    ),
    th.Property(
        "rate_limit_burst",
        RATE,
        default=2,
        title="Rate limit burst",
        description="Capacity of the account's leaky bucket in units: how much may be sent at once.",
    ),
    th.Property(
        "rate_limit_store",
        th.StringType,
        title="Rate limit store",
        description="Where the state of the rate limit is kept, so that processes of the same account share it:"
        " sqlite:///path (this machine), redis://host:port/db (several machines) or memory:// (this process only)."
        " Default: a file in the user's state directory.",
    ),
    th.Property(
        "rate_limit_fallback",
        th.StringType(nullable=False, allowed_values=["half", "fail"]),
        default="half",
        title="Rate limit fallback",
        description="What to do if the rate limit store fails. half: continue at half the rate."
        " fail: stop with an error.",
    ),
    th.Property(
        "concurrency",
        th.IntegerType(nullable=False, minimum=1, maximum=64),
        default=8,
        title="Concurrency",
        description="Maximum number of concurrent requests. All of them keep to the rate limit.",
    ),
)
"""The settings of every plug-in that sends requests to Jetti."""

INBOUND_BURST = 4.0
"""Burst of the inbound API in units: two calls. It is not documented."""

_DEFAULTS = {
    name: setting["default"]
    for name, setting in CLIENT_SETTINGS.to_dict()["properties"].items()
    if "default" in setting
}


def settings_schema(own: th.PropertiesList) -> dict[str, Any]:
    """The JSON Schema of a plug-in's settings: the shared ones, then its own."""
    return th.PropertiesList(*CLIENT_SETTINGS.wrapped.values(), *own.wrapped.values()).to_dict()


def account_of(config: Mapping[str, Any]) -> str:
    """The key of the account that the settings describe: what belongs to it alone is kept under this name."""
    url = config.get("api_url", _DEFAULTS["api_url"])
    return account_key(
        config.get("account"),
        host=":".join(str(part) for part in origin_of(url)[1:]),
        token=str(config["api_token"]).strip(),
    )


def open_session(
    config: Mapping[str, Any], *, clock: Clock, logger: logging.Logger, redactor: Redactor | None = None
) -> JettiSession:
    """The session that the settings describe, with an inbound API if they have an `inbound_url`. Nothing is sent yet.

    Args:
        config: The settings, validated against the plug-in's schema.
        clock: The clock to measure and wait with.
        logger: The logger for retries and for failures of the rate limit's store.
        redactor: What errors must not show, in addition to the token.

    Raises:
        SettingsError: A setting is invalid.
    """
    # The numbers of a config file are decimals, which do not mix with the floats of a clock.
    settings: dict[str, Any] = {
        name: float(value) if isinstance(value, Decimal) else value for name, value in {**_DEFAULTS, **config}.items()
    }
    token = str(settings["api_token"]).strip()  # a token that was read from a file ends in a newline
    if not (token.isascii() and token.isprintable()):
        raise SettingsError("api_token contains invalid characters. Copy it again from Integrations > Api.")
    if not settings["user_agent"].isprintable() or not settings["user_agent"].isascii():
        raise SettingsError("user_agent must be printable ASCII text: it is sent as a header.")
    redactor = redactor or Redactor()
    redactor.learn(token)
    account, allow_http = settings.get("account"), settings["allow_http"]

    def limiter(url: str, rate: float, burst: float, *, prefix: str = "") -> RateLimiter:
        try:
            store = open_store(
                settings.get("rate_limit_store"),
                host=prefix + ":".join(str(part) for part in origin_of(url)[1:]),
                token=token,
                account=account and prefix + account,
                fallback=settings["rate_limit_fallback"],
                clock=clock,
                logger=logger,
            )
            return RateLimiter(store, rate=rate, burst=burst, clock=clock)
        except ValueError as error:
            raise SettingsError(str(error)) from error

    api_url = parse_base_url(settings["api_url"], "api_url", default_path="/api/", allow_http=allow_http)
    inbound = None
    if settings.get("inbound_url"):
        inbound_url = parse_base_url(
            settings["inbound_url"], "inbound_url", default_path="/webhooks/", allow_http=allow_http
        )
        # The prefix gives the inbound API a bucket of its own even if a test serves both APIs on one address.
        inbound = Host.inbound(
            inbound_url,
            limiter=limiter(inbound_url, settings["inbound_rate_limit"], INBOUND_BURST, prefix="inbound "),
        )
    return JettiSession(
        Host.api(api_url, token=token, limiter=limiter(api_url, settings["rate_limit"], settings["rate_limit_burst"])),
        inbound,
        clock=clock,
        retry_seconds=settings["retry_seconds"],
        timeout=settings["timeout"],
        user_agent=settings["user_agent"],
        connections=settings["concurrency"] + 1,  # one more for the main thread of the target
        redactor=redactor,
        dry_run=bool(settings.get("dry_run")),
        logger=logger,
    )
