"""The SDK's stream maps, flattening and batches: what is wrong with them is one line, and nothing is ignored."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from runs import catalog_of, config_for, run_here
from tap_jetti.errors import JettiError, SettingsError
from tap_jetti.tap.tap import TapJetti

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_jetti.sandbox import Sandbox

ROWS = [{"id": n, "updatedAt": f"2020-01-0{n}T00:00:00Z", "total": 5 * n, "notes": "private"} for n in range(1, 4)]


@pytest.fixture
def sandbox(sandboxes: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox with three sales and three vendors."""
    started = sandboxes()
    started.replace("sales", ROWS)
    started.replace("vendors", ROWS)
    return started


def batches(folder: Path, compression: str | None = "gzip") -> dict[str, Any]:
    """The settings for batches in a folder."""
    encoding = {"format": "jsonl", **({"compression": compression} if compression else {})}
    return {"encoding": encoding, "storage": {"root": folder.as_uri()}}


@pytest.mark.parametrize("way", ["select", "catalog", "default"])
def test_a_stream_that_is_not_selected(way: str, sandbox: Sandbox) -> None:
    """A map may name a stream that this run does not read, with any of its fields."""
    maps = {"sales": {"double": "total * 2"}, "payment_methods": {"name": "name.upper()", "companyId": None}}
    config = config_for(sandbox, stream_maps=maps, **({"select": ["sales"]} if way == "select" else {}))
    catalog = None
    if way == "catalog":
        catalog = catalog_of("sales", "payment_methods")
        catalog["streams"][0]["metadata"] = [{"breadcrumb": [], "metadata": {"selected": False}}]
    output = run_here(config, catalog=catalog)
    assert [record["double"] for record in output.records("sales")] == [10.0, 20.0, 30.0]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"salse": {"a": "total"}}, "there is no stream salse. Did you mean sales?"),
    ({"orders": {"__source__": "salse"}}, "there is no stream salse. Did you mean sales?"),
    ({"sales": {"ntoes": None}}, "there is no field sales.ntoes. Did you mean notes?"),
    ({"sales": {"a": "total +"}}, "fail on stream sales: Failed to parse expression total +."),
    ({"sales": {"__filter__": "id >"}}, "fail on stream sales: Failed to parse expression id >."),
    ({"sales": {"a": "totl * 2"}}, "fail on stream sales, id 1: 'totl' is not defined for expression 'totl * 2'."),
    ({"sales": {"a": "foo(total)"}}, "fail on stream sales, id 1: Function 'foo' not defined"),
    ({"sales": {"a": "int(notes)"}}, "fail on stream sales, id 1: ValueError in int(notes)."),
    ({"sales": {"a": "float(total) / 0"}}, "fail on stream sales, id 1: ZeroDivisionError in float(total) / 0."),
    ({"sales": {"a": "config['x']"}}, "fail on stream sales, id 1: KeyError in config['x']."),
    ({"sales": {"id": None}}, "fail on stream sales: Removing key property 'id' is not permitted"),
    ({"sales": {"__key_properties__": ["nope"]}}, "Property 'nope' was not detected in schema"),
    ({"sales": "x"}, "stream_maps.sales must be an object"),
    ({"sales": {"a": 5}}, "stream_maps.sales.a must be text"),
    ({"sales": {"a": {"b": 1}}}, "stream_maps.sales.a must be text"),
    ({"__else__": "x"}, 'stream_maps.__else__ must be "__NULL__"'),
    ({"__other__": None}, "stream_maps fail: Option '__other__:None' is not expected"),
]


@pytest.mark.parametrize(("maps", "message"), WRONG, ids=[json.dumps(maps) for maps, _ in WRONG])
@pytest.mark.parametrize("batched", [False, True], ids=["records", "batches"])
def test_a_wrong_map(maps: dict[str, Any], message: str, batched: bool, sandbox: Sandbox, tmp_path: Path) -> None:
    """It ends the run with one line that names stream, row and expression, and shows no value of the row."""
    settings = {"batch_config": batches(tmp_path)} if batched else {}
    with pytest.raises(SettingsError) as caught:
        TapJetti(config=config_for(sandbox, select=["sales"], stream_maps=maps, **settings)).run()
    text = str(caught.value)
    assert message in text
    assert "private" not in text
    assert "\n" not in text


def test_a_stream_that_does_not_exist(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """A map without effect is said, where no stream has nearly its name."""
    run_here(config_for(sandbox, select=["sales"], stream_maps={"zzz*": None, "sales": {"qqqqqq": None}}))
    assert "stream_maps: there is no stream zzz*, so this has no effect." in caplog.messages
    assert "stream_maps: there is no field sales.qqqqqq, so this has no effect." in caplog.messages


@pytest.mark.parametrize("compression", ["gzip", None], ids=["gzip", "unset"])
def test_batches_are_mapped(compression: str | None, sandbox: Sandbox, tmp_path: Path) -> None:
    """The rows of batches are mapped as those of messages are, so that what a map removes does not leave."""
    maps = {"sales": {"double": "total * 2", "notes": None, "__filter__": "id > 1"}, "vendors": None}
    config = config_for(sandbox, select=["sales", "vendors"], stream_maps=maps)
    expected = run_here(config).records("sales")
    output = run_here({**config, "batch_config": batches(tmp_path, compression)})
    (message,) = output.of("BATCH")
    (file,) = tmp_path.iterdir()
    assert message["encoding"] == {"format": "jsonl", "compression": "gzip"}
    assert [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()] == expected
    assert [record["id"] for record in expected] == [2, 3]
    assert output.bookmark("sales") == "2020-01-03T00:00:00.000Z"


def test_batches_are_flattened(sandbox: Sandbox, tmp_path: Path) -> None:
    """Nested fields of batches have the columns that SCHEMA promises."""
    sandbox.replace("sales", [{**ROWS[0], "dropshipProblems": {"a": {"b": 1}}}])
    config = config_for(sandbox, select=["sales"], flattening_enabled="true", flattening_max_depth="2")
    output = run_here({**config, "batch_config": batches(tmp_path)})
    (schema,), (file,) = output.of("SCHEMA"), tmp_path.iterdir()
    (row,) = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert [row] == run_here(config).records("sales")
    assert row.keys() <= schema["schema"]["properties"].keys()


BATCHES: list[tuple[dict[str, Any], str]] = [
    ({}, "batch_config.encoding is missing"),
    ({"storage": {}}, "batch_config.storage.root is missing"),
    ({"encoding": {"format": "xml"}}, 'batch_config.encoding.format must be one of "jsonl", "parquet"'),
    (
        {"encoding": {"format": "jsonl", "compression": "none"}},
        'batch_config.encoding.compression must be one of "gzip"',
    ),
    ({"encoding": {"format": "jsonl", "level": 1}}, "batch_config.encoding has unknown keys: level"),
    ({"batch_size": 0}, "batch_config.batch_size must be at least 1"),
    ({"storage": {"root": "zz://x/b"}}, "batch_config cannot be used: Unsupported filesystem"),
    ({"storage": {"root": "file:///proc/none/b"}}, "A batch of sales cannot be written to file:///proc/none/b"),
]


@pytest.mark.parametrize(("change", "message"), BATCHES, ids=[message for _, message in BATCHES])
def test_wrong_batches(change: dict[str, Any], message: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """Settings for batches that cannot be kept are one line, and never a run that reads nothing."""
    batch_config = {**batches(tmp_path), **change} if change else {"storage": {"root": "x"}}
    with pytest.raises(JettiError) as caught:
        TapJetti(config=config_for(sandbox, select=["sales"], batch_config=batch_config)).run()
    assert message in str(caught.value)


def test_several_maps_of_a_stream_in_batches(sandbox: Sandbox, tmp_path: Path) -> None:
    """A batch belongs to one stream, so two maps of the same rows are refused."""
    config = config_for(sandbox, select=["sales"], stream_maps={"copy": {"__source__": "sales"}})
    assert set(run_here(config).counts()) == {"sales", "copy"}
    run_here({**config, "batch_config": batches(tmp_path)}, error=SettingsError)


def test_flattening_needs_a_depth(sandbox: Sandbox) -> None:
    """The setting that is missing is named."""
    with pytest.raises(SettingsError, match="flattening_enabled needs flattening_max_depth"):
        run_here(config_for(sandbox, flattening_enabled=True))
