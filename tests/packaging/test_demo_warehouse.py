from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from tap_jetti.demo.comparison import compare
from tap_jetti.sandbox import Options, Sandbox

ANY_JSON = {"type": ["object", "array", "string", "number", "boolean", "null"]}
TEXT = {"type": ["string", "null"]}
PROPERTIES = {
    "id": {"type": ["integer"]},
    "text": TEXT,
    "number": {"type": ["number", "null"]},
    "integer": {"type": ["integer", "null"]},
    "flag": {"type": ["boolean", "null"]},
    "json": ANY_JSON,
    "tags": {"type": ["array", "null"], "items": TEXT},
    "updatedAt": {**TEXT, "format": "date-time"},
}
VALUES: dict[str, list[Any]] = {
    "text": [
        "",
        "a,b",
        "two\nlines",
        "return\r\n",
        'say "hi"',
        "'single'",
        "back\\slash",
        "NULL",
        " x ",
        "0012",
        "ü ✓",
    ],
    "number": [0, -1.5, 19.99, 0.1, 12345678901234.125],
    "integer": [0, 2_147_483_648, 9_007_199_254_740_993],
    "flag": [True, False],
    "json": [{}, {"a": [1, None, 2.5]}, [], ["x"], "text", "", '"quoted"', "5", 5, 2.5, True, False, 0],
    "tags": [[], ["a", None, "b,c"], ['"']],
    "updatedAt": ["2019-11-22T20:56:57.564Z", "0001-01-01T00:00:00.000Z"],
}


def load(warehouse, messages):
    """Load Singer messages with the loader's command, and return its output."""
    config = warehouse.with_suffix(".json")
    config.write_text(json.dumps({"path": str(warehouse)}), "utf-8")
    lines = messages if isinstance(messages, str) else "".join(json.dumps(message) + "\n" for message in messages)
    command = [sys.executable, "-m", "tap_jetti.demo.loader", "--config", str(config)]
    done = subprocess.run(command, check=False, capture_output=True, input=lines, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def record(**fields):
    """A RECORD message with these fields; all others are null."""
    return {"type": "RECORD", "stream": "rows", "record": {**dict.fromkeys(PROPERTIES), **fields}}


SCHEMA = {
    "type": "SCHEMA",
    "stream": "rows",
    "schema": {"type": "object", "properties": PROPERTIES},
    "key_properties": ["id"],
}


def read(warehouse, sql):
    """The rows of a query."""
    with duckdb.connect(str(warehouse), read_only=True) as database:
        return database.execute(sql).fetchall()


def test_loader_keeps_every_value(tmp_path):
    """Texts, decimals, JSON of any type, arrays and dates arrive as they were sent; null stays null."""
    sent = [(field, value) for field, values in VALUES.items() for value in (None, *values)]
    load(tmp_path / "w.duckdb", [SCHEMA, *(record(id=at, **{field: value}) for at, (field, value) in enumerate(sent))])

    got = []
    for at, (field, _) in enumerate(sent):
        ((value,),) = read(tmp_path / "w.duckdb", f'SELECT "{field}" FROM rows WHERE id = {at}')
        if value is not None and field == "json":
            value = json.loads(value)
        if value is not None and field == "updatedAt":
            value = value.isoformat(timespec="milliseconds") + "Z"
        got.append((field, float(value) if isinstance(value, Decimal) else value))

    assert [(field, type(value), value) for field, value in got] == [
        (field, float if field == "number" and value is not None else type(value), value) for field, value in sent
    ]


def test_loader_replaces_rows_by_key(tmp_path):
    """Of several rows with one key the last one is kept, within a run and across runs."""
    load(tmp_path / "w.duckdb", [SCHEMA, record(id=1, text="a"), record(id=1, text="b"), record(id=2, text="c")])
    load(tmp_path / "w.duckdb", [SCHEMA, record(id=2, text="d")])

    assert read(tmp_path / "w.duckdb", "SELECT id, text FROM rows ORDER BY id") == [(1, "b"), (2, "d")]


def test_loader_adds_new_columns(tmp_path):
    """A field that a later SCHEMA adds becomes a column."""
    wider = {**SCHEMA, "schema": {"type": "object", "properties": {**PROPERTIES, "new": TEXT}}}
    load(tmp_path / "w.duckdb", [SCHEMA, record(id=1)])
    load(tmp_path / "w.duckdb", [wider, record(id=2, new="x")])

    assert read(tmp_path / "w.duckdb", "SELECT id, new FROM rows ORDER BY id") == [(1, None), (2, "x")]


def test_loader_passes_the_state_on(tmp_path):
    """The loader writes the state after the rows before it are loaded."""
    state = {"bookmarks": {"rows": {"replication_key_value": "2026-01-01T00:00:00.000Z"}}}

    assert json.loads(load(tmp_path / "w.duckdb", [SCHEMA, record(id=1), {"type": "STATE", "value": state}])) == state


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """A sandbox and the Singer messages of its sales."""
    folder = tmp_path_factory.mktemp("extracted")
    with Sandbox(Options(scale=0.01, rate=0, decimals="mixed")) as sandbox:
        config = {"api_url": sandbox.api_url, "api_token": sandbox.token, "rate_limit_store": "memory://"}
        (folder / "config.json").write_text(json.dumps({**config, "rate_limit": 1000}), "utf-8")
        program = "from tap_jetti.cli import tap; tap()"
        command = [sys.executable, "-c", program, "--config", str(folder / "config.json")]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        lines = done.stdout.splitlines(keepends=True)
        yield sandbox, "".join(line for line in lines if json.loads(line).get("stream") == "sales")


@pytest.mark.parametrize(
    ("damage", "wrong", "is_equal"),
    [
        pytest.param("SELECT 1", 0, True, id="nothing"),
        pytest.param("DELETE FROM sales WHERE id = 1", 1, False, id="a row lost"),
        pytest.param("INSERT INTO sales (id) VALUES (1000000)", 1, False, id="a row too many"),
        pytest.param("UPDATE sales SET total = total + 0.01 WHERE id = 1", 1, False, id="a cent"),
        pytest.param("UPDATE sales SET \"updatedAt\" = '2001-01-01' WHERE id <= 2", 2, False, id="old rows"),
        pytest.param("DROP TABLE sales", 30, False, id="no table"),
    ],
)
def test_comparison_finds_what_differs(extracted, tmp_path, damage, wrong, is_equal):
    """The demo's comparison counts each row that is missing, added or changed in the warehouse."""
    sandbox, messages = extracted
    load(tmp_path / "w.duckdb", messages)
    with duckdb.connect(str(tmp_path / "w.duckdb")) as database:
        database.execute(damage)

    (sales,) = compare(sandbox, tmp_path / "w.duckdb", ["sales"], since=0.0, changed={})

    assert (sales.wrong, sales.is_equal, sales.in_jetti) == (wrong, is_equal, 30)
    assert sales.requests
