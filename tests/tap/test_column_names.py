"""Columns are named as the API names its fields, or in snake_case; STATE and requests keep the API's names."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runs import TOKEN, UNLIMITED, catalog_of, config_for, root, run_here, select_only
from tap_jetti.errors import SettingsError
from tap_jetti.facts import resources
from tap_jetti.tap.column_names import ColumnNames, to_snake_case

if TYPE_CHECKING:
    from collections.abc import Callable

    from runs import Output
    from tap_jetti.sandbox import Sandbox

LAST = "2020-01-01T00:04:10.000Z"
SNAKE = {"column_names": "snake_case"}
BOTH = ["api", "snake_case"]


@pytest.fixture
def sandbox(sandboxes: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox with 250 sales."""
    made = sandboxes()
    made.replace(
        "sales",
        [
            {
                "id": n,
                "updatedAt": f"2020-01-01T00:{n // 60:02}:{n % 60:02}Z",
                "dateOrdered": "2020-01-01",
                "billingFullName": {"firstName": "Zoe"},
                "channelId": 1,
            }
            for n in range(1, 251)
        ],
    )
    return made


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("id", "id"),
        ("updatedAt", "updated_at"),
        ("shopifySKU", "shopify_sku"),
        ("SKUCode", "sku_code"),
        ("isAPIKeyValid", "is_api_key_valid"),
        ("s3Bucket", "s3_bucket"),
        ("lineTwo2", "line_two2"),
        ("already_snake", "already_snake"),
    ],
)
def test_a_field_has_a_column(field: str, column: str) -> None:
    """Words begin at capitals; a run of capitals is one word."""
    assert to_snake_case(field) == column


@pytest.mark.parametrize("name", resources.names())
def test_no_two_fields_share_a_column(name: str) -> None:
    """In no documented resource do two fields have one name in snake_case."""
    fields = resources.schema(name)["properties"]
    columns = ColumnNames("snake_case").of_documented(name, fields)
    assert len(set(columns.values())) == len(fields)
    assert all(column == column.lower() for column in columns.values())


def test_a_shared_column_is_an_error() -> None:
    """Two fields with one column would overwrite one another."""
    with pytest.raises(SettingsError, match="sales has two fields for the column foo_bar: fooBar and foo_bar"):
        ColumnNames("snake_case").of_documented("sales", ["fooBar", "foo_bar"])
    assert ColumnNames("api").of_documented("sales", ["fooBar", "foo_bar"])


def test_undocumented_fields_never_share_a_name() -> None:
    """Where two names would be one, both stay as the API spells them."""
    names = ColumnNames("snake_case")
    assert names.rename_keys({"fooBar": 1, "foo_bar": 2, "bazQux": 3}) == {"fooBar": 1, "foo_bar": 2, "baz_qux": 3}


def test_catalog_schema_and_records_agree(sandbox: Sandbox) -> None:
    """Discovery, SCHEMA, keys and RECORD have the same columns, values are the same, and nested JSON is untouched."""
    api = run_here(config_for(sandbox), streams=("sales",))
    snake = run_here(config_for(sandbox, **SNAKE), streams=("sales",))
    (entry,) = catalog_of("sales", config=config_for(sandbox, **SNAKE))["streams"]
    (schema,) = snake.of("SCHEMA")
    columns = {to_snake_case(field) for field in resources.schema("sales")["properties"]}
    assert set(entry["schema"]["properties"]) == set(schema["schema"]["properties"]) == columns
    assert {one["breadcrumb"][1] for one in entry["metadata"] if one["breadcrumb"]} == columns
    assert schema["key_properties"] == entry["key_properties"] == ["id"]
    assert schema["bookmark_properties"] == ["updated_at"]
    assert entry["replication_key"] == "updated_at"
    assert root(entry)["valid-replication-keys"] == ["updated_at"]
    for plain, renamed in zip(api.records(), snake.records(), strict=True):
        assert renamed == {to_snake_case(field): value for field, value in plain.items()}
        assert renamed["billing_full_name"] == {"firstName": "Zoe"}


@pytest.mark.parametrize(("before", "after"), [BOTH, BOTH[::-1]], ids=["to snake_case", "to api"])
def test_switching_is_no_full_reload(before: str, after: str, sandbox: Sandbox) -> None:
    """STATE is the same in both styles, and a run with the other style goes on where the last one ended."""
    first = run_here(config_for(sandbox, column_names=before), streams=("sales",))
    assert first.state["bookmarks"]["sales"]["replication_key"] == "updatedAt"
    assert first.bookmark("sales") == LAST
    second = run_here(config_for(sandbox, column_names=after), streams=("sales",), state=first.state)
    control = run_here(config_for(sandbox, column_names=before), streams=("sales",), state=first.state)
    assert second.ids("sales") == control.ids("sales")
    assert len(second.ids("sales")) <= 1
    assert second.bookmark("sales") == LAST


@pytest.mark.parametrize(("made", "used"), [BOTH, BOTH[::-1]], ids=["api", "snake_case"])
@pytest.mark.parametrize("streams", [("sales",), ("sales_ids",), ("address_validations",)], ids=",".join)
def test_a_catalog_of_the_other_style_is_an_error(made: str, used: str, streams: tuple[str, ...]) -> None:
    """It says how the catalog was made, and what to do."""
    config = {"api_token": TOKEN, **UNLIMITED, "id_snapshots": ["sales"]}
    catalog = catalog_of(*streams, config={**config, "column_names": made})
    with pytest.raises(SettingsError, match=rf"made with column_names {made}.*Now column_names is {used}"):
        run_here({**config, "column_names": used}, catalog=catalog)


def read_batches(output: Output) -> list[dict[str, Any]]:
    """The rows in the files of all batches."""
    return [
        json.loads(line)
        for message in output.of("BATCH")
        for path in message["manifest"]
        for line in gzip.decompress(Path(path.removeprefix("file://")).read_bytes()).splitlines()
    ]


@pytest.mark.parametrize("way", ["pages", "stream maps", "flattening", "batches", "keep"])
def test_the_bookmark_moves_however_rows_are_written(way: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """Rows that go through the SDK have the same columns, and the bookmark is that of the rows as read."""
    batches = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": f"file://{tmp_path}"},
        "batch_size": 10_000,
    }
    every: dict[str, dict[str, Any]] = {
        "pages": {},
        "stream maps": {"stream_maps": {"sales": {"ordered": "date_ordered"}}},
        "flattening": {"flattening_enabled": True, "flattening_max_depth": 0},
        "batches": {"batch_config": batches},
        "keep": {"unknown_fields": "keep"},
    }
    output = run_here(config_for(sandbox, **SNAKE, **every[way]), streams=("sales",))
    rows = read_batches(output) if way == "batches" else output.records()
    assert sorted(row["id"] for row in rows) == list(range(1, 251))
    assert {row["date_ordered"] for row in rows} == {"2020-01-01T00:00:00.000Z"}
    assert rows[0]["updated_at"] == "2020-01-01T00:00:01.000Z"
    assert output.bookmark("sales") == LAST


@pytest.mark.parametrize("fields", [{"id", "updated_at", "date_ordered"}, {"date_ordered"}], ids=["all keys", "none"])
def test_selected_columns_are_requested_by_their_fields(fields: set[str], sandbox: Sandbox) -> None:
    """Requests keep the API's names; SCHEMA and RECORD have the selected columns and the keys."""
    catalog = select_only(catalog_of("sales", config=config_for(sandbox, **SNAKE)), "sales", fields)
    output = run_here(config_for(sandbox, **SNAKE), catalog=catalog)
    assert {frozenset(record) for record in output.records()} == {frozenset({"id", "updated_at", "date_ordered"})}
    assert set(output.of("SCHEMA")[0]["schema"]["properties"]) == {"id", "updated_at", "date_ordered"}
    queries = [entry.query for entry in sandbox.requests if entry.path == "/api/sales.json"]
    assert any("dateOrdered" in query for query in queries)
    assert not any("date_ordered" in query for query in queries)


def test_included_models_and_unmapped_fields_are_renamed(sandboxes: Callable[..., Sandbox]) -> None:
    """Fields of included models, at any depth, and undocumented fields are columns, too; JSON within them is not."""
    sandbox = sandboxes(empty=False, scale=0.01)
    include = {"sales": [{"model": "SaleItem", "include": [{"model": "Variant"}]}]}
    config = config_for(sandbox, include=include, unknown_fields="keep", **SNAKE)
    output = run_here(config, streams=("sales",))
    items = [item for record in output.records() for item in record.get("sale_items") or ()]
    variants = [item["variant"] for item in items if item.get("variant")]
    assert items
    assert variants
    for model in [*items, *variants]:
        assert all(key == key.lower() for key in model)
        assert "updated_at" in model


def test_unmapped_fields_are_renamed(sandboxes: Callable[..., Sandbox]) -> None:
    """An undocumented field and an original have their column's name; what is in them stays."""
    sandbox = sandboxes()
    row = {"id": 1, "updatedAt": LAST, "displayName": {"innerKey": 1}, "dateOrdered": "soon"}
    sandbox.replace("sales", [row])
    (record,) = run_here(config_for(sandbox, unknown_fields="keep", **SNAKE), streams=("sales",)).records()
    assert record["_unmapped"] == {"display_name": {"innerKey": 1}, "date_ordered": "soon"}


def test_snapshots_of_ids_are_renamed(sandbox: Sandbox) -> None:
    """Their time is a column as all others."""
    config = config_for(sandbox, id_snapshots=["sales"], **SNAKE)
    output = run_here(config, streams=("sales_ids",))
    assert len(output.records("sales_ids")) == 250
    assert {frozenset(record) for record in output.records("sales_ids")} == {frozenset({"id", "snapshot_at"})}
    assert set(output.of("SCHEMA")[0]["schema"]["properties"]) == {"id", "snapshot_at"}
