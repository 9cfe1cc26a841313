"""One table of the DuckDB file: its columns follow the SCHEMA and the values, its rows are replaced by key."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import InputError
from tap_jetti.facts.json_codec import encode_json
from tap_jetti.sync.warehouse.column_types import ColumnType, column_type, common_type

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping, Sequence

    import duckdb

VERSION_COLUMN = "_sdc_table_version"
"""The column with the version of rows that ACTIVATE_VERSION may replace, as other loaders name it."""

_SMALLEST_BUFFER = 16 * 1024 * 1024
"""The smallest buffer of DuckDB for one row, in bytes: its own default."""

_STAGED = '"_tap_jetti_staged"'

Row = dict[str, Any]


class Table:
    """Collects the rows of a stream and writes them in one go, within the transaction of the caller.

    Args:
        database: The connection to the file.
        name: The name of the stream, which is that of the table.
        schema: The JSON Schema of the rows.
        keys: The columns by which rows are replaced. Without any, rows are added.
        logger: Where columns that change are reported.

    Raises:
        InputError: The schema has a key that is not among its properties, or two names that DuckDB takes for one.
    """

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        name: str,
        *,
        schema: Mapping[str, Any],
        keys: Sequence[str],
        logger: logging.Logger,
    ) -> None:
        self.name = name
        self._database = database
        self._logger = logger
        self._keys = tuple(keys)
        self._wanted = {column: column_type(facts) for column, facts in schema.get("properties", {}).items()}
        self._check()
        self._columns: dict[str, ColumnType] = {}
        self._rows: dict[object, Row] = {}
        self.size = 0

    def _check(self) -> None:
        missing = [key for key in self._keys if key not in self._wanted]
        if missing or not self._wanted:
            what = f"the key {missing[0]} is not among its properties" if missing else "it has no properties"
            raise InputError(f"The SCHEMA of stream {self.name} is invalid: {what}.")
        spelled: dict[str, str] = {}
        for column in self._wanted:
            other = spelled.setdefault(column.lower(), column)
            if other != column:
                raise InputError(
                    f"Stream {self.name} has the columns {other} and {column}, which DuckDB takes for one."
                    " Deselect one of them."
                )

    def __len__(self) -> int:
        """The number of rows that wait."""
        return len(self._rows)

    def prepare(self) -> None:
        """Create the table, or add and change columns so that it holds what this schema announces."""
        stored = self._stored_columns()
        if not stored:
            columns = ", ".join(f"{quoted(column)} {kind.name}" for column, kind in self._wanted.items())
            self._database.execute(f"CREATE TABLE {quoted(self.name)} ({columns})")
            self._columns = dict(self._wanted)
            return
        spelled = {column.lower(): column for column in stored}
        for column, wanted in self._wanted.items():
            known = spelled.get(column.lower())
            if known is None:
                self._add(column, wanted)
            else:
                self._columns[column] = stored[known]
                self._change(column, common_type(stored[known], wanted), "its type in the SCHEMA has changed")

    def add(self, record: Row, *, size: int, version: int | None) -> None:
        """Take a row. It replaces the one with the same key, in the table and among those that wait.

        Args:
            record: The row.
            size: About how many bytes it takes.
            version: The version of the table, if the stream replaces it.

        Raises:
            InputError: It has no value for a key.
        """
        key: object = len(self._rows)
        if self._keys:
            key = tuple(record.get(name) for name in self._keys)
            if None in key:
                raise InputError(
                    f"A record of stream {self.name} has no {self._keys[key.index(None)]}, which is its key."
                )
        if version is not None:
            if VERSION_COLUMN not in self._wanted:
                self._wanted[VERSION_COLUMN] = ColumnType("BIGINT")
                self.prepare()
            record = {**record, VERSION_COLUMN: version}
        self._rows.pop(key, None)
        self._rows[key] = record
        self.size += size

    def flush(self) -> None:
        """Write the rows that wait."""
        if not self._rows:
            return
        rows = list(self._rows.values())
        with tempfile.TemporaryDirectory(prefix="tap-jetti-") as folder:
            file = Path(folder) / "rows.json"
            longest = self._stage(file, rows)
            self._load(file, longest)
        self._replace()
        self._rows.clear()
        self.size = 0

    def activate(self, version: int) -> None:
        """Delete the rows of all other versions: they were not among those that were sent."""
        self.flush()
        if VERSION_COLUMN not in self._wanted:  # no row has come: the whole resource is empty
            self._wanted[VERSION_COLUMN] = ColumnType("BIGINT")
            self.prepare()
        self._database.execute(
            f"DELETE FROM {quoted(self.name)} WHERE {VERSION_COLUMN} IS DISTINCT FROM ?",  # noqa: S608 - quoted
            [version],
        )

    def _stage(self, file: Path, rows: list[Row]) -> int:
        """Write the rows as JSON that has only texts, so that nothing but a cast decides on a value.

        Returns:
            The length of the longest line.
        """
        texts: list[list[str | None]] = []
        for column in self._columns:
            values = [row.get(column) for row in rows]
            texts.append(self._texts(column, values, rows))
        longest = 0
        with file.open("wb") as lines:
            for row in zip(*texts, strict=True):
                line = encode_json({f"c{at}": text for at, text in enumerate(row) if text is not None}) + b"\n"
                longest = max(longest, len(line))
                lines.write(line)
        return longest

    def _texts(self, column: str, values: list[Any], rows: list[Row]) -> list[str | None]:
        """The text of each value. The column is widened first if it does not hold all of them."""
        kind = self._columns[column]
        texts = [None if value is None else kind.text(value) for value in values]
        if not (unfit := [at for at, text in enumerate(texts) if text is None and values[at] is not None]):
            return texts
        odd = [values[at] for at in unfit]
        present = [value for value in values if value is not None]
        for wider in kind.wider(odd):
            if all(wider.text(value) is not None for value in present) and self._survives(column, wider):
                key = ", ".join(f"{name} {rows[unfit[0]].get(name)}" for name in self._keys)
                self._change(column, wider, f"the value of the row with {key or 'no key'} does not fit")
                break
        return [None if value is None else self._columns[column].text(value) for value in values]

    def _survives(self, column: str, wider: ColumnType) -> bool:
        """Whether each stored value is the same in another type."""
        kind = self._columns[column]
        if wider.family not in {"DECIMAL", "DOUBLE"}:
            return True
        name = quoted(column)
        found = self._database.execute(
            f"SELECT count(*) FROM {quoted(self.name)} WHERE"  # noqa: S608 - quoted
            f" TRY_CAST(TRY_CAST({name} AS {wider.name}) AS {kind.name}) IS DISTINCT FROM {name}"
        ).fetchone()
        return found == (0,)

    def _load(self, file: Path, longest: int) -> None:
        """Read the file into a temporary table with the types of the columns."""
        texts = ", ".join(f"c{at}: 'VARCHAR'" for at in range(len(self._columns)))
        casts = ", ".join(
            f"{kind.cast(f'c{at}')} AS {quoted(column)}" for at, (column, kind) in enumerate(self._columns.items())
        )
        self._database.execute(
            f"CREATE OR REPLACE TEMPORARY TABLE {_STAGED} AS SELECT {casts}"  # noqa: S608 - quoted
            f" FROM read_json(?, format = 'newline_delimited', columns = {{{texts}}}, maximum_object_size = ?)",
            [str(file), max(2 * longest, _SMALLEST_BUFFER)],
        )

    def _replace(self) -> None:
        """Put the staged rows in place of those with the same keys. Columns that are not selected keep their values."""
        table = quoted(self.name)
        same = " AND ".join(f"old.{quoted(key)} = new.{quoted(key)}" for key in self._keys)
        kept = [
            column for column in self._stored_columns() if column.lower() not in {one.lower() for one in self._columns}
        ]
        values = "new.*" + "".join(f", old.{quoted(column)}" for column in kept)
        join = f" LEFT JOIN {table} AS old ON {same}" if kept and same else ""
        if same and join:
            self._database.execute(
                f"CREATE OR REPLACE TEMPORARY TABLE {_STAGED} AS SELECT {values} FROM {_STAGED} AS new{join}"  # noqa: S608
            )
        if same:
            self._database.execute(f"DELETE FROM {table} AS old USING {_STAGED} AS new WHERE {same}")  # noqa: S608 - quoted
        self._database.execute(f"INSERT INTO {table} BY NAME SELECT * FROM {_STAGED}")  # noqa: S608 - quoted

    def _stored_columns(self) -> dict[str, ColumnType]:
        found = self._database.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = current_schema()"
            " AND database_name = current_database() AND lower(table_name) = lower(?) ORDER BY column_index",
            [self.name],
        ).fetchall()
        return {name: ColumnType(kind) for name, kind in found}

    def _add(self, column: str, kind: ColumnType) -> None:
        self._database.execute(f"ALTER TABLE {quoted(self.name)} ADD COLUMN {quoted(column)} {kind.name}")
        self._columns[column] = kind

    def _change(self, column: str, kind: ColumnType, why: str) -> None:
        old = self._columns[column]
        if kind == old:
            return
        self._database.execute(
            f"ALTER TABLE {quoted(self.name)} ALTER COLUMN {quoted(column)} TYPE {kind.name}"
            f" USING {kind.convert(quoted(column), old)}"
        )
        self._columns[column] = kind
        self._logger.warning(
            "Column %s.%s was %s and is %s from now on: %s.", self.name, column, old.name, kind.name, why
        )


def quoted(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'
