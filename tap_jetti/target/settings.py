"""The settings of the target alone, and what must hold between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_jetti.errors import SettingsError
from tap_jetti.target.actions import ACTIONS
from tap_jetti.target.actions.action import LARGEST_BATCH
from tap_jetti.target.feed_file.formats import FORMATS
from tap_jetti.target.feed_file.location import FeedLocation

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGET_SETTINGS = th.PropertiesList(
    th.Property(
        "inbound_url",
        th.StringType(nullable=False),
        default="https://inbound.jetti.io/webhooks/",
        title="Inbound URL",
        description="Base of the asynchronous inbound API.",
    ),
    th.Property(
        "inbound_rate_limit",
        th.NumberType(nullable=False, exclusive_minimum=0),
        default=20,
        title="Inbound rate limit",
        description="Units a second for the inbound API; a call costs 2, so 20 are 10 calls or 500 records a second.",
    ),
    th.Property(
        "delivery",
        th.StringType(nullable=False, allowed_values=["inbound", "api", "file"]),
        default="inbound",
        title="Delivery",
        description="How records go: inbound in batches, through the API with an answer to each call,"
        " or as a file that Jetti fetches. Actions that know one way only take it.",
    ),
    th.Property(
        "stream_actions",
        th.ObjectType(
            additional_properties=th.StringType(nullable=False, allowed_values=list(ACTIONS)), nullable=False
        ),
        default={},
        title="Stream actions",
        description="What the records of a stream are written with, by stream name; by default the action of that name."
        f" Actions: {', '.join(ACTIONS)}.",
    ),
    th.Property(
        "inventory_feed_id",
        th.IntegerType(nullable=False, minimum=1),
        title="Inventory feed id",
        description="The inventory feed of records that name none.",
    ),
    th.Property(
        "inventory_feed_hash",
        th.StringType(nullable=False, min_length=1),
        secret=True,
        title="Inventory feed hash",
        description="The webhook hash of that feed. Looked up with the token if it is left out.",
    ),
    th.Property(
        "channel_id",
        th.IntegerType(nullable=False, minimum=1),
        title="Channel id",
        description="The channel of records that name none. Of a custom channel's two ids its channelId.",
    ),
    th.Property(
        "channel_hash",
        th.StringType(nullable=False, min_length=1),
        secret=True,
        title="Channel hash",
        description="The webhook hash of that channel. Looked up with the token if it is left out.",
    ),
    th.Property(
        "batch_size",
        th.IntegerType(nullable=False, minimum=1, maximum=LARGEST_BATCH),
        default=LARGEST_BATCH,
        title="Batch size",
        description="Records of one call at most.",
    ),
    th.Property(
        "skip_unchanged",
        th.BooleanType(nullable=False),
        default=True,
        title="Skip unchanged",
        description="Read what the inventory feed has, and send only what differs.",
    ),
    th.Property(
        "confirm_seconds",
        th.NumberType(nullable=False, minimum=0),
        default=0,
        title="Confirm seconds",
        description="How long what Jetti takes before looking at it, inbound or as a batch of connections, may take to"
        " show before it counts as rejected; 0 does not look.",
    ),
    th.Property(
        "max_updates",
        th.IntegerType(nullable=False, minimum=0),
        title="Most updates",
        description="Inventory feed variants to send at most, for the plan's daily limit. The rest is left for the"
        " next run.",
    ),
    th.Property(
        "max_updates_order",
        th.StringType(nullable=False, allowed_values=["arrival", "largest_change"]),
        default="arrival",
        title="Order of updates",
        description="Which ones go if there are more: the first to come, or those whose inventory changes most.",
    ),
    th.Property(
        "on_reject",
        th.StringType(nullable=False, allowed_values=["stop", "set_aside"]),
        default="stop",
        title="On reject",
        description="Stop at the first record that cannot be written, or set it aside and exit with 1 at the end.",
    ),
    th.Property(
        "rejects_path",
        th.StringType(nullable=False, min_length=1),
        title="Rejects path",
        description="Where records are set aside, as Singer messages: feed the file back in to try them again.",
    ),
    th.Property(
        "dry_run",
        th.BooleanType(nullable=False),
        default=False,
        title="Dry run",
        description="Read and compare, print the plan, write nothing.",
    ),
    th.Property(
        "feed_path",
        th.StringType(nullable=False, min_length=1),
        title="Feed path",
        description="Where delivery file puts the inventory: a path, or a URL such as ftp://host/inventory.csv"
        " without credentials, which come from the environment.",
    ),
    th.Property(
        "feed_format",
        th.StringType(nullable=False, allowed_values=list(FORMATS)),
        default="csv",
        title="Feed format",
        description="What delivery file writes.",
    ),
)
"""The settings of the target, besides those of everything that talks to Jetti."""


def check_settings(config: Mapping[str, Any]) -> None:
    """Refuse settings that contradict each other.

    Args:
        config: The settings, each valid by itself.

    Raises:
        SettingsError: Some do not go together.
    """
    if config["on_reject"] == "set_aside" and not config.get("rejects_path"):
        raise SettingsError("on_reject set_aside needs rejects_path: where are rejected records to be set aside?")
    if config["delivery"] == "file":
        if not config.get("feed_path"):
            raise SettingsError("delivery file needs feed_path: where is the file to be put?")
        FeedLocation(config["feed_path"]).check()
    if config["max_updates_order"] == "largest_change" and not config["skip_unchanged"]:
        raise SettingsError("max_updates_order largest_change needs skip_unchanged: changes are known by comparing.")
    if config.get("inventory_feed_hash") and config["skip_unchanged"] and not config.get("inventory_feed_id"):
        raise SettingsError(
            "skip_unchanged needs inventory_feed_id: the hash alone does not tell which feed to compare with."
            " Set inventory_feed_id, or skip_unchanged to false."
        )
    if config["confirm_seconds"] and config["delivery"] == "inbound":
        for owner in ("inventory_feed", "channel"):
            if config.get(f"{owner}_hash") and not config.get(f"{owner}_id"):
                raise SettingsError(
                    f"confirm_seconds needs {owner}_id: the hash alone does not tell where to read back."
                    f" Set {owner}_id, or confirm_seconds to 0."
                )
