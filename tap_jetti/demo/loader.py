#!/usr/bin/env python3
"""The loader of the demo: a Singer target that stores every value exactly in a DuckDB file.

The published loader for DuckDB goes through CSV. With current versions of DuckDB it takes the first
row of each batch for a header, drops quotes around texts, and turns empty texts into null. This one
passes the records to DuckDB as JSON. It is made for the demo only.
"""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import duckdb
import simplejson
from singer_sdk import Target
from singer_sdk import typing as th
from singer_sdk.sinks import BatchSink
from typing_extensions import override

from tap_jetti.facts.kinds import Kind, items_of, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMN_TYPES = {
    Kind.TEXT: "VARCHAR",
    Kind.INTEGER: "BIGINT",
    Kind.NUMBER: "DECIMAL(38, 10)",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.DATE: "TIMESTAMP",
    Kind.JSON: "JSON",
}
"""The column type of each kind of property, except arrays."""

MAX_RECORD_BYTES = 64 * 1024 * 1024
"""Maximum size of one record in bytes. The default of DuckDB is 16 MiB."""


def column_type(facts: Mapping[str, Any]) -> str:
    """Return the type of the column for a property, such as ``VARCHAR[]``.

    Args:
        facts: The JSON Schema of the property.
    """
    kind = kind_of(facts)
    return f"{column_type(items_of(facts))}[]" if kind is Kind.ARRAY else COLUMN_TYPES[kind]


class WarehouseSink(BatchSink):
    """Writes one table. A row replaces the row with the same key."""

    def __init__(self, target: TargetWarehouse, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - the SDK's own
        super().__init__(target, *arguments, **named)
        self._database = target.database

    @cached_property
    def columns(self) -> dict[str, str]:
        """The type of each column."""
        return {name: column_type(facts) for name, facts in self.schema["properties"].items()}

    @override
    def setup(self) -> None:
        key = ", ".join(f'"{name}"' for name in self.key_properties)
        columns = ", ".join(f'"{name}" {kind}' for name, kind in self.columns.items())
        self._database.execute(f'CREATE TABLE IF NOT EXISTS "{self.stream_name}" ({columns}, PRIMARY KEY ({key}))')
        known = {row[0] for row in self._database.execute(f'DESCRIBE "{self.stream_name}"').fetchall()}
        for name in self.columns.keys() - known:
            self._database.execute(f'ALTER TABLE "{self.stream_name}" ADD COLUMN "{name}" {self.columns[name]}')

    @override
    def process_batch(self, context: dict[str, Any]) -> None:
        # Of several rows with the same key only the last one counts: one statement cannot replace a row twice.
        latest = {tuple(record[name] for name in self.key_properties): record for record in context["records"]}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "batch.ndjson"
            with file.open("w", encoding="utf-8") as lines:
                for record in latest.values():
                    lines.write(simplejson.dumps(record, use_decimal=True, default=str, ensure_ascii=False) + "\n")
            self._database.execute(
                f'INSERT OR REPLACE INTO "{self.stream_name}" BY NAME '  # noqa: S608 - names are from the schema
                "SELECT * FROM read_json(?, format = 'newline_delimited', "
                f"columns = {self.columns}, maximum_object_size = {MAX_RECORD_BYTES})",
                [str(file)],
            )


class TargetWarehouse(Target):
    """Loads Singer streams into a DuckDB file."""

    name = "target-warehouse"
    package_name = "tap-jetti"
    default_sink_class = WarehouseSink
    config_jsonschema = th.PropertiesList(
        th.Property(
            "path",
            th.StringType(nullable=False),
            required=True,
            title="Path",
            description="Path of the DuckDB file. It is created if it does not exist.",
        ),
    ).to_dict()

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401 - the SDK's own
        super().__init__(**arguments)
        self.max_parallelism = 1  # all sinks share one connection

    @cached_property
    def database(self) -> duckdb.DuckDBPyConnection:
        """The connection to the file."""
        return duckdb.connect(self.config["path"])


if __name__ == "__main__":
    cast("Any", TargetWarehouse).cli()
