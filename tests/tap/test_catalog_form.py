"""Catalogs of other versions, of other tools, or made by hand: what is missing is filled in, the rest is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runs import catalog_of, config_for, root, run_here
from tap_jetti.errors import SettingsError
from tap_jetti.tap.catalog_form import check_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from runs import Output
    from tap_jetti.sandbox import Sandbox

    Change = Callable[[dict[str, Any]], object]

ROWS = [{"id": n, "updatedAt": f"2020-01-0{n}T00:00:00Z", "notes": "x"} for n in range(1, 4)]


@pytest.fixture
def sandbox(sandboxes: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox with three sales and three invoices."""
    started = sandboxes()
    started.replace("sales", ROWS)
    started.replace("sale_invoices", ROWS)
    return started


def changed(change: Change, stream: str = "sales", **settings: Any) -> dict[str, Any]:
    """A catalog of one stream, changed."""
    catalog = catalog_of(stream, config={"api_token": "any", **settings})
    change(catalog["streams"][0])
    return catalog


def run(sandbox: Sandbox, catalog: dict[str, Any], **settings: Any) -> Output:
    """Read with a catalog."""
    return run_here(config_for(sandbox, **settings), catalog=catalog)


def field(entry: dict[str, Any], name: str = "notes") -> dict[str, Any]:
    """The metadata of a field."""
    found: dict[str, Any] = next(one for one in entry["metadata"] if one["breadcrumb"] == ["properties", name])
    return found


def without_root(entry: dict[str, Any]) -> None:
    """Remove the metadata of the stream itself."""
    entry["metadata"] = [one for one in entry["metadata"] if one["breadcrumb"]]


FILLED_IN: list[tuple[str, Change]] = [
    ("no metadata", lambda entry: entry.pop("metadata")),
    ("empty metadata", lambda entry: entry.update(metadata=[])),
    ("no metadata of the stream", without_root),
    ("selected is null", lambda entry: root(entry).update({"selected": None, "selected-by-default": True})),
    ("no name besides the id", lambda entry: entry.pop("stream")),
    ("no key", lambda entry: (entry.pop("key_properties"), root(entry).pop("table-key-properties"))),
    ("key is empty", lambda entry: entry.update(key_properties=[])),
    ("key is null", lambda entry: entry.update(key_properties=None)),
    ("no replication key", lambda entry: (entry.pop("replication_key"), root(entry).pop("replication-key"))),
    ("no method", lambda entry: entry.pop("replication_method")),
    ("metadata of others", lambda entry: root(entry).update({"database-name": "x", "row-count": 3})),
    ("no id in the schema", lambda entry: entry["schema"]["properties"].pop("id")),
    ("id is unsupported", lambda entry: field(entry, "id")["metadata"].update(inclusion="unsupported")),
    ("keys are deselected", lambda entry: field(entry, "updatedAt")["metadata"].update(selected=False)),
    (
        "metadata of a part of a field",
        lambda entry: entry["metadata"].append(
            {"breadcrumb": ["properties", "notes", "properties", "x"], "metadata": {"selected": True}}
        ),
    ),
    ("additional properties", lambda entry: entry["schema"].update(additionalProperties=False)),
]


@pytest.mark.parametrize("change", [case[1] for case in FILLED_IN], ids=[case[0] for case in FILLED_IN])
def test_what_is_missing_is_filled_in(change: Change, sandbox: Sandbox) -> None:
    """The stream is read as by its own catalog, incrementally and with its key."""
    output = run(sandbox, changed(change))
    (schema,) = output.of("SCHEMA")
    assert (schema["key_properties"], schema["bookmark_properties"]) == (["id"], ["updatedAt"])
    assert output.records("sales") == run(sandbox, catalog_of("sales")).records("sales")
    assert output.bookmark("sales") == "2020-01-03T00:00:00.000Z"


REFUSED: list[tuple[str, Change, str]] = [
    ("metadata is null", lambda entry: entry.update(metadata=None), "sales: expected `array`, got `null`"),
    ("selected is text", lambda entry: root(entry).update(selected="true"), "got `str` - at `$.metadata"),
    ("a field's selected is text", lambda entry: field(entry)["metadata"].update(selected="false"), "got `str`"),
    ("inclusion is unknown", lambda entry: field(entry)["metadata"].update(inclusion="maybe"), "value 'maybe'"),
    ("a breadcrumb is joined", lambda entry: field(entry).update(breadcrumb=["properties.notes"]), "must be empty or"),
    ("a breadcrumb twice", lambda entry: entry["metadata"].append(field(entry)), "has metadata twice"),
    ("a field's schema is text", lambda entry: entry["schema"]["properties"].update(notes="text"), "sales.notes: "),
    ("a part's schema is text", lambda entry: entry["schema"]["properties"]["tags"].update(items="x"), "sales.tags: "),
    ("items are a list", lambda entry: entry["schema"]["properties"]["tags"].update(items=[{}]), "sales.tags: "),
    ("stream is renamed", lambda entry: entry.update(stream="orders"), '{"sales": {"__alias__": "orders"}}'),
    ("stream has an alias", lambda entry: entry.update(stream_alias="orders"), '{"sales": {"__alias__": "orders"}}'),
    ("stream is misspelt", lambda entry: entry.update(tap_stream_id="salse"), "Did you mean sales?"),
    ("key is another", lambda entry: entry.update(key_properties=["externalId"]), "the key externalId"),
    ("key in metadata", lambda entry: root(entry).update({"table-key-properties": ["externalId"]}), "key externalId"),
    ("key is text", lambda entry: entry.update(key_properties="id"), "expected `array | null`, got `str`"),
    ("replication key", lambda entry: entry.update(replication_key="createdAt"), "sales by createdAt. Supported"),
    ("its key in metadata", lambda entry: root(entry).update({"replication-key": "createdAt"}), "by createdAt"),
    ("a list of keys", lambda entry: entry.update(replication_key=["updatedAt"]), "expected `str | null`"),
    ("method", lambda entry: entry.update(replication_method="LOG_BASED"), "sales by LOG_BASED. Supported"),
    ("its method", lambda entry: root(entry).update({"forced-replication-method": "LOG_BASED"}), "by LOG_BASED"),
    ("Meltano's method", lambda entry: root(entry).update({"replication-method": "LOG_BASED"}), "by LOG_BASED"),
    ("a field is required", lambda entry: entry["schema"].update(required=["notes"]), "requires sales.notes"),
]


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_cannot_be_done_is_refused(change: Change, message: str, sandbox: Sandbox) -> None:
    """One line names the stream and what is wrong, and no request is sent."""
    with pytest.raises(SettingsError) as caught:
        run(sandbox, changed(change))
    assert message in str(caught.value)
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("place", ["replication_method", "forced-replication-method", "replication-method"])
def test_a_full_table_can_be_asked_for(place: str, sandbox: Sandbox) -> None:
    """Wherever a catalog asks for FULL_TABLE, the stream is read as a whole, and its bookmark stays as it is."""

    def ask(entry: dict[str, Any]) -> None:
        (entry if place == "replication_method" else root(entry))[place] = "FULL_TABLE"

    state = {"bookmarks": {"sales": {"replication_key": "updatedAt", "replication_key_value": "2020-01-02T00:00:00Z"}}}
    output = run_here(config_for(sandbox), catalog=changed(ask), state=state)
    assert output.ids("sales") == [1, 2, 3]
    assert output.bookmark("sales") == "2020-01-02T00:00:00.000Z"


@pytest.mark.parametrize("stream", ["sale_invoices", "sales_ids"])
def test_an_incremental_read_that_is_none_is_refused(stream: str, sandbox: Sandbox) -> None:
    """What has no replication key cannot be read incrementally."""
    config = {"api_token": "any", "id_snapshots": ["sales"]}
    catalog = catalog_of(stream, config=config)
    catalog["streams"][0]["replication_method"] = "INCREMENTAL"
    with pytest.raises(SettingsError, match=f"asks for {stream} by INCREMENTAL. Supported: FULL_TABLE"):
        run(sandbox, catalog, id_snapshots=["sales"])


def test_snapshots_that_are_not_configured(sandbox: Sandbox) -> None:
    """A catalog that was made with id_snapshots names the setting if a run is without it."""
    catalog = catalog_of("sales_ids", config={"api_token": "any", "id_snapshots": ["sales"]})
    with pytest.raises(SettingsError, match="Add sales to the setting id_snapshots"):
        run(sandbox, catalog)


def test_an_older_catalog_names_what_it_leaves_out(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """Fields that the stream has and the catalog does not list are named, as they are not read."""
    caplog.set_level("INFO")
    run(sandbox, changed(lambda entry: [entry["schema"]["properties"].pop(name) for name in ("notes", "total")]))
    assert "The catalog does not list 2 fields of sales, so they are not read: notes, total." in caplog.messages


def test_a_stream_twice() -> None:
    """Which of two entries counts is not guessed."""
    catalog = catalog_of("sales")
    with pytest.raises(SettingsError, match="it lists sales twice"):
        check_catalog({"streams": catalog["streams"] * 2})


def test_its_own_catalog_is_left_as_it_is() -> None:
    """The whole catalog of the tap passes unchanged."""
    catalog = catalog_of("sales", "sale_invoices")
    assert json.dumps(check_catalog(catalog)) == json.dumps(catalog)
