"""Records carry every value in the type that the schema promises, and nothing that must not leave Jetti."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from runs import catalog_of, config_for, run_here, select_only
from tap_jetti.errors import SettingsError
from tap_jetti.facts import resources
from tap_jetti.sandbox import Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runs import Output

DAY = "2020-01-01T00:00:00.000Z"


def one(sandbox: Sandbox, stream: str, row: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The record of a stream's only row."""
    sandbox.replace(stream, [{"id": 1, "updatedAt": DAY, **row}])
    output = run_here(config_for(sandbox, **settings), streams=(stream,))
    assert output.code == 0
    (record,) = output.records(stream)
    return record


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "field", "value", "expected"),
    [
        ("sales", "total", "12.10", "12.10"),
        ("sales", "total", " 12.5 ", "12.5"),
        ("sales", "total", "0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("sales", "total", 19.99, "19.99"),
        ("sales", "total", 12345678901234567890, "12345678901234567890"),
        ("sales", "total", "-0.00", "-0.00"),
        ("sales", "total", "", "null"),
        ("sales", "total", "n/a", "null"),
        ("sales", "total", "NaN", "null"),
        ("sales", "companyId", "17", "17"),
        ("sales", "companyId", 17, "17"),
        ("sales", "companyId", "17.0", "17"),
        ("sales", "companyId", "", "null"),
        ("sales", "companyId", None, "null"),
        ("sales", "quantity", 3.0, "3"),
        ("sales", "cancelled", "false", "false"),
        ("sales", "cancelled", 1, "true"),
        ("sales", "cancelled", "maybe", "null"),
        ("sales", "dateOrdered", "2020-02-03T04:05:06.789123+01:00", '"2020-02-03T03:05:06.789Z"'),
        ("sales", "dateOrdered", "2020-02-03", '"2020-02-03T00:00:00.000Z"'),
        ("sales", "dateOrdered", "", "null"),
        ("sales", "dateOrdered", "soon", "null"),
        ("sales", "reference", 42, '"42"'),
        ("sales", "reference", 1.5, '"1.5"'),
        ("sales", "reference", True, '"true"'),
        ("sales", "reference", "Zoë \u2028 \U0001f4e6 \"'\\", json.dumps("Zoë \u2028 \U0001f4e6 \"'\\")),
        ("sales", "reference", {"a": [1, None, "x"]}, json.dumps('{"a": [1, null, "x"]}')),
        ("sales", "reference", {"price": 1.5}, json.dumps('{"price": 1.5}')),
        ("sales", "dropshipProblems", {"a": [1, None, {"b": 1.5}]}, '{"a":[1,null,{"b":1.5}]}'),
        ("sales", "dropshipProblems", [], "[]"),
        ("sales", "dropshipProblems", "text", '"text"'),
        ("sales", "tags", ["a", None, 5], '["a",null,"5"]'),
        ("sales", "tags", "lone", '["lone"]'),
        ("sales", "inventoryStatus", "notAnEnumValue", '"notAnEnumValue"'),
    ],
)
def test_a_value_has_the_type_of_its_field(
    stream: str, field: str, value: Any, expected: str, sandboxes: Callable[..., Sandbox]
) -> None:
    """A value is written in the type of its field, exactly; one that cannot be converted is written as null."""
    sandbox = sandboxes()
    sandbox.replace(stream, [{"id": 1, "updatedAt": DAY, field: value}])
    output = run_here(config_for(sandbox), streams=(stream,))
    (line,) = (line for line in output.lines if '"RECORD"' in line)
    record = json.loads(line, parse_float=Verbatim, parse_int=Verbatim)["record"]
    assert verbatim(record[field]) == expected.replace(", ", ",").replace('\\": ', '\\":') or record[
        field
    ] == json.loads(expected)


class Verbatim(str):
    """A number as it is spelt."""

    __slots__ = ()


def verbatim(value: Any) -> str:
    """JSON with the numbers as they were spelt."""
    if isinstance(value, Verbatim):
        return str.__str__(value)
    if isinstance(value, list):
        return f"[{','.join(map(verbatim, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(key)}:{verbatim(item)}' for key, item in value.items())}}}"
    return json.dumps(value)


@pytest.mark.parametrize("decimals", ["number", "text", "mixed"])
def test_decimals_are_the_same_however_the_server_writes_them(decimals: str, sandboxes: Callable[..., Sandbox]) -> None:
    """Decimals as text, as numbers or mixed, and companyId as text, give the same records."""
    sandbox = sandboxes(decimals=decimals, company_id="text" if decimals == "text" else "number")
    sandbox.replace("sales", [{"id": n, "updatedAt": DAY, "total": n / 4, "tax": 0.1} for n in range(1, 30)])
    output = run_here(config_for(sandbox), streams=("sales",))
    assert [(row["total"], row["tax"], row["companyId"]) for row in output.records()] == [
        (n / 4, 0.1, 1) for n in range(1, 30)
    ]


# --- secrets --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def company() -> Iterator[Sandbox]:
    """A small company, every secret field of which is filled."""
    with Sandbox(Options(scale=0.01, rate=0)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def everything(company: Sandbox) -> Output:
    """A run over all streams that keeps undocumented fields."""
    names = resources.names()
    return run_here(config_for(company, unknown_fields="keep"), catalog=catalog_of(*names))


def test_every_row_of_every_stream_comes(company: Sandbox, everything: Output) -> None:
    """All streams together give each row of the company once."""
    assert everything.code == 0
    assert dict(everything.counts()) == {name: company.count(name) for name in resources.names() if company.count(name)}


def test_no_record_holds_a_secret(everything: Output) -> None:
    """No record has a secret field, not under _unmapped either, nor the value of one."""
    fields = {name: resources.secret_fields(name) for name in resources.names()}
    for message in everything.of("RECORD"):
        record = message["record"]
        found = fields[message["stream"]] & (record.keys() | (record.get("_unmapped") or {}).keys())
        assert not found
    secrets = [secret for secrets in fields.values() for secret in secrets]
    text = "\n".join(everything.lines)
    assert not [name for name in secrets if f"fake-{name}-" in text]
    assert "fake-feed-hash" not in text
    assert "fake-channel-hash" not in text
    assert "user:password" not in text


INCLUDES = (
    ("inventory_feeds", {"model": "DropshipProvider"}),
    ("dropship_providers", {"model": "InventoryFeed"}),
    ("inventory_feed_variants", {"model": "InventoryFeed", "include": [{"model": "DropshipProvider"}]}),
    ("sales", {"model": "Channel"}),
    ("sales", {"model": "User"}),
    ("sales", {"model": "Purchase", "include": [{"model": "DropshipProvider"}]}),
    ("custom_channels", {"model": "Channel", "include": [{"model": "CustomChannel"}]}),
    ("variants", {"model": "DropshipProvider", "include": [{"model": "InventoryFeed"}]}),
)


@pytest.mark.parametrize(("stream", "include"), INCLUDES, ids=[f"{name}-{one['model']}" for name, one in INCLUDES])
@pytest.mark.parametrize("policy", ["warn", "keep"])
def test_no_include_carries_a_secret(policy: str, stream: str, include: dict[str, Any], company: Sandbox) -> None:
    """What a row carries along has no secret field, at any depth, and no credentials in a URL."""
    config = config_for(company, include={stream: [include]}, unknown_fields=policy)
    output = run_here(config, catalog=catalog_of(stream, config=config))
    assert output.code == 0
    text = "\n".join(line for line in output.lines if '"RECORD"' in line)
    assert "fake-" not in text
    assert "user:password" not in text
    carried = [key for key in output.records()[0] if key not in resources.schema(stream)["properties"]]
    assert carried


@pytest.mark.parametrize("policy", ["warn", "keep"])
def test_undocumented_objects_keep_their_secrets(policy: str, sandboxes: Callable[..., Sandbox]) -> None:
    """A secret inside an undocumented object, such as an association under another name, does not come out."""
    row = {
        "defaultChannel": {"id": 3, "name": "Shop", "shipstationPassword": "S1", "hash": "S2"},
        "feeds": [{"authenticationToken": "S3", "url": "ftp://me:S4@host/x"}],
        "apiPassword": "S5",
        "userToken": {"value": "S6"},
    }
    record = one(sandboxes(), "sales", row, unknown_fields=policy)
    text = json.dumps(record)
    assert [secret for secret in ("S1", "S3", "S4", "S5", "S6") if f'"{secret}"' in text or f":{secret}@" in text] == []


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("ftp://user:password@host/file.csv", "ftp://***@host/file.csv"),
        ("https://user@host/", "https://***@host/"),
        ("sftp://u:p%40ss@host:22/a?b=c", "sftp://***@host:22/a?b=c"),
        ("ftp://user:pa@ss@host/x", "ftp://***@host/x"),
        ("ftp://user:pa/ss@host/x", "ftp://***@host/x"),
        ("ftp://user:pa#ss@host/x", "ftp://***@host/x"),
        ("ftp://user:pa?ss@host/x", "ftp://***@host/x"),
        ("FTP://USER:PASSWORD@HOST/X", "FTP://***@HOST/X"),
        ("see ftp://a:b@c/ and ftp://d:e@f/", "see ftp://***@c/ and ftp://***@f/"),
        ("https://host/path?mail=a@b.c", "https://host/path?mail=a@b.c"),
        ("https://host:8080/p/@scope/x", "https://host:8080/p/@scope/x"),
        ("https://host/@me", "https://host/@me"),
        ("mail me@host.com", "mail me@host.com"),
        ("https://host/x", "https://host/x"),
    ],
)
def test_credentials_in_a_url_are_masked(url: str, masked: str, sandboxes: Callable[..., Sandbox]) -> None:
    """The user information of a URL is masked wherever it stands, and nothing else of it."""
    row = {"resourceLocation": url, "fetchProblem": {"tried": [url]}, "tags": [url]}
    record = one(sandboxes(), "inventory_feeds", row)
    assert record["resourceLocation"] == masked
    assert record["fetchProblem"] == {"tried": [masked]}
    assert record["tags"] == [masked]


def test_a_secret_cannot_be_included_by_name(sandboxes: Callable[..., Sandbox]) -> None:
    """An include that asks for a secret field is refused before anything is read."""
    include = {"sales": [{"model": "Channel", "attributes": ["id", "shipstationPassword"]}]}
    with pytest.raises(SettingsError, match=r"Channel\.shipstationPassword is a secret"):
        run_here(config_for(sandboxes(), include=include))


# --- undocumented fields --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["warn", "keep", "error"])
def test_undocumented_fields(policy: str, sandboxes: Callable[..., Sandbox], caplog: pytest.LogCaptureFixture) -> None:
    """Undocumented fields are left out with one warning that names them, kept apart, or an error."""
    sandbox = sandboxes()
    rows = [{"id": n, "updatedAt": DAY, "displayName": f"Sale {n}", "zone": {"a": 1}} for n in range(1, 31)]
    sandbox.replace("sales", rows)
    output = run_here(config_for(sandbox, unknown_fields=policy), streams=("sales",))
    named = [entry for entry in caplog.records if "displayName, zone" in entry.getMessage()]
    assert len(named) == 1
    if policy == "error":
        assert output.code == 1
        assert output.bookmark("sales") is None
        return
    assert len(output.records()) == 30
    for record in output.records():
        kept = {"displayName": f"Sale {record['id']}", "zone": {"a": 1}}
        assert record.get("_unmapped") == (kept if policy == "keep" else None)
        assert not kept.keys() & record.keys()


# --- selection ------------------------------------------------------------------------------------------------------


def asked(sandbox: Sandbox, path: str) -> list[str]:
    """The fields that the requests to a path asked for."""
    (fields,) = {
        tuple(unquote(part).partition("=")[2] for part in entry.query.split("&") if part.startswith("attributes"))
        for entry in sandbox.requests
        if entry.path == path
    }
    return sorted(fields)


def test_selected_fields_are_asked_for(sandboxes: Callable[..., Sandbox]) -> None:
    """Only selected fields travel, plus the two that reading needs; only selected ones come out."""
    sandbox = sandboxes()
    sandbox.replace("sales", [{"id": n, "updatedAt": DAY, "total": 5, "notes": "x"} for n in range(1, 40)])
    catalog = select_only(catalog_of("sales"), "sales", {"total"})
    output = run_here(config_for(sandbox, verify_counts=False), catalog=catalog)
    assert asked(sandbox, "/api/sales.json") == ["id", "total", "updatedAt"]
    assert len(output.records()) == 39
    assert {tuple(sorted(record)) for record in output.records()} <= {("id", "total"), ("id", "total", "updatedAt")}
    assert output.bookmark("sales") is not None


def test_all_fields_are_not_listed(sandboxes: Callable[..., Sandbox]) -> None:
    """With everything selected no list is sent, so that undocumented fields are seen."""
    sandbox = sandboxes()
    sandbox.replace("sales", [{"id": 1, "updatedAt": DAY}])
    run_here(config_for(sandbox), streams=("sales",))
    assert asked(sandbox, "/api/sales.json") == []


@pytest.mark.parametrize("mode", ["many", "always"])
def test_a_server_that_refuses_lists_changes_no_record(mode: str, sandboxes: Callable[..., Sandbox]) -> None:
    """Where a list of fields is refused, the selected ones come out all the same, and no others."""
    sandbox = sandboxes(refuse_attributes=mode)
    sandbox.replace("sales", [{"id": n, "updatedAt": DAY, "total": 5, "notes": "x"} for n in range(1, 20)])
    catalog = select_only(catalog_of("sales"), "sales", {"id", "updatedAt", "total"})
    output = run_here(config_for(sandbox), catalog=catalog)
    assert [set(record) for record in output.records()] == [{"id", "updatedAt", "total"}] * 19


def test_includes_are_asked_for_with_their_keys(company: Sandbox) -> None:
    """An include comes along with a selection: the foreign key it needs is asked for but does not come out."""
    config = config_for(company, include={"sales": [{"model": "Channel", "attributes": ["id", "name"]}]})
    catalog = select_only(catalog_of("sales", config=config), "sales", {"id", "updatedAt", "channel"})
    company.requests.clear()
    output = run_here(config, catalog=catalog)
    assert output.code == 0
    assert "channelId" in asked(company, "/api/sales.json")
    record = output.records("sales")[0]
    assert set(record) == {"id", "updatedAt", "channel"}
    assert set(record["channel"]) == {"id", "name"}


@pytest.mark.parametrize(
    ("stream", "include", "inner"),
    [
        (
            "sales",
            {"model": "SaleItem", "attributes": ["id"], "include": [{"model": "Variant", "attributes": ["id", "sku"]}]},
            lambda record: record["sale_items"][0]["variant"],
        ),
        (
            "purchase_items",
            {
                "model": "Purchase",
                "attributes": ["id"],
                "include": [{"model": "PurchaseStatus", "attributes": ["id", "name"]}],
            },
            lambda record: record["purchase"]["purchase_status"],
        ),
    ],
    ids=["has many", "belongs to"],
)
def test_a_nested_include_brings_the_foreign_key_it_needs(
    stream: str, include: dict[str, Any], inner: Callable[[Any], Any], company: Sandbox
) -> None:
    """An include inside one with a list of fields works without the user listing its foreign key."""
    config = config_for(company, include={stream: [include]})
    output = run_here(config, catalog=catalog_of(stream, config=config))
    assert output.code == 0
    assert inner(output.records(stream)[0])["id"]


def test_a_misspelt_include_is_an_error_of_the_settings(sandboxes: Callable[..., Sandbox]) -> None:
    """A model in the wrong spelling and an unknown stream are named before anything is read."""
    for include, words in (
        ({"sales": [{"model": "sale_items"}]}, "PascalCase"),
        ({"sals": [{"model": "SaleItem"}]}, "unknown streams: sals"),
    ):
        with pytest.raises(SettingsError, match=words):
            run_here(config_for(sandboxes(), include=include))


def test_id_snapshots_name_what_exists(sandboxes: Callable[..., Sandbox]) -> None:
    """The snapshot of a resource has each current id once, and none of a row that was deleted."""
    sandbox = sandboxes()
    sandbox.replace("sales", [{"id": n, "updatedAt": DAY} for n in range(1, 251)])
    config = config_for(sandbox, id_snapshots=["sales"])
    catalog = catalog_of("sales", "sales_ids", config=config)
    for entry in catalog["streams"]:
        next(one for one in entry["metadata"] if one["breadcrumb"] == [])["metadata"]["selected"] = True
    first = run_here(config, catalog=catalog)
    for row_id in (1, 100, 250):
        sandbox.delete("sales", row_id)
    second = run_here(config, catalog=catalog, state=first.state)
    assert first.ids("sales_ids") == list(range(1, 251))
    assert second.ids("sales_ids") == [n for n in range(1, 251) if n not in {1, 100, 250}]
    assert len({record["snapshotAt"] for record in second.records("sales_ids")}) == 1


def test_a_snapshot_is_selected_by_asking_for_it(sandboxes: Callable[..., Sandbox]) -> None:
    """Without a catalog, a stream named in id_snapshots is emitted."""
    sandbox = sandboxes()
    sandbox.replace("sales", [{"id": 1, "updatedAt": DAY}])
    output = run_here(config_for(sandbox, id_snapshots=["sales"]))
    assert output.ids("sales_ids") == [1]


def test_rows_that_leave_before_the_count_do_not_shorten_a_snapshot(sandboxes: Callable[..., Sandbox]) -> None:
    """Rows that are deleted before the count do not make a snapshot end early: unread rows would pass for deleted."""
    sandbox = sandboxes(page_cap=50)
    sandbox.replace("sales", [{"id": n, "updatedAt": DAY} for n in range(1, 61)])
    config = config_for(sandbox, id_snapshots=["sales"])

    def delete(_number: int, _method: str, path: str) -> None:
        if path.endswith("count.json"):
            for row_id in range(1, 11):
                sandbox.delete("sales", row_id)

    sandbox.on_request = delete
    output = run_here(config, catalog=catalog_of("sales_ids", config=config))
    assert set(output.ids("sales_ids")) >= set(range(51, 61))


# --- the rest of Singer ---------------------------------------------------------------------------------------------


@pytest.fixture
def sold(sandboxes: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox with 250 sales."""
    sandbox = sandboxes()
    rows = [
        {
            "id": n,
            "updatedAt": f"2020-01-01T00:{n // 60:02}:{n % 60:02}Z",
            "total": "1.5",
            "billingFullName": {"a": {"b": n}},
        }
        for n in range(1, 251)
    ]
    sandbox.replace("sales", rows)
    return sandbox


@pytest.mark.parametrize(
    "maps",
    [
        {"sales": {"double": "total * 2", "__else__": None, "id": "id"}},
        {"sales": {"updatedAt": None}},
        {"sales": {"updatedAt": "'2000-01-01T00:00:00Z'"}},
        {"sales": {"__filter__": "id > 100"}},
        {"sales": {"__alias__": "orders"}},
    ],
    ids=["computed", "without its key", "with another key", "filtered", "renamed"],
)
def test_stream_maps_do_not_disturb_reading(maps: dict[str, Any], sold: Sandbox) -> None:
    """Records may be mapped, filtered and renamed: the bookmark is still that of the rows as read."""
    plain = run_here(config_for(sold), streams=("sales",))
    mapped = run_here(config_for(sold, stream_maps=maps), streams=("sales",))
    expected = 150 if "__filter__" in maps["sales"] else 250
    assert mapped.code == 0
    assert len(mapped.records()) == expected
    assert mapped.bookmark("sales") == plain.bookmark("sales") == "2020-01-01T00:04:10.000Z"


def test_flattening_works(sold: Sandbox) -> None:
    """Nested values become columns of their own where the user asks for it."""
    output = run_here(config_for(sold, flattening_enabled=True, flattening_max_depth=1), streams=("sales",))
    assert len(output.records()) == 250
    assert output.bookmark("sales") == "2020-01-01T00:04:10.000Z"


def batches(directory: Any) -> dict[str, Any]:
    """The setting that makes the SDK write batches to a directory."""
    return {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": f"file://{directory}"},
        "batch_size": 10_000,
    }


def test_batches_hold_every_record(sold: Sandbox, tmp_path: Any) -> None:
    """In batch mode all rows are in the files, and the bookmark is the same."""
    output = run_here(config_for(sold, batch_config=batches(tmp_path)), streams=("sales",))
    import gzip  # noqa: PLC0415

    rows = [
        json.loads(line)
        for message in output.of("BATCH")
        for path in message["manifest"]
        for line in gzip.decompress(Path(path.removeprefix("file://")).read_bytes()).splitlines()
    ]
    assert sorted(row["id"] for row in rows) == list(range(1, 251))
    assert output.bookmark("sales") == "2020-01-01T00:04:10.000Z"


@pytest.mark.parametrize("cause", ["refused token", "time"])
def test_no_state_passes_a_batch_that_did_not_get_out(
    cause: str, sold: Sandbox, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batch mode no STATE covers rows of a batch that was not announced yet, whatever ends or delays the run."""
    from tap_jetti.errors import JettiError  # noqa: PLC0415
    from tap_jetti.tap import state_cadence as module  # noqa: PLC0415

    if cause == "time":
        monkeypatch.setattr(module, "STATE_SECONDS", 0.0)

    def refuse(number: int, *_: str) -> None:
        if cause == "refused token" and number == 3:
            sold.options.token = "another"

    sold.on_request = refuse
    config = config_for(sold, batch_config=batches(tmp_path))
    output = run_here(config, streams=("sales",), error=JettiError if cause == "refused token" else None)
    first = next((n for n, message in enumerate(output.messages) if message["type"] == "BATCH"), len(output.messages))
    early = [
        message["value"].get("bookmarks", {}).get("sales", {}).get("replication_key_value")
        for message in output.messages[:first]
        if message["type"] == "STATE"
    ]
    assert [bookmark for bookmark in early if bookmark] == []
