"""The settings of the tap that it does not share with the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_jetti.errors import SettingsError
from tap_jetti.facts import resources
from tap_jetti.facts.timestamps import normalise
from tap_jetti.process.settings import DAY
from tap_jetti.tap.column_names import STYLES
from tap_jetti.tap.invalid_values import POLICIES

if TYPE_CHECKING:
    from collections.abc import Mapping

_INCLUDE: th.JSONTypeHelper[Any] = th.ArrayType(
    th.ObjectType(
        th.Property("model", th.StringType(nullable=False), required=True),
        th.Property("attributes", th.ArrayType(th.StringType)),
        th.Property("include", th.ArrayType(th.ObjectType(additional_properties=True))),
    )
)

EARLIEST_END = "1970-01-01T00:00:00.000Z"
"""Rows are not read up to this time or an earlier one."""

_LARGEST_PAGE = 100_000
"""Rows that a setting may ask for per page. A page is held in memory."""

TAP_SETTINGS = th.PropertiesList(
    th.Property(
        "start_date",
        th.DateTimeType(nullable=False),
        title="Start date",
        description="Earliest `updatedAt` to sync, unless the bookmark is later. Default: all rows."
        " Streams without `updatedAt` are read in full.",
    ),
    th.Property(
        "end_date",
        th.DateTimeType(nullable=False),
        title="End date",
        description="Sync only rows whose `updatedAt` is before this date."
        " Streams without `updatedAt` are read in full.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(nullable=False, minimum=1, maximum=_LARGEST_PAGE),
        title="Page size",
        description="Number of rows to request per page. Default: begin with 100, and request more as long as"
        " the server returns as many.",
    ),
    th.Property(
        "max_page_size",
        th.IntegerType(nullable=False, minimum=1, maximum=_LARGEST_PAGE),
        default=1000,
        title="Maximum page size",
        description="Largest number of rows to request per page if page_size is not set.",
    ),
    th.Property(
        "bookmark_lag",
        th.NumberType(nullable=False, minimum=0, maximum=30 * DAY),
        default=10,
        title="Bookmark lag",
        description="Seconds to keep bookmarks behind the server's clock,"
        " so that rows of transactions that commit late are not missed.",
    ),
    th.Property(
        "unknown_fields",
        th.StringType(nullable=False, allowed_values=["warn", "keep", "error"]),
        default="warn",
        title="Unknown fields",
        description="What to do with fields that are not in the schema. warn: leave them out and log a warning."
        " keep: put them into the column _unmapped. error: fail the stream.",
    ),
    th.Property(
        "invalid_values",
        th.StringType(nullable=False, allowed_values=list(POLICIES)),
        default="null",
        title="Invalid values",
        description="What to do with values that do not fit the type of their column, such as a text in a number."
        " null: write null and log a warning; with unknown_fields keep, the original goes into _unmapped."
        " keep: write them as they are and log a warning. fail: fail the stream.",
    ),
    th.Property(
        "column_names",
        th.StringType(nullable=False, allowed_values=list(STYLES)),
        default="api",
        title="Column names",
        description="How to name columns. api: as the API spells them, such as updatedAt. snake_case: updated_at."
        " If you change it, create a new catalog. Bookmarks stay valid.",
    ),
    th.Property(
        "verify_counts",
        th.StringType(nullable=False, allowed_values=["auto", "always", "never"]),
        default="auto",
        title="Verify counts",
        description="When to prove by the server's own count that no row is missing. auto: once a week per stream,"
        " and whenever a page may have been cut. always: in each run. never: not at all. true means auto, false never.",
    ),
    th.Property(
        "include",
        th.ObjectType(additional_properties=_INCLUDE, nullable=False),
        default={},
        title="Include",
        description="Associated models to extract with the rows of a stream,"
        " by stream name: a list of {model, attributes, include}.",
    ),
    th.Property(
        "id_snapshots",
        th.ArrayType(th.StringType(nullable=False, allowed_values=list(resources.names())), nullable=False),
        default=[],
        title="Id snapshots",
        description="Streams whose current ids are also extracted, into a stream `<stream>_ids`,"
        " to detect deleted rows.",
    ),
    th.Property(
        "select",
        th.ArrayType(th.StringType(nullable=False), nullable=False),
        default=[],
        title="Select",
        description="Streams and fields to read, by patterns as Meltano's: sales (its default fields), sales.*,"
        " sales.total, purchase_*, !sales.billing*. Not together with a catalog, so not with Meltano, which has its"
        " own select. Default: the streams that are selected by default.",
    ),
    th.Property(
        "summary_path",
        th.StringType,
        title="Summary path",
        description="File for the closing summary of the run in JSON: outcome, exit code, cause, and the figures of"
        " each stream. It is also written if the run fails. Default: none.",
    ),
    th.Property(
        "progress",
        th.StringType(nullable=False, allowed_values=["auto", "always", "never"]),
        default="auto",
        title="Progress",
        description="How to report the progress of a stream. auto: a live line if standard error is a terminal."
        " always: also a log line every 30 s if it is not. never: only the line of the run at its end.",
    ),
)
"""All settings of the tap itself."""


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check what a JSON Schema cannot express.

    Raises:
        SettingsError: A date is invalid, the dates are in the wrong order, or `include` names an unknown stream.
    """
    start, end = date_setting(settings, "start_date"), date_setting(settings, "end_date")
    if end and end <= EARLIEST_END:
        raise SettingsError(f"end_date {end} must be after {EARLIEST_END}: no row is older.")
    if start and end and start >= end:
        raise SettingsError(f"start_date {start} must be before end_date {end}.")
    unknown = sorted(set(settings.get("include", ())) - set(resources.names()))
    if unknown:
        raise SettingsError(
            f"The setting include names unknown streams: {', '.join(unknown)}."
            " List the streams with tap-jetti --discover."
        )


def rename_old_values(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with the older values of `verify_counts`, true and false, by their present names.

    The schema must not allow booleans: of a setting that may be one, the SDK makes every text of the environment one.
    """
    renamed = dict(settings)
    names = {"true": "auto", "false": "never"}
    value = str(renamed.get("verify_counts")).lower()
    if value in names:
        renamed["verify_counts"] = names[value]
    return renamed


def date_setting(settings: Mapping[str, Any], name: str) -> str | None:
    """Return a date setting in the normal form of `tap_jetti.facts.timestamps`, or None if it is not set.

    Raises:
        SettingsError: It is not a date.
    """
    value = settings.get(name)
    if value is None:
        return None
    try:
        return normalise(str(value))
    except ValueError as error:
        raise SettingsError(f"Invalid {name}: {error}.") from error
