"""The settings of the target besides those that it shares with the tap, and the rules between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_jetti.errors import SettingsError
from tap_jetti.process.settings import DAY, RATE
from tap_jetti.target.actions import ACTIONS, is_action
from tap_jetti.target.actions.action import DELETED_ROWS, LARGEST_BATCH, REJECT
from tap_jetti.target.feed_file.feed_file import MERGE, REPLACE
from tap_jetti.target.feed_file.formats import FORMATS
from tap_jetti.target.feed_file.places import place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGET_SETTINGS = th.PropertiesList(
    th.Property(
        "inbound_url",
        th.StringType(nullable=False),
        default="https://inbound.jetti.io/webhooks/",
        title="Inbound URL",
        description="Base URL of the asynchronous inbound API.",
    ),
    th.Property(
        "inbound_rate_limit",
        RATE,
        default=20,
        title="Inbound rate limit",
        description="Rate limit of the inbound API in units per second. A call costs 2 units, so 20 units allow 10"
        " calls or 500 records per second.",
    ),
    th.Property(
        "delivery",
        th.StringType(nullable=False, allowed_values=["inbound", "api", "file"]),
        default="inbound",
        title="Delivery",
        description="How to send records. inbound: in batches that Jetti processes later. api: in calls that Jetti"
        " answers with their result. file: into a file that Jetti fetches. An action that supports only inbound or"
        " only api uses that.",
    ),
    th.Property(
        "stream_actions",
        th.ObjectType(additional_properties=th.StringType(nullable=False), nullable=False),
        default={},
        title="Stream actions",
        description="The action that writes the records of a stream, by stream name. By default the action with the"
        f" name of the stream. Actions: {', '.join(ACTIONS)}; and, to update rows of one resource by id,"
        " its name with _updates, such as sales_updates.",
    ),
    th.Property(
        "inventory_feed_id",
        th.IntegerType(nullable=False, minimum=1),
        title="Inventory feed id",
        description="Id of the inventory feed to use for records without inventoryFeedId.",
    ),
    th.Property(
        "inventory_feed_hash",
        th.StringType(nullable=False, min_length=1),
        secret=True,
        title="Inventory feed hash",
        description="Webhook hash of the feed in inventory_feed_id. By default it is looked up with the token.",
    ),
    th.Property(
        "channel_id",
        th.IntegerType(nullable=False, minimum=1),
        title="Channel id",
        description="Id of the channel to use for records without channelId."
        " A custom channel has two ids: use its channelId.",
    ),
    th.Property(
        "channel_hash",
        th.StringType(nullable=False, min_length=1),
        secret=True,
        title="Channel hash",
        description="Webhook hash of the channel in channel_id. By default it is looked up with the token.",
    ),
    th.Property(
        "batch_size",
        th.IntegerType(nullable=False, minimum=1, maximum=LARGEST_BATCH),
        default=LARGEST_BATCH,
        title="Batch size",
        description="The largest number of records per call.",
    ),
    th.Property(
        "skip_unchanged",
        th.BooleanType(nullable=False),
        default=True,
        title="Skip unchanged",
        description="Compare records with what Jetti has, and send only those that differ.",
    ),
    th.Property(
        "ledger",
        th.StringType(nullable=False, min_length=1),
        default="auto",
        title="Ledger",
        description="Where to remember, per account, which rows Jetti has shown and what was sent. auto: in the user's"
        " state directory. none: nothing is remembered from run to run. Otherwise the path of a folder.",
    ),
    th.Property(
        "confirm_seconds",
        th.NumberType(nullable=False, minimum=0, maximum=30 * DAY),
        default=0,
        title="Confirm seconds",
        description="Seconds to wait for asynchronously accepted writes to become visible; those that do not are"
        " rejected. 0: do not check.",
    ),
    th.Property(
        "max_updates",
        th.IntegerType(nullable=False, minimum=0),
        title="Maximum updates",
        description="The largest number of inventory feed variants to send in one run, for instance the daily limit of"
        " the plan. The others are left for the next run.",
    ),
    th.Property(
        "max_updates_order",
        th.StringType(nullable=False, allowed_values=["arrival", "largest_change"]),
        default="arrival",
        title="Order of updates",
        description="Which variants are sent if there are more than max_updates: the first to arrive, or those with the"
        " largest change of inventory.",
    ),
    th.Property(
        "on_reject",
        th.StringType(nullable=False, allowed_values=["stop", "set_aside"]),
        default="stop",
        title="On reject",
        description="What to do with a record that cannot be written: stop the run, or set the record aside, continue,"
        " and exit with 1 at the end.",
    ),
    th.Property(
        "rejects_path",
        th.StringType(nullable=False, min_length=1),
        title="Rejects path",
        description="The file for records that are set aside, as Singer messages. Send this file to the target to retry"
        " them.",
    ),
    th.Property(
        "deleted_rows",
        th.StringType(nullable=False, allowed_values=list(DELETED_ROWS)),
        default=REJECT,
        title="Deleted rows",
        description="What to do with a record whose row the source has deleted, as _sdc_deleted_at says. reject: reject"
        " the record. remove: remove the inventory feed variant, or disconnect what was acknowledged. zero: set the"
        " inventory to 0. ignore: skip the record. An action that supports neither remove nor zero rejects it.",
    ),
    th.Property(
        "unknown_fields",
        th.StringType(nullable=False, allowed_values=["warn", "error"]),
        default="warn",
        title="Unknown fields",
        description="What to do with a column that means no field of the action. warn: log its name and do not send it."
        " error: reject the record. A name that is close to a known one is always rejected.",
    ),
    th.Property(
        "dry_run",
        th.BooleanType(nullable=False),
        default=False,
        title="Dry run",
        description="Read and compare, print what would be sent, and write nothing.",
    ),
    th.Property(
        "feed_path",
        th.StringType(nullable=False, min_length=1),
        title="Feed path",
        description="Path or URL of the inventory file if delivery is file: a path, ftp://, ftps:// (TLS), sftp://,"
        " s3://, or any other URL of fsspec. Do not put credentials into the URL; set them in the environment, as"
        " FSSPEC_FTP_USERNAME and FSSPEC_FTP_PASSWORD.",
    ),
    th.Property(
        "feed_format",
        th.StringType(nullable=False, allowed_values=list(FORMATS)),
        default="csv",
        title="Feed format",
        description="Format of the inventory file if delivery is file.",
    ),
    th.Property(
        "feed_mode",
        th.StringType(nullable=False, allowed_values=[REPLACE, MERGE]),
        title="Feed mode",
        description="What the input is if delivery is file. replace: the whole inventory; rows that are not in it leave"
        " the file. merge: what changed since the last run; other rows stay.",
    ),
    th.Property(
        "feed_shrink_percent",
        th.NumberType(nullable=False, minimum=0, maximum=100),
        default=50,
        title="Feed shrink percent",
        description="The largest share of its rows that the inventory file may lose in one run. A run that would remove"
        " more, or all, fails and leaves the file as it is.",
    ),
)
"""The settings of the target besides those that it shares with the tap."""


def check_settings(config: Mapping[str, Any]) -> None:
    """Check settings that depend on each other.

    Args:
        config: The settings; each of them is valid by itself.

    Raises:
        SettingsError: A setting needs another one.
    """
    _check_actions(config["stream_actions"])
    if config["on_reject"] == "set_aside" and not config.get("rejects_path"):
        raise SettingsError("on_reject set_aside needs rejects_path: the file for the rejected records.")
    if config["delivery"] == "file":
        if not config.get("feed_path"):
            raise SettingsError("delivery file needs feed_path: the path or URL of the file to write.")
        place = place_of(config["feed_path"], timeout=config["timeout"])
        if not config.get("feed_mode"):
            raise SettingsError(
                "delivery file needs feed_mode. Set it to replace if the input is always the whole inventory: rows that"
                " are not in it leave the file. Set it to merge if the input holds only what changed since the last"
                " run, as that of an incremental tap does: other rows stay."
            )
        place.check()
    _check_max_updates(config)
    if config.get("inventory_feed_hash") and config["skip_unchanged"] and not config.get("inventory_feed_id"):
        raise SettingsError(
            "skip_unchanged needs inventory_feed_id if inventory_feed_hash is set: the hash does not tell which feed to"
            " compare with. Set inventory_feed_id, or set skip_unchanged to false."
        )
    if config["confirm_seconds"] and config["delivery"] == "inbound":
        for owner in ("inventory_feed", "channel"):
            if config.get(f"{owner}_hash") and not config.get(f"{owner}_id"):
                raise SettingsError(
                    f"confirm_seconds needs {owner}_id if {owner}_hash is set: the hash does not tell where to check."
                    f" Set {owner}_id, or set confirm_seconds to 0."
                )


def _check_max_updates(config: Mapping[str, Any]) -> None:
    if config["max_updates_order"] == "largest_change" and not config["skip_unchanged"]:
        raise SettingsError(
            "max_updates_order largest_change needs skip_unchanged: the size of a change is known only by comparing."
        )
    if config.get("max_updates") is not None and not config["skip_unchanged"] and config["ledger"] == "none":
        raise SettingsError(
            "max_updates needs skip_unchanged or the ledger: without both, every run would send the same records and"
            " leave the same ones. Set skip_unchanged to true, or set ledger to auto or a folder."
        )


def _check_actions(stream_actions: Mapping[str, str]) -> None:
    for stream, name in stream_actions.items():
        if not is_action(name):
            raise SettingsError(
                f"stream_actions maps stream {stream} to {name}, which is no action. Use one of: {', '.join(ACTIONS)};"
                " or the updates of one resource, such as sales_updates."
            )
