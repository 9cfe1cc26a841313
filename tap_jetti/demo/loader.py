#!/usr/bin/env python3
"""The demo's loader: a Singer target that keeps every value exactly, in a DuckDB file.

The published loader for DuckDB goes through CSV: with current versions of DuckDB the first row
of each batch is taken for a header, quotes around a text vanish, empty texts become null. This
one hands DuckDB the records as the JSON they are. For a real warehouse choose a real loader.
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

if TYPE_CHECKING:
    from collections.abc import Mapping

SCALARS = {"integer": "BIGINT", "number": "DECIMAL(38, 10)", "boolean": "BOOLEAN", "string": "VARCHAR"}
"""The column type of each JSON type that is no structure."""

LONGEST_RECORD = 64 * 1024 * 1024
"""Bytes of one record at most; DuckDB's own bound is 16 MiB."""


def column_type(facts: Mapping[str, Any]) -> str:
    """The type of the column that holds a property, such as ``VARCHAR[]``.

    Args:
        facts: The JSON Schema of the property.
    """
    types = [kind for kind in facts.get("type", ()) if kind != "null"]
    if types == ["array"] and facts.get("items"):
        return f"{column_type(facts['items'])}[]"
    if len(types) != 1 or types[0] not in SCALARS:
        return "JSON"
    return "TIMESTAMP" if facts.get("format") == "date-time" else SCALARS[types[0]]


class WarehouseSink(BatchSink):
    """One table: rows with a key that is already there replace the older ones."""

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
        latest = {tuple(record[name] for name in self.key_properties): record for record in context["records"]}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "batch.ndjson"
            with file.open("w", encoding="utf-8") as lines:
                for record in latest.values():
                    lines.write(simplejson.dumps(record, use_decimal=True, default=str, ensure_ascii=False) + "\n")
            self._database.execute(
                f'INSERT OR REPLACE INTO "{self.stream_name}" BY NAME '  # noqa: S608 - names from the schema
                "SELECT * FROM read_json(?, format = 'newline_delimited', "
                f"columns = {self.columns}, maximum_object_size = {LONGEST_RECORD})",
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
            description="The DuckDB file. It is made if there is none.",
        ),
    ).to_dict()

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401 - the SDK's own
        super().__init__(**arguments)
        self.max_parallelism = 1  # one connection

    @cached_property
    def database(self) -> duckdb.DuckDBPyConnection:
        """The connection to the file."""
        return duckdb.connect(self.config["path"])


if __name__ == "__main__":
    cast("Any", TargetWarehouse).cli()
