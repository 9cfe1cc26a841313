"""The loader for DuckDB: every value exactly, rows by key, columns that change, and state with its rows."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tap_jetti.errors import InputError, SettingsError, StoreError
from tap_jetti.sync.warehouse.end import END
from tap_jetti.sync.warehouse.loader import Loader
from tap_jetti.sync.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TEXT = {"type": ["string", "null"]}
NUMBER = {"type": ["number", "null"]}
INTEGER = {"type": ["integer", "null"]}
FLAG = {"type": ["boolean", "null"]}
DATE = {**TEXT, "format": "date-time"}
TAGS = {"type": ["array", "null"], "items": TEXT}
ANY_JSON = {"type": ["object", "array", "string", "number", "boolean", "null"]}
PROPERTIES: dict[str, Any] = {
    "text": TEXT,
    "number": NUMBER,
    "integer": INTEGER,
    "flag": FLAG,
    "json": ANY_JSON,
    "tags": TAGS,
    "date": DATE,
}
VALUES: dict[str, list[Any]] = {
    "text": ["", "a,b", "two\nlines", "return\r\n", 'say "hi"', "'x'", "back\\slash", "NULL", " x ", "0012", "ü ✓ 👍"],
    "number": [0, -1.5, 19.99, 0.1, 12345678901234.125],
    "integer": [0, 2_147_483_648, 9_007_199_254_740_993, 2**63 - 1, -(2**63)],
    "flag": [True, False],
    "json": [{}, {"a": [1, None, 2.5]}, [], ["x"], "text", "", '"quoted"', "5", 5, 2.5, True, False, 0],
    "tags": [[], ["a", None, "b,c"], ['"', "\\"]],
    "date": ["2019-11-22T20:56:57.564Z", "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"],
}


def schema(stream: Any = "rows", **properties: Any) -> dict[str, Any]:
    """A SCHEMA message."""
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": {"id": {"type": ["integer"]}, **properties}},
        "key_properties": ["id"],
    }


def row(stream: str = "rows", version: Any = None, **record: Any) -> dict[str, Any]:
    """A RECORD message."""
    message = {"type": "RECORD", "stream": stream, "record": record}
    return message if version is None else {**message, "version": version}


def state(value: Any) -> dict[str, Any]:
    """A STATE message."""
    return {"type": "STATE", "value": {"bookmarks": {"rows": {"replication_key_value": value}}}}


def load(file: Path, *messages: dict[str, Any] | str, clock: Any = lambda: 0.0, **options: Any) -> list[Any]:
    """Load messages, and return the states that were confirmed. A text is a line that is sent unchanged."""
    confirmed: list[Any] = []
    lines = [(one if isinstance(one, str) else json.dumps(one)).encode() + b"\n" for one in messages]
    with Warehouse(file) as warehouse:
        Loader(warehouse, confirmed.append, clock=clock, **options).run(lines)
    return confirmed


def read(file: Path, sql: str) -> list[Any]:
    """The rows of a query."""
    with duckdb.connect(str(file), read_only=True) as database:
        return database.execute(sql).fetchall()


def types(file: Path) -> dict[str, str]:
    """The types of the columns of `rows`."""
    return {name: kind for name, kind, *_ in read(file, "DESCRIBE rows")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A DuckDB file that does not exist yet."""
    return tmp_path / "w.duckdb"


def test_every_value_arrives_as_it_was_sent(file):
    """Texts, numbers, JSON of any type, arrays and dates arrive as they were sent; null stays null."""
    sent = [(field, value) for field, values in VALUES.items() for value in (None, *values)]
    load(file, schema(**PROPERTIES), *(row(id=at, **{field: value}) for at, (field, value) in enumerate(sent)))

    got = []
    for at, (field, _) in enumerate(sent):
        ((value,),) = read(file, f'SELECT "{field}" FROM rows WHERE id = {at}')
        if value is not None and field == "json":
            value = json.loads(value)
        if value is not None and field == "date":
            value = value.isoformat(timespec="milliseconds") + "Z"
        got.append((field, float(value) if isinstance(value, Decimal) else value))

    assert [(field, type(value), value) for field, value in got] == [
        (field, float if field == "number" and value is not None else type(value), value) for field, value in sent
    ]
    assert types(file) == {
        "id": "BIGINT",
        "text": "VARCHAR",
        "number": "DECIMAL(38,10)",
        "integer": "BIGINT",
        "flag": "BOOLEAN",
        "json": "JSON",
        "tags": "VARCHAR[]",
        "date": "TIMESTAMP",
    }


@pytest.mark.parametrize(
    ("facts", "values", "kind"),
    [
        pytest.param(NUMBER, ["1.50", "12345678901234567890.0123456789"], "DECIMAL(38,10)", id="as wide as it is"),
        pytest.param(NUMBER, ["1.5", "0.000000000001"], "DECIMAL(38,12)", id="more behind the point"),
        pytest.param(NUMBER, ["1.5", "1234567890123456789012345678901234567"], "DECIMAL(38,1)", id="more before it"),
        pytest.param(NUMBER, ["1.5", "1e300"], "DOUBLE", id="huge"),
        pytest.param(NUMBER, ["12345678901234567.25", "1e300"], "VARCHAR", id="huge beside exact"),
        pytest.param(INTEGER, ["1", "9223372036854775808"], "DECIMAL(38,0)", id="integer beyond 64 bits"),
        pytest.param(INTEGER, ["1", "1.5"], "DECIMAL(38,1)", id="a fraction"),
        pytest.param(INTEGER, ["1", '"0012"'], "VARCHAR", id="text in integers"),
        pytest.param(NUMBER, ["1.5", '"n/a"'], "VARCHAR", id="text in numbers"),
        pytest.param(FLAG, ["true", '"maybe"'], "VARCHAR", id="text in booleans"),
        pytest.param(DATE, ['"2020-01-02T03:04:05.006Z"', '"never"'], "VARCHAR", id="text in dates"),
        pytest.param(DATE, ['"2020-01-02T03:04:05.006Z"', '"2020-02-30T00:00:00.000Z"'], "VARCHAR", id="no such day"),
        pytest.param(TAGS, ['["a"]', '{"a": 1}'], "JSON", id="object in arrays"),
        pytest.param(TAGS, ['["a"]', "[1]"], "JSON", id="number in array of texts"),
    ],
)
@pytest.mark.parametrize("runs", [1, 2], ids=["in one run", "in two runs"])
def test_a_value_that_does_not_fit_makes_the_column_wider(file, caplog, facts, values, kind, runs):
    """No value is rounded, cut or lost: the column gets a type that holds what is stored and what came."""
    lines = [
        f'{{"type": "RECORD", "stream": "rows", "record": {{"id": {at}, "x": {x}}}}}' for at, x in enumerate(values)
    ]
    with caplog.at_level(logging.WARNING):
        for part in [lines] if runs == 1 else [[line] for line in lines]:
            load(file, schema(x=facts), *part)

    stored = [one for (one,) in read(file, "SELECT x FROM rows ORDER BY id")]
    wanted = [json.loads(value, parse_float=Decimal) for value in values]

    def same(got: Any, sent: Any) -> bool:
        if kind == "JSON":
            return bool(json.loads(got) == sent)
        if kind == "VARCHAR" and isinstance(sent, (int, Decimal)) and not isinstance(sent, bool):
            return Decimal(got) == sent
        return str(got).lower() == str(sent).lower() if kind == "VARCHAR" else Decimal(str(got)) == sent

    assert types(file)["x"] == kind
    assert all(map(same, stored, wanted)), (stored, wanted)
    assert ("rows.x was" in caplog.text) == (kind != "DECIMAL(38,10)")


@pytest.mark.parametrize(
    ("before", "after", "old", "new", "kind", "stored"),
    [
        pytest.param(INTEGER, TEXT, 12, "0012", "VARCHAR", ["12", "0012"], id="integer to text"),
        pytest.param(INTEGER, NUMBER, 12, 1.5, "DECIMAL(38,10)", [Decimal(12), Decimal("1.5")], id="integer to number"),
        pytest.param(TEXT, INTEGER, "0012", 12, "VARCHAR", ["0012", "12"], id="text to integer"),
        pytest.param(TEXT, ANY_JSON, "a", {"b": 1}, "JSON", ['"a"', '{"b":1}'], id="text to JSON"),
        pytest.param(ANY_JSON, TEXT, {"b": 1}, "a", "JSON", ['{"b":1}', '"a"'], id="JSON to text"),
        pytest.param(TAGS, TEXT, ["a"], "b", "JSON", ['["a"]', '"b"'], id="array to text"),
        pytest.param(FLAG, INTEGER, True, 3, "VARCHAR", ["true", "3"], id="boolean to integer"),
    ],
)
def test_a_property_that_changes_its_type_changes_the_column(file, before, after, old, new, kind, stored):
    """A column whose SCHEMA changes keeps what is stored, and holds what comes."""
    load(file, schema(x=before), row(id=1, x=old))
    load(file, schema(x=after), row(id=2, x=new))

    assert types(file)["x"] == kind
    assert [one for (one,) in read(file, "SELECT x FROM rows ORDER BY id")] == stored


def test_a_schema_may_change_within_a_run(file):
    """Rows before and after a new SCHEMA are stored by their own."""
    load(file, schema(x=TEXT), row(id=1, x="a"), schema(x=TEXT, y=INTEGER), row(id=2, x="b", y=2))

    assert read(file, "SELECT id, x, y FROM rows ORDER BY id") == [(1, "a", None), (2, "b", 2)]


def test_rows_are_replaced_by_key(file):
    """Of several rows with one key the last one is kept, within a run and across runs."""
    load(file, schema(x=TEXT), row(id=1, x="a"), row(id=1, x="b"), row(id=2, x="c"))
    load(file, schema(x=TEXT), row(id=2, x="d"), row(id=3, x="e"))

    assert read(file, "SELECT * FROM rows ORDER BY id") == [(1, "b"), (2, "d"), (3, "e")]


def test_columns_that_are_not_selected_keep_their_values(file):
    """A run that selects fewer fields does not empty the others; fields that are added are null in old rows."""
    load(file, schema(x=TEXT, y=TEXT), row(id=1, x="a", y="b"))
    load(file, schema(x=TEXT, z=TEXT), row(id=1, x="c", z="d"), row(id=2, x="e"))

    assert read(file, "SELECT id, x, y, z FROM rows ORDER BY id") == [(1, "c", "b", "d"), (2, "e", None, None)]


def test_a_proven_full_read_replaces_the_table(file):
    """After ACTIVATE_VERSION only rows of that version are left, also if none came, and if older rows have none."""
    activate = {"type": "ACTIVATE_VERSION", "stream": "rows"}
    load(file, schema(x=TEXT), row(id=1, x="no version"))
    load(file, schema(x=TEXT), row(id=2, version=5, x="a"), row(id=3, version=5, x="b"), {**activate, "version": 5})
    assert read(file, "SELECT id, _sdc_table_version FROM rows ORDER BY id") == [(2, 5), (3, 5)]

    load(file, schema(x=TEXT), row(id=3, version=6, x="c"))
    assert read(file, "SELECT id FROM rows ORDER BY id") == [(2,), (3,)]

    load(file, schema(x=TEXT), {**activate, "version": 7})
    assert read(file, "SELECT count(*) FROM rows") == [(0,)]


def test_a_state_comes_with_its_rows(file):
    """Rows and state are committed together, and the state is confirmed only then."""
    times = iter([0.0, 0.0, 10.0, 10.0, 10.0])
    confirmed = load(
        file,
        schema(x=TEXT),
        row(id=1, x="a"),
        state("1"),
        row(id=2, x="b"),
        state("2"),
        row(id=3, x="c"),
        clock=lambda: next(times),
        keep_state=True,
        account="me",
    )

    assert confirmed == [state("2")["value"]]
    with Warehouse(file, read_only=True) as warehouse:
        assert warehouse.read_state() == {**state("2")["value"], "account": "me"}
    assert read(file, "SELECT count(*) FROM rows") == [(3,)]


def test_an_error_takes_back_what_was_not_committed(file):
    """An input that breaks off in the middle of a line leaves what was committed, rows and state alike."""
    load(file, schema(x=TEXT), row(id=1, x="a"), state("1"), keep_state=True)
    with pytest.raises(InputError):
        load(file, schema(x=TEXT, y=TEXT), row(id=2, x="b"), state("2"), '{"type": "REC', keep_state=True)

    assert read(file, "SELECT id FROM rows") == [(1,)]
    with Warehouse(file, read_only=True) as warehouse:
        assert warehouse.read_state() == state("1")["value"]
    assert "y" not in types(file)


@pytest.mark.parametrize(
    ("end", "ids", "bookmark"),
    [
        pytest.param([], 1, "1", id="cut off"),
        pytest.param([{"type": END, "complete": ["rows"]}], 1, "1", id="ended, but the snapshot is not whole"),
        pytest.param([{"type": END, "complete": ["rows", "rows_ids"]}], 2, "2", id="whole"),
        pytest.param([schema("others"), {"type": END, "complete": []}], 2, "2", id="followed by another stream"),
    ],
)
@pytest.mark.parametrize("time", ["snapshotAt", "snapshot_at"])
def test_a_snapshot_is_loaded_whole_or_not_at_all(file, end, ids, bookmark, time):
    """Half a snapshot would make the other rows look deleted. What came before it is loaded in any case."""
    snapshot = schema("rows_ids", **{time: DATE})
    whole = [snapshot, row("rows_ids", id=1, **{time: "2020-01-01T00:00:00.000Z"})]
    load(file, schema(x=TEXT), row(id=1, x="a"), state("1"), *whole, keep_state=True)

    load(
        file,
        schema(x=TEXT),
        row(id=2, x="b"),
        state("1"),
        snapshot,
        row("rows_ids", id=1, **{time: "2020-01-02T00:00:00.000Z"}),
        row("rows_ids", id=2, **{time: "2020-01-02T00:00:00.000Z"}),
        state("2"),
        *end,
        keep_state=True,
        expects_end=True,
    )

    newest = f'SELECT count(*) FROM rows_ids WHERE "{time}" = (SELECT max("{time}") FROM rows_ids)'
    assert read(file, newest) == [(ids,)]
    assert read(file, "SELECT count(*) FROM rows") == [(2,)]
    with Warehouse(file, read_only=True) as warehouse:
        found = warehouse.read_state()
    assert found == state(bookmark)["value"]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([row(id=1)], "Line 1 is for stream rows and came before its SCHEMA"),
        ([schema(x=TEXT), row(x="a")], "A record of stream rows has no id, which is its key"),
        ([schema(externalSku=TEXT, externalSKU=TEXT)], "the columns externalSku and externalSKU"),
        ([{**schema(x=TEXT), "key_properties": ["y"]}], "the key y is not among its properties"),
        ([{"type": "BATCH", "stream": "rows"}], "Remove batch_config"),
        (["{}"], "type is unknown"),
    ],
    ids=["no SCHEMA", "no key", "two names for one column", "key of no property", "BATCH", "no type"],
)
def test_invalid_messages_are_named(file, messages: Iterable[Any], reason):
    """What cannot be loaded as it is ends the run with a message that names it."""
    with pytest.raises(InputError, match=reason):
        load(file, *messages)


def test_a_file_of_another_kind_is_named(file):
    """A file that is not one of DuckDB is an error of the settings, not a traceback."""
    file.write_text("not a database, " * 1000)
    with pytest.raises(SettingsError, match=r"Cannot open .*w\.duckdb"), Warehouse(file):
        pass


def test_a_file_that_is_open_elsewhere_is_named(file):
    """A file that another process has opened can be loaded later: the message names the process."""
    program = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(StoreError, match=f"is open in the process {other.pid}"), Warehouse(file):
            pass
        other.communicate()
