"""SCHEMA and RECORD agree with the catalog: on the columns that it lists, and on the types that it gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from runs import catalog_of, config_for, run_here
from tap_jetti.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.sandbox import Sandbox

DAY = "2020-01-01T00:00:00.000Z"


@pytest.fixture
def sandbox(sandboxes: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox with 30 sales."""
    made = sandboxes()
    row = {"updatedAt": DAY, "total": 12.5, "notes": "x", "companyId": 7, "tags": ["5", 6], "cancelled": True}
    made.replace("sales", [{"id": n, **row} for n in range(1, 31)])
    return made


def catalog_with(types: dict[str, Any], stream: str = "sales", **settings: Any) -> dict[str, Any]:
    """A catalog that gives columns of a stream other schemas; None removes the column."""
    catalog = catalog_of(stream, config={"api_token": "any", **settings})
    (entry,) = catalog["streams"]
    for column, schema in types.items():
        entry["schema"]["properties"].pop(column, None)
        if schema is not None:
            entry["schema"]["properties"][column] = schema
        else:
            entry["metadata"] = [one for one in entry["metadata"] if one["breadcrumb"] != ["properties", column]]
    return catalog


def nullable(*types: str, **more: Any) -> dict[str, Any]:
    """A schema of these types or null."""
    return {"type": [*types, "null"], **more}


@pytest.mark.parametrize("maps", [None, {"sales": {"double": "total * 2"}}], ids=["pages", "through the SDK"])
@pytest.mark.parametrize(
    "missing",
    [{"notes"}, {"notes", "total"}, {"updatedAt", "notes"}, {"id", "notes"}],
    ids=lambda one: ",".join(sorted(one)),
)
def test_a_field_that_the_catalog_does_not_list_does_not_leave(
    missing: set[str], maps: dict[str, Any] | None, sandbox: Sandbox
) -> None:
    """A catalog of an older version lists fewer fields: others are neither requested nor written; keys always are."""
    settings = {"stream_maps": maps} if maps and "total" not in missing else {}
    output = run_here(config_for(sandbox, **settings), catalog=catalog_with(dict.fromkeys(missing)))
    assert output.code == 0
    asked = unquote(next(entry.query for entry in sandbox.requests if entry.path == "/api/sales.json"))
    properties = set(output.of("SCHEMA")[0]["schema"]["properties"])
    assert not properties & (missing - {"id", "updatedAt"})
    assert properties >= {"id", "updatedAt"}
    assert len(output.records()) == 30
    for record in output.records():
        assert set(record) <= properties
        assert record["id"]
        assert record["updatedAt"] == DAY
    assert "=notes" not in asked
    assert "=companyId" in asked


def test_a_date_that_is_no_key_leaves_only_if_it_is_selected(sandboxes: Callable[..., Sandbox]) -> None:
    """A stream that is read by id requests updatedAt, but need not write it."""
    sandbox = sandboxes()
    sandbox.replace("sale_invoices", [{"id": n, "updatedAt": DAY, "notes": "x"} for n in range(1, 31)])
    output = run_here(config_for(sandbox), catalog=catalog_with({"updatedAt": None}, "sale_invoices"))
    properties = set(output.of("SCHEMA")[0]["schema"]["properties"])
    assert "updatedAt" not in properties
    assert output.ids("sale_invoices") == list(range(1, 31))
    assert all(set(record) <= properties for record in output.records())


@pytest.mark.parametrize(
    ("column", "schema", "expected"),
    [
        ("total", nullable("string"), "12.5"),
        ("total", {"type": ["null", "number"]}, 12.5),
        ("total", nullable("integer"), None),
        ("total", nullable("string", "number"), 12.5),
        ("total", nullable("string", "boolean"), None),
        ("companyId", nullable("number"), 7),
        ("companyId", nullable("string"), "7"),
        ("companyId", nullable("boolean"), None),
        ("cancelled", nullable("string"), "true"),
        ("updatedAt", nullable("string", format="date-time"), DAY),
        ("notes", nullable("array", items=nullable("string")), ["x"]),
        ("tags", nullable("array", items=nullable("string", "number")), ["5", 6]),
        ("tags", nullable("array", items=nullable("integer")), [5, 6]),
        ("tags", nullable("array"), ["5", 6]),
        ("tags", nullable("string"), '["5",6]'),
        ("tags", {}, ["5", 6]),
        ("notes", nullable("object"), None),
        ("notes", nullable("string", description="Ours.", title="Notes"), "x"),
    ],
)
def test_a_type_of_the_catalog_is_honoured(
    column: str, schema: dict[str, Any], expected: Any, sandbox: Sandbox
) -> None:
    """Values are converted to the type that the catalog gives, where that is exact; SCHEMA has that type."""
    output = run_here(config_for(sandbox), catalog=catalog_with({column: schema}))
    assert output.code == 0
    (message,) = output.of("SCHEMA")
    assert message["schema"]["properties"][column].get("type") == schema.get("type")
    for record in output.records():
        assert record[column] == expected
        assert type(record[column]) is type(expected)


@pytest.mark.parametrize(
    ("column", "schema", "reason"),
    [
        ("id", nullable("string"), "cannot be changed"),
        ("updatedAt", nullable("integer"), "cannot be changed"),
        ("total", {"type": "string"}, 'must include "null"'),
        ("total", nullable("decimal"), "decimal is not a type"),
        ("total", nullable("number", maximum=10), "maximum is not supported"),
        ("notes", nullable("string", maxLength=1), "maxLength is not supported"),
        ("notes", nullable("string", format="date"), "format date is not supported"),
        ("total", nullable("number", format="date-time"), "format date-time is not supported"),
        ("notes", {"anyOf": [{"type": "string"}, {"type": "null"}]}, "anyOf is not supported"),
        ("tags", nullable("array", items={"type": "string"}), 'must include "null"'),
        ("notes", nullable("string", items=nullable("string")), "items are only supported"),
        ("billingFullName", nullable("object", properties={"a": {"type": "string"}}), "properties is not supported"),
    ],
)
def test_a_type_that_cannot_be_kept_is_refused(
    column: str, schema: dict[str, Any], reason: str, sandbox: Sandbox
) -> None:
    """One line names stream and field, before any request."""
    with pytest.raises(SettingsError, match=f"The catalog gives sales.{column} a type that it cannot have: .*{reason}"):
        run_here(config_for(sandbox), catalog=catalog_with({column: schema}))
    assert len(sandbox.requests) == 0


def test_the_columns_of_a_snapshot_are_fixed(sandbox: Sandbox) -> None:
    """A snapshot without its time would be of no use, and its types cannot be changed."""
    config = config_for(sandbox, id_snapshots=["sales"])
    catalog = catalog_with({"snapshotAt": None}, "sales_ids", id_snapshots=["sales"])
    output = run_here(config, catalog=catalog)
    assert {frozenset(record) for record in output.records("sales_ids")} == {frozenset({"id", "snapshotAt"})}
    assert set(output.of("SCHEMA")[0]["schema"]["properties"]) == {"id", "snapshotAt"}
    changed = catalog_with({"snapshotAt": nullable("string")}, "sales_ids", id_snapshots=["sales"])
    with pytest.raises(SettingsError, match=r"sales_ids\.snapshotAt"):
        run_here(config, catalog=changed)


@pytest.mark.parametrize("policy", ["warn", "keep"])
def test_included_models_and_unmapped_fields_leave_only_if_they_are_listed(
    policy: str, sandboxes: Callable[..., Sandbox]
) -> None:
    """The column of undocumented fields, and each column of an included model, are in the SCHEMA, or do not leave."""
    sandbox = sandboxes(empty=False, scale=0.01)
    sandbox.replace("channels", [])
    settings: dict[str, Any] = {"include": {"sales": [{"model": "SaleItem"}]}, "unknown_fields": policy}
    catalog = catalog_with({"_unmapped": None, "sale_item": None, "sale_items": None}, **settings)
    output = run_here(config_for(sandbox, **settings), catalog=catalog)
    properties = set(output.of("SCHEMA")[0]["schema"]["properties"])
    assert output.records()
    assert all(set(record) <= properties for record in output.records())
