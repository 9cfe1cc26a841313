"""The setting `select`: streams and fields by patterns, without a catalog."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runs import TOKEN, UNLIMITED, catalog_of, config_for, root, run_here
from tap_jetti.errors import SettingsError
from tap_jetti.facts import resources
from tap_jetti.tap.tap import TapJetti

if TYPE_CHECKING:
    from collections.abc import Callable

    from runs import Commands
    from tap_jetti.sandbox import Sandbox

ROW = {"id": 1, "updatedAt": "2020-01-01T00:00:00Z"}


def tap_with(**settings: Any) -> TapJetti:
    """A tap that has not run."""
    return TapJetti(config={"api_token": TOKEN, **UNLIMITED, **settings}, parse_env_config=False)


def selected(*patterns: str, **settings: Any) -> dict[str, set[str]]:
    """The streams and fields that patterns select."""
    streams = tap_with(select=list(patterns), **settings).streams
    return {
        name: {path[1] for path, is_selected in stream.mask.items() if path and is_selected}
        for name, stream in streams.items()
        if stream.selected
    }


def fields_of(stream: str) -> set[str]:
    """All fields of a stream."""
    return set(resources.schema(stream)["properties"])


BILLING = {field for field in fields_of("sales") if field.startswith("billing")}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["sales"], {"sales": fields_of("sales")}),
        (["sales.*"], {"sales": fields_of("sales")}),
        ([" sales.total "], {"sales": {"id", "updatedAt", "total"}}),
        (["sales.*", "!sales.billing*"], {"sales": fields_of("sales") - BILLING}),
        (["!*.billing*", "sales"], {"sales": fields_of("sales") - BILLING}),
        (["sales.total", "sales.notes"], {"sales": {"id", "updatedAt", "total", "notes"}}),
        (["sale*.total", "!sale_*"], {"sales": {"id", "updatedAt", "total"}}),
        (["sale*.total", "!sale_*.*"], {"sales": {"id", "updatedAt", "total"}}),
        (["payment_methods.name"], {"payment_methods": {"id", "updatedAt", "name"}}),
        (["vendors.id"], {"vendors": {"id", "updatedAt"}}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_patterns(patterns: list[str], expected: dict[str, set[str]]) -> None:
    """What a pattern includes is read, keys always, and what one excludes is not, in whichever order they stand."""
    assert selected(*patterns) == expected


def test_a_wildcard_for_streams() -> None:
    """A wildcard names all streams that match, those of id_snapshots, too, and none besides."""
    assert set(selected("purchase_i*")) == {name for name in resources.names() if name.startswith("purchase_i")}
    assert set(selected("*")) == set(resources.names())
    assert set(selected("vendors*", id_snapshots=["vendors"])) >= {"vendors", "vendors_ids"}
    assert set(selected("vendors_ids", id_snapshots=["vendors"])) == {"vendors_ids"}


def test_only_exclusions() -> None:
    """They leave the default selection without what they match."""
    chosen = selected("!sales.billing*", "!vendors")
    assert set(chosen) == set(resources.selected_by_default()) - {"vendors"}
    assert chosen["sales"] == fields_of("sales") - BILLING


@pytest.mark.parametrize("way", ["select", "catalog", "older catalog"])
def test_a_snapshot_that_is_not_selected(
    way: str, sandboxes: Callable[..., Sandbox], caplog: pytest.LogCaptureFixture
) -> None:
    """That a stream is named in id_snapshots, and its ids are not selected, is said."""
    config = config_for(sandboxes(), id_snapshots=["sales", "vendors"])
    catalog = None
    if way == "select":
        config["select"] = ["sales", "vendors", "vendors_ids"]
    else:
        catalog = catalog_of("sales", "sales_ids", "vendors_ids", config=config)
        if way == "older catalog":
            catalog["streams"] = [one for one in catalog["streams"] if one["stream"] != "sales_ids"]
        else:
            root(next(one for one in catalog["streams"] if one["stream"] == "sales_ids"))["selected"] = False
    assert run_here(config, catalog=catalog).code == 0
    assert "id_snapshots has no effect on sales: select sales_ids, too, to find deleted rows." in caplog.messages


def test_a_slice_reads_some_streams_in_full(
    sandboxes: Callable[..., Sandbox], caplog: pytest.LogCaptureFixture
) -> None:
    """Which streams end_date does not limit is said, once per run and only where it is set."""
    config = config_for(sandboxes(), select=["sales", "sale_invoices", "vendors_ids"], id_snapshots=["vendors"])
    run_here(config)
    assert "end_date" not in caplog.text
    run_here({**config, "end_date": "2020-01-01"})
    assert [message[:55] for message in caplog.messages if "end_date" in message] == [
        "end_date does not limit sale_invoices, vendors_ids: the"
    ]


def test_a_start_after_the_bookmark(sandboxes: Callable[..., Sandbox], caplog: pytest.LogCaptureFixture) -> None:
    """That a later start_date leaves out rows that changed since the bookmark is said."""
    config = config_for(sandboxes(), select=["sales", "vendors"], start_date="2020-01-02")
    dates = {"sales": "2020-01-01", "vendors": "2020-01-03", "customers": "2020-01-01"}
    run_here(config, state={"bookmarks": {name: {"replication_key_value": date} for name, date in dates.items()}})
    (message,) = [message for message in caplog.messages if "start_date" in message]
    assert message.startswith("start_date 2020-01-02T00:00:00.000Z is later than the bookmark of sales: rows")


def test_columns_in_snake_case() -> None:
    """Fields are named as the columns are."""
    assert selected("sales.created_*", column_names="snake_case") == {"sales": {"id", "updated_at", "created_at"}}
    with pytest.raises(SettingsError, match=r"Did you mean sales\.created_at"):
        tap_with(select=["sales.createdAt"], column_names="snake_case")


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["salse.*"], "salse.* matches no stream. Did you mean sales?"),
        (["Sales"], "Sales matches no stream. Did you mean sales?"),
        (["qqq*"], "qqq* matches no stream. List the streams with tap-jetti --discover."),
        (["sales.totl"], "sales.totl matches no field of stream sales. Did you mean sales.total?"),
        (["sales", "!sales.biling*"], "!sales.biling* matches no field of stream sales. Did you mean sales.billing"),
        (["sales.address.city"], "sales.address.city matches no field of stream sales."),
        (["purchase_*.qqq"], "matches no field of the"),
        (["sales_ids"], "sales_ids matches no stream. Add sales to id_snapshots to read its ids."),
        (["sales", "!sales"], "select excludes every stream, so nothing would be read."),
        (["!*"], "select excludes every stream, so nothing would be read."),
        (["sales", ""], "'' is not a pattern"),
        (["!"], "'!' is not a pattern"),
        (["sales."], "'sales.' is not a pattern"),
        (["sales", 7], "select.1 must be text"),
        ({"sales": True}, "select must be a list"),
    ],
    ids=str,
)
def test_a_wrong_pattern(patterns: Any, message: str) -> None:
    """A pattern that matches nothing, or a selection of nothing, is an error that names the nearest."""
    with pytest.raises(SettingsError) as caught:
        _ = tap_with(select=patterns).streams
    assert message in str(caught.value)


def test_a_pattern_without_effect(caplog: pytest.LogCaptureFixture) -> None:
    """That keys cannot be left out is said."""
    assert selected("vendors.name", "!vendors.id") == {"vendors": {"id", "updatedAt", "name"}}
    assert "select: !vendors.id has no effect, because keys are always read." in caplog.messages


def test_it_excludes_a_catalog(sandboxes: Callable[..., Sandbox]) -> None:
    """With both, it is not clear which counts."""
    config = config_for(sandboxes(), select=["sales"])
    with pytest.raises(SettingsError, match="select and --catalog exclude each other"):
        TapJetti(config=config, catalog=catalog_of("vendors"))


@pytest.mark.parametrize("text", ['["sales.total", "vendors.name"]', "sales.total, vendors.name"], ids=["JSON", "list"])
def test_from_the_environment(text: str, sandboxes: Callable[..., Sandbox], commands: Commands) -> None:
    """Only what is selected leaves, and only that is asked for."""
    sandbox = sandboxes()
    sandbox.replace("sales", [{**ROW, "total": 3, "notes": "x"}])
    sandbox.replace("vendors", [{**ROW, "name": "Acme"}])
    output = commands.run(config_for(sandbox, progress="never"), "--config=ENV", environment={"TAP_JETTI_SELECT": text})
    assert output.code == 0, output.errors
    updated = "2020-01-01T00:00:00.000Z"
    assert output.records("sales") == [{"id": 1, "updatedAt": updated, "total": 3.0}]
    assert output.records("vendors") == [{"id": 1, "updatedAt": updated, "name": "Acme"}]
    assert {stream["stream"] for stream in output.of("SCHEMA")} == {"sales", "vendors"}
    assert all("notes" not in message["schema"]["properties"] for message in output.of("SCHEMA"))


def test_of_what_meltano_passes(sandboxes: Callable[..., Sandbox], commands: Commands) -> None:
    """Meltano's own TAP_JETTI__SELECT beside the settings is neither one of them nor a misspelt one."""
    output = commands.run(
        config_for(sandboxes()), "--config=ENV", environment={"TAP_JETTI__SELECT": '["sales.*"]'}, streams=("sales",)
    )
    assert output.code == 0, output.errors
    assert "Unknown" not in output.errors


def test_discovery_shows_it(commands: Commands) -> None:
    """The catalog of --discover has the selection, to look at it before a run."""
    with commands.start({"select": ["sales.total"]}, "--discover") as process:
        catalog = json.loads(process.communicate(timeout=60)[0])
    assert process.returncode == 0
    fields = {
        entry["stream"]: {
            one["breadcrumb"][1]
            for one in entry["metadata"]
            if one["breadcrumb"] and (one["metadata"]["selected"] or one["metadata"]["inclusion"] == "automatic")
        }
        for entry in catalog["streams"]
        if root(entry)["selected"]
    }
    assert fields == {"sales": {"id", "updatedAt", "total"}}


def test_its_catalog_reads_the_same(sandboxes: Callable[..., Sandbox]) -> None:
    """A run with the catalog that discovery made of the setting writes what a run with the setting writes."""
    sandbox = sandboxes()
    sandbox.replace("sales", [{**ROW, "total": 3, "notes": "x", "billingCity": "Rome"}])
    config = config_for(sandbox)
    select = ["sales.*", "!sales.billing*"]
    catalog = json.loads(json.dumps(tap_with(select=select).catalog_dict))
    with_setting, with_catalog = run_here({**config, "select": select}), run_here(config, catalog=catalog)
    assert with_setting.records() == with_catalog.records()
    assert with_setting.of("SCHEMA") == with_catalog.of("SCHEMA")
    assert "billingCity" not in with_setting.records()[0]
