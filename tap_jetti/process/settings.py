"""The settings that tap and target share, stated once, and the session that they describe."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_jetti import __version__
from tap_jetti.client.auth import origin_of
from tap_jetti.client.rate_limit import RateLimiter, open_store
from tap_jetti.client.session import JettiSession, base_url
from tap_jetti.errors import SettingsError

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from tap_jetti.client.clock import Clock

CLIENT_SETTINGS = th.PropertiesList(
    th.Property(
        "api_token",
        th.StringType(nullable=False, min_length=1),
        required=True,
        secret=True,
        title="API token",
        description="Token of an API user: Integrations > Api in Jetti. Scoped to one company and one role.",
    ),
    th.Property(
        "api_url",
        th.StringType(nullable=False),
        default="https://api.jetti.io/api/",
        title="API URL",
        description="Base of the API. Since the rename https://api.onport.com/api/ answers too.",
    ),
    th.Property(
        "user_agent",
        th.StringType(nullable=False),
        default=f"tap-jetti/{__version__}",
        title="User agent",
        description="The User-Agent header of every request.",
    ),
    th.Property(
        "timeout",
        th.NumberType(nullable=False, exclusive_minimum=0),
        default=60,
        title="Time-out",
        description="Seconds without any data after which a request is given up and tried again.",
    ),
    th.Property(
        "retry_seconds",
        th.NumberType(nullable=False, minimum=0),
        default=300,
        title="Retry seconds",
        description="How long one request is tried before the run fails.",
    ),
    th.Property(
        "rate_limit",
        th.NumberType(nullable=False, exclusive_minimum=0),
        default=2,
        title="Rate limit",
        description="Units a second that the account allows. A GET costs 1 unit, anything else 2.",
    ),
    th.Property(
        "rate_limit_burst",
        th.NumberType(nullable=False, exclusive_minimum=0),
        default=2,
        title="Rate limit burst",
        description="Units that the account's leaky bucket holds.",
    ),
    th.Property(
        "rate_limit_store",
        th.StringType,
        title="Rate limit store",
        description="Where processes that use the same token share its limit: memory:// (not at all),"
        " sqlite:///path (one machine), redis://host:port/db (several). By default a file of the user's.",
    ),
    th.Property(
        "rate_limit_fallback",
        th.StringType(nullable=False, allowed_values=["half", "fail"]),
        default="half",
        title="Rate limit fallback",
        description="What to do when a shared store is lost: go on alone at half the rate, or fail.",
    ),
    th.Property(
        "concurrency",
        th.IntegerType(nullable=False, minimum=1),
        default=8,
        title="Concurrency",
        description="Requests in flight at most, all within the rate limit.",
    ),
)
"""The settings of everything that talks to Jetti."""

INBOUND_BURST = 4.0
"""Units that the inbound bucket is taken to hold: two calls. Nothing is documented."""

_DEFAULTS = {
    name: setting["default"]
    for name, setting in CLIENT_SETTINGS.to_dict()["properties"].items()
    if "default" in setting
}


def plain_numbers(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with numbers as numbers: environment variables are text, and the SDK reads some as decimals.

    Args:
        config: The settings as they came.
        schema: The plug-in's settings; what is no number stays, for validation to refuse.
    """
    plain = dict(config)
    for name, facts in schema["properties"].items():
        if "number" in facts.get("type", ()) and isinstance(plain.get(name), (str, Decimal)):
            with suppress(ValueError):
                plain[name] = float(plain[name])
    return plain


def open_session(config: Mapping[str, Any], *, clock: Clock, logger: logging.Logger) -> JettiSession:
    """The session that a plug-in's settings describe. Nothing is sent yet.

    It has an inbound side if they have an inbound_url; its limit is kept in the same store.

    Args:
        config: The settings, already validated against the plug-in's schema.
        clock: What waits are measured and slept by.
        logger: Where retries and the loss of a store are reported.

    Raises:
        SettingsError: A setting does not work.
    """
    # A config file's numbers come as Decimal, which does not mix with the clock's.
    settings: dict[str, Any] = {
        name: float(value) if isinstance(value, Decimal) else value for name, value in {**_DEFAULTS, **config}.items()
    }
    token = str(settings["api_token"]).strip()  # files that hold a token end in a newline
    if not (token.isascii() and token.isprintable()):
        raise SettingsError("api_token has characters that no token has. Copy it again from Integrations > Api.")
    api_url = base_url(settings["api_url"], "api_url", default_path="/api/")
    inbound_url = settings.get("inbound_url")

    def limiter(url: str, rate: float, burst: float, *, side: str = "") -> RateLimiter:
        try:
            store = open_store(
                settings.get("rate_limit_store"),
                host=side + ":".join(str(part) for part in origin_of(url)[1:]),
                token=token,
                fallback=settings["rate_limit_fallback"],
                clock=clock,
                logger=logger,
            )
            return RateLimiter(store, rate=rate, burst=burst, clock=clock)
        except ValueError as error:
            raise SettingsError(str(error)) from error

    inbound_limiter = None
    if inbound_url:
        inbound_url = base_url(inbound_url, "inbound_url", default_path="/webhooks/")
        # The two hosts have limits of their own, also where a test serves both at one address.
        inbound_limiter = limiter(inbound_url, settings["inbound_rate_limit"], INBOUND_BURST, side="inbound ")
    return JettiSession(
        api_url=api_url,
        token=token,
        limiter=limiter(api_url, settings["rate_limit"], settings["rate_limit_burst"]),
        clock=clock,
        retry_seconds=settings["retry_seconds"],
        timeout=settings["timeout"],
        user_agent=settings["user_agent"],
        connections=settings["concurrency"] + 1,  # and the thread that reads the input
        inbound_url=inbound_url,
        inbound_limiter=inbound_limiter,
        logger=logger,
    )
