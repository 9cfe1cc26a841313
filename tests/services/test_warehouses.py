"""Every value of every stream in PostgreSQL and in DuckDB, in both styles of column names."""

from __future__ import annotations

import json
import os
import re
import shlex
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import psycopg
import pytest

from runs import REPOSITORY
from services import postgres_database
from sync_runs import Syncs
from tap_jetti.facts import resources
from tap_jetti.facts.kinds import Kind, kind_of
from tap_jetti.facts.secret_fields import mask_deep
from tap_jetti.sandbox import Options, Sandbox
from tap_jetti.tap.column_names import ColumnNames

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LOADER = os.environ.get("JETTI_TEST_TARGET_POSTGRES")
pytestmark = pytest.mark.skipif(not LOADER, reason="it needs the loader for PostgreSQL: run make test-services")

STREAMS = tuple(resources.names())
SCHEMA = "jetti"
ODD: dict[Kind, list[Any]] = {
    Kind.TEXT: [
        "",
        " x ",
        "two\r\nlines\t",
        'say "hi", it\'s',
        "back\\slash \\N \\x00",
        "NULL",
        "0012",
        "ü ✓ 👍 \u2028",
    ],
    Kind.INTEGER: [0, -1, 2_147_483_648, 9_007_199_254_740_993, 2**63 - 1, -(2**63)],
    Kind.NUMBER: ["0.1", -1.5, "12.10", "12345678901234567890.0123456789", "-0.0000000001", "99999999999999999999.5"],
    Kind.BOOLEAN: [True, False],
    Kind.DATE: ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "2020-02-29T12:00:00.001Z"],
    Kind.ARRAY: [[], ["", None, '"', "a,b", "\\", "{}", "NULL", "ü"]],
    Kind.JSON: [{}, {"a": [1, None, {"b": 'x"'}]}, [], "text", "", "5", 5, 2.5, True, False, {"": {"ü": " "}}],
}
"""Values that some loader somewhere gets wrong."""


def odd_rows(stream: str) -> Iterator[dict[str, Any]]:
    """Rows in which each field has each odd value of its kind once."""
    properties = resources.schema(stream)["properties"]
    own = {"id", "createdAt", "updatedAt", "companyId"}
    for at in range(max(map(len, ODD.values()))):
        row = {name: ODD[kind_of(facts)][at % len(ODD[kind_of(facts)])] for name, facts in properties.items()}
        yield {name: value for name, value in row.items() if name not in own}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A small company, with odd rows in every stream."""
    with Sandbox(Options(scale=0.01, rate=0, decimals="mixed")) as sandbox:
        for stream in STREAMS:
            for row in odd_rows(stream):
                sandbox.upsert(stream, row)
        sandbox.settle()
        yield sandbox


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of a new database."""
    with postgres_database() as url:
        yield url


def loader_for(folder: Path, database: str, **more: Any) -> list[str]:
    """The arguments of `jetti sync` for PostgreSQL, with the state there, too."""
    config = folder / "loader.json"
    config.write_text(json.dumps({"sqlalchemy_url": database, "default_target_schema": SCHEMA, **more}))
    url = database.replace("postgresql://", "postgresql+psycopg://")
    config.write_text(config.read_text().replace(database, url))
    return ["--loader", f"{LOADER} --config {shlex.quote(str(config))}", "--state", database]


def expected(sandbox: Sandbox, stream: str, names: ColumnNames) -> dict[int, dict[str, Any]]:
    """What Jetti has, by id and column."""
    fields = resources.schema(stream)["properties"]
    return {
        row["id"]: {names.of(field): _of_api(row.get(field), facts) for field, facts in fields.items()}
        for row in sandbox.rows(stream)
    }


def _of_api(value: Any, facts: Mapping[str, Any]) -> Any:
    kind = kind_of(facts)
    if value is None:
        return None
    if kind is Kind.NUMBER:
        return Decimal(str(value))
    return int(value) if kind is Kind.INTEGER else mask_deep(value)


def _of_warehouse(value: Any, kind: Kind, *, is_text: bool) -> Any:
    if value is None:
        return None
    if kind is Kind.JSON and is_text:
        return json.loads(value)
    return value.isoformat(timespec="milliseconds") + "Z" if kind is Kind.DATE else value


def in_postgres(url: str, stream: str, names: ColumnNames) -> dict[int, dict[str, Any]]:
    """What PostgreSQL has, by id and column, without the loader's own columns."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(f'SELECT * FROM {SCHEMA}."{stream}"')
        columns = [column.name for column in cursor.description or ()]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return _typed(stream, rows, names, is_text=False)


def in_duckdb(file: Path, stream: str, names: ColumnNames) -> dict[int, dict[str, Any]]:
    """What the DuckDB file has, by id and column."""
    with duckdb.connect(str(file), read_only=True) as connection:
        cursor = connection.execute(f'SELECT * FROM "{stream}"')
        columns = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return _typed(stream, rows, names, is_text=True)


def _typed(stream: str, rows: list[dict[str, Any]], names: ColumnNames, *, is_text: bool) -> dict[int, dict[str, Any]]:
    kinds = {names.of(field): kind_of(facts) for field, facts in resources.schema(stream)["properties"].items()}
    return {
        row["id"]: {name: _of_warehouse(row[name], kind, is_text=is_text) for name, kind in kinds.items()}
        for row in rows
    }


def differences(wanted: dict[int, dict[str, Any]], found: dict[int, dict[str, Any]]) -> list[str]:
    """The first values that differ."""
    wrong = [f"row {key} is {'missing' if key in wanted else 'too many'}" for key in wanted.keys() ^ found.keys()]
    for key in wanted.keys() & found.keys():
        wrong += [
            f"row {key}, {name}: {found[key][name]!r} instead of {value!r}"
            for name, value in wanted[key].items()
            if (type(value), value) != (type(found[key][name]), found[key][name])
        ]
    return wrong[:5]


@pytest.mark.parametrize("style", ["api", "snake_case"])
def test_every_value_of_every_stream(sandbox: Sandbox, tmp_path: Path, database: str, style: str) -> None:
    """PostgreSQL and DuckDB hold exactly what Jetti has, odd values and all."""
    names = ColumnNames(style)
    syncs = Syncs(tmp_path, sandbox, {"select": ["*"], "column_names": style})
    for where in (loader_for(tmp_path, database), ["--to", "duckdb:///w.duckdb"]):
        ended = syncs.run(*where)
        assert ended.code == 0, ended.log[-3000:]

    for stream in STREAMS:
        wanted = expected(sandbox, stream, names)
        assert not differences(wanted, in_postgres(database, stream, names)), f"PostgreSQL, {stream}"
        assert not differences(wanted, in_duckdb(tmp_path / "w.duckdb", stream, names)), f"DuckDB, {stream}"


def column_types(rows: list[tuple[str, str]]) -> dict[str, str]:
    """The types that come out, by kind of property, of a few columns of sales."""
    found = dict(rows)
    return {name: found[name] for name in ("id", "total", "cancelled", "dateOrdered", "tags", "reference")}


def test_later_loads(tmp_path: Path, database: str) -> None:
    """A second load, a new selection, a full refresh, deleted rows: PostgreSQL and DuckDB agree with Jetti."""
    names = ColumnNames("api")
    streams = ("sales", "sale_items", "sale_invoices")
    deleted_rows = re.search(r"```sql\n(WITH newest AS .*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert deleted_rows
    with Sandbox(Options(scale=0.02, rate=0, decimals="mixed")) as sandbox:
        settings = {
            "id_snapshots": ["sales"],
            "bookmark_lag": 0,
            "select": ["sales.id", "sales.createdAt", "sales_ids"],
        }
        syncs = Syncs(tmp_path, sandbox, settings)
        ways = {"PostgreSQL": loader_for(tmp_path, database), "DuckDB": ["--to", "duckdb:///w.duckdb"]}

        def load(**rows: int) -> None:
            for name, where in ways.items():
                ended = syncs.run(*where)
                assert ended.code == 0, ended.log[-3000:]
                for stream, count in rows.items():
                    assert ended.summary["streams"][stream]["rows"] == count, name

        def check() -> None:
            for stream in streams:
                wanted = expected(sandbox, stream, names)
                assert not differences(wanted, in_postgres(database, stream, names)), f"PostgreSQL, {stream}"
                assert not differences(wanted, in_duckdb(tmp_path / "w.duckdb", stream, names)), f"DuckDB, {stream}"

        load(sales=sandbox.count("sales"))
        syncs.settings["select"] = [*(f"{stream}.*" for stream in streams), "sales_ids"]
        ids = [row["id"] for row in sandbox.rows("sales")]
        sandbox.touch("sales", ids)  # more columns than before: all rows are needed again
        load()
        check()

        sandbox.upsert("sales", {"id": ids[0], "total": "99.95"})
        load()
        check()

        for way in ("--state", "--to"):  # a full refresh: everything again, over what is there
            state = database if way == "--state" else "duckdb:///w.duckdb"
            (tmp_path / "empty.json").write_text("{}")
            assert syncs.jetti("state", "set", state, "empty.json").code == 0
        load(sales=len(ids))
        check()

        sandbox.delete("sales", ids[-1])
        load()
        with psycopg.connect(database, options=f"-c search_path={SCHEMA}") as connection:
            assert connection.execute(deleted_rows[1]).fetchall() == [(ids[-1],)]
        with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as file:
            assert file.execute(deleted_rows[1]).fetchall() == [(ids[-1],)]
            kinds = column_types([(name, kind) for name, kind, *_ in file.execute("DESCRIBE sales").fetchall()])
        assert kinds == {
            "id": "BIGINT",
            "total": "DECIMAL(38,10)",
            "cancelled": "BOOLEAN",
            "dateOrdered": "TIMESTAMP",
            "tags": "VARCHAR[]",
            "reference": "VARCHAR",
        }
        with psycopg.connect(database) as connection:
            found = connection.execute(
                "SELECT column_name, data_type FROM information_schema.columns"
                " WHERE table_schema = %s AND table_name = 'sales'",
                [SCHEMA],
            ).fetchall()
        assert column_types(found) == {
            "id": "bigint",
            "total": "numeric",
            "cancelled": "boolean",
            "dateOrdered": "timestamp without time zone",
            "tags": "ARRAY",
            "reference": "text",
        }
