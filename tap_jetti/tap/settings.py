"""The settings of the tap, beside those that it shares with the target."""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

from tap_jetti.facts import resources

_INCLUDE: th.JSONTypeHelper[Any] = th.ArrayType(
    th.ObjectType(
        th.Property("model", th.StringType(nullable=False), required=True),
        th.Property("attributes", th.ArrayType(th.StringType)),
        th.Property("include", th.ArrayType(th.ObjectType(additional_properties=True))),
    )
)

TAP_SETTINGS = th.PropertiesList(
    th.Property(
        "start_date",
        th.DateTimeType(nullable=False),
        title="Start date",
        description="Rows changed from here on are read where no bookmark says more. By default all rows.",
    ),
    th.Property(
        "end_date",
        th.DateTimeType(nullable=False),
        title="End date",
        description="Rows changed from here on are not read: the exclusive end of a slice of a backfill.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(nullable=False, minimum=1),
        default=100,
        title="Page size",
        description="Rows asked for a page. The server may give fewer; more than 100 was never seen.",
    ),
    th.Property(
        "bookmark_lag",
        th.NumberType(nullable=False, minimum=0),
        default=10,
        title="Bookmark lag",
        description="Seconds that bookmarks stay behind the server's clock, for transactions that commit late.",
    ),
    th.Property(
        "unknown_fields",
        th.StringType(nullable=False, allowed_values=["warn", "keep", "error"]),
        default="warn",
        title="Unknown fields",
        description="Fields that no schema lists: leave out with a warning, keep under _unmapped, or fail.",
    ),
    th.Property(
        "verify_counts",
        th.BooleanType(nullable=False),
        default=True,
        title="Verify counts",
        description="Prove by the server's own count that each read is complete.",
    ),
    th.Property(
        "include",
        th.ObjectType(additional_properties=_INCLUDE, nullable=False),
        default={},
        title="Include",
        description="Associated models that rows carry along, by stream: lists of {model, attributes, include}.",
    ),
    th.Property(
        "id_snapshots",
        th.ArrayType(th.StringType(nullable=False, allowed_values=list(resources.names())), nullable=False),
        default=[],
        title="Id snapshots",
        description="Streams whose current ids are also emitted, as <stream>_ids, to find deleted rows by.",
    ),
    th.Property(
        "progress",
        th.StringType(nullable=False, allowed_values=["auto", "always", "never"]),
        default="auto",
        title="Progress",
        description="How far a stream is: live on a terminal (auto), where there is none every 30 s in the log"
        " (always), or not at all (never).",
    ),
)
"""All of them: what is read, from when to when, and what is done with oddities."""
