"""The pull feed: a file that is complete or not there, and says what was received."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_runs import deliver, jetti, record, schema, state, variant

from tap_jetti.errors import JettiError, SettingsError, StoreError
from tap_jetti.target.feed_file.formats import as_csv, as_json, as_xml
from tap_jetti.target.feed_file.inventory_store import InventoryStore

if TYPE_CHECKING:
    from pathlib import Path

    from target_runs import Outcome

REMOVALS = "inventory_feed_variant_removals"
STORE = "tap_jetti.target.feed_file.inventory_store.InventoryStore"
LOCAL = "tap_jetti.target.feed_file.local_file.LocalFile"
HEADER = "externalId,inventoryQuantity,vendorSku\n"
XML_TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"))
TEXT = st.one_of(
    XML_TEXT, st.sampled_from(["=1+1", "-A1", "+B", "@D", "'", '"', 'a"b,c\nd', "\r\n", "\t=x", "  ", "'x"])
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "externalId": TEXT.filter(bool),
            "description": st.one_of(st.none(), TEXT.filter(bool)),
            "costPrice": st.one_of(st.none(), st.decimals(allow_nan=False, allow_infinity=False, places=4)),
            "inventoryQuantity": st.integers(0, 10**12),
        }
    ),
    max_size=6,
)
COLUMNS = ["externalId", "costPrice", "description", "inventoryQuantity"]


def typed(row: dict[str, str | None]) -> dict[str, Any]:
    """A row of texts in the types of its fields."""
    price = row.get("costPrice")
    return {
        **{name: row.get(name) for name in COLUMNS},
        "costPrice": Decimal(price) if price else None,
        "inventoryQuantity": int(row["inventoryQuantity"] or 0),
    }


@given(ROWS)
def test_csv_holds_the_rows(rows: list[dict[str, Any]]) -> None:
    """Quotes, line ends, unicode, decimals, and texts that a spreadsheet would take for formulas come back."""
    text = b"".join(as_csv(rows, COLUMNS)).decode()
    found = [
        {name: cell or None for name, cell in one.items()} for one in csv.DictReader(io.StringIO(text, newline=""))
    ]
    assert [typed(one) for one in found] == [{name: row[name] for name in COLUMNS} for row in rows]


@given(ROWS)
def test_json_holds_the_rows(rows: list[dict[str, Any]]) -> None:
    """Decimals keep their digits."""
    text = b"".join(as_json(rows, COLUMNS))
    assert json.loads(text, parse_float=Decimal, parse_int=Decimal) == rows


@given(ROWS)
def test_xml_holds_the_rows(rows: list[dict[str, Any]]) -> None:
    """Markup, carriage returns and unicode come back; null is an element left out."""
    found = ET.fromstring(b"".join(as_xml(rows, COLUMNS)))
    read = [typed({cell.tag: cell.text for cell in one}) for one in found]
    assert read == [{name: row[name] for name in COLUMNS} for row in rows]


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a state directory of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def write(path: Path | str, *messages: Any, mode: str = "replace", **settings: Any) -> Outcome:
    """Run the target with a feed file on a SCHEMA and other messages."""
    with jetti() as sandbox:
        return deliver(sandbox, schema(), *messages, delivery="file", feed_path=str(path), feed_mode=mode, **settings)


def removal(number: int) -> dict[str, Any]:
    """A RECORD that removes a variant."""
    return record(REMOVALS, externalId=f"e{number}")


def lines(path: Path) -> list[str]:
    """The rows of a CSV file."""
    return path.read_text().splitlines()[1:]


def store_of(tmp_path: Path) -> Path:
    """The only store."""
    (found,) = (tmp_path / "state" / "tap-jetti" / "feeds").glob("*.sqlite")
    return found


def code_of(outcome: Outcome) -> int:
    """The exit code of a run that ended with an error."""
    assert isinstance(outcome.error, JettiError), outcome.error
    return outcome.error.exit_code


def test_the_file_is_in_order_with_the_last_values_of_each_key(tmp_path: Path) -> None:
    """Whatever the order of arrival, the file is the same and whole, and STATE follows it."""
    path = tmp_path / "feeds" / "stock.csv"
    messages = [variant(2, 2), variant(1, 9), variant(1, 1), variant(3, 3)]
    for order in (messages, messages[1:] + messages[:1]):
        outcome = write(path, *order, state(1), max_updates=1)
        assert (outcome.error, outcome.states) == (None, [1])
        assert path.read_text() == f"{HEADER}e1,1,v1\ne2,2,v2\ne3,3,v3\n"
    assert [one.name for one in path.parent.iterdir()] == ["stock.csv"]


@pytest.mark.parametrize("form", ["csv", "json", "xml"])
@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_a_broken_input_leaves_file_and_store(mode: str, form: str, tmp_path: Path) -> None:
    """Half an inventory would be taken for all of it: file and store stay, no STATE comes out, the run fails."""
    path = tmp_path / "stock"
    write(path, variant(1, 1), variant(2, 2), mode=mode, feed_format=form)
    old = path.read_bytes()
    outcome = write(path, variant(1, 5), variant(3, 3), state(1), "torn", mode=mode, feed_format=form)
    assert (outcome.code, outcome.states, path.read_bytes()) == (1, [], old)
    write(path, variant(1, 1), mode="merge", feed_format=form)
    assert path.read_bytes() == old


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        pytest.param({}, ["feed_mode", "replace if", "merge if"], id="not-set"),
        pytest.param({"feed_mode": "append"}, ["feed_mode", "replace", "merge"], id="unknown"),
        pytest.param({"feed_mode": "merge", "feed_shrink_percent": 101}, ["feed_shrink_percent"], id="percent"),
    ],
)
def test_what_the_input_means_must_be_said(settings: dict[str, Any], texts: list[str], tmp_path: Path) -> None:
    """The error names both values and when to choose each."""
    with jetti() as sandbox, pytest.raises(SettingsError) as caught:
        deliver(sandbox, delivery="file", feed_path=str(tmp_path / "x.csv"), **settings)
    assert all(text in str(caught.value) for text in texts)


def test_merge_changes_what_the_input_names(tmp_path: Path) -> None:
    """Other rows and other fields stay; removals take rows out; every record is counted once."""
    path = tmp_path / "stock.csv"
    assert write(path, *(variant(number, number) for number in range(1, 6)), mode="merge").error is None
    outcome = write(
        path,
        schema(REMOVALS),
        variant(2, 20),
        record(externalId="e3", inventoryQuantity=30),
        variant(4, 4),
        variant(6, 1),
        variant(6, 6),
        removal(5),
        removal(9),
        state(1),
        mode="merge",
    )
    assert (outcome.error, outcome.states) == (None, [1])
    assert lines(path) == ["e1,1,v1", "e2,20,v2", "e3,30,v3", "e4,4,v4", "e6,6,v6"]
    own, removals = outcome.of(), outcome.of(REMOVALS)
    assert (own.added, own.changed, removals.changed) == (1, 2, 1)
    assert (own.received, own.sent, own.unchanged, own.merged) == (5, 3, 1, 1)
    assert (removals.received, removals.sent, removals.unchanged) == (2, 1, 1)


@pytest.mark.parametrize(
    ("how", "rows"),
    [
        pytest.param("remove", ["e1,5,v1", "e3,3,v3"], id="remove"),
        pytest.param("zero", ["e1,5,v1", "e2,0,v2", "e3,3,v3"], id="zero"),
        pytest.param("ignore", ["e1,5,v1", "e2,2,v2", "e3,3,v3"], id="ignore"),
    ],
)
def test_rows_that_the_source_deleted_leave_the_file_as_the_setting_says(
    how: str, rows: list[str], tmp_path: Path
) -> None:
    """Of a deleted row the input has little more than the key."""
    path = tmp_path / "stock.csv"
    write(path, variant(1, 1), variant(2, 2), variant(3, 3), mode="merge")
    deleted = schema("inventory_feed_variants", externalId={}, inventoryQuantity={}, _sdc_deleted_at={})
    messages = [deleted, record(externalId="e2", _sdc_deleted_at="2024-01-01T00:00:00Z"), variant(1, 5), state(1)]
    outcome = write(path, *messages, mode="merge", deleted_rows=how)
    assert (outcome.error, outcome.states, lines(path)) == (None, [1], rows)


def test_the_store_is_beside_the_ledger(tmp_path: Path) -> None:
    """A folder that is kept, as that of a container, is named once."""
    path = tmp_path / "stock.csv"
    write(path, variant(1, 1), mode="merge", ledger=str(tmp_path / "kept"))
    assert len(list((tmp_path / "kept" / "feeds").iterdir())) == 1
    assert write(path, variant(2, 2), mode="merge", ledger=str(tmp_path / "kept")).error is None
    assert len(lines(path)) == 2


@pytest.mark.parametrize("messages", [[], [state(1)]], ids=["schema-only", "state"])
def test_merge_of_nothing_leaves_the_file(messages: list[Any], tmp_path: Path) -> None:
    """A quiet night changes nothing, not even the file's date, and STATE moves."""
    path = tmp_path / "stock.csv"
    write(path, variant(1, 1), mode="merge")
    before = path.stat()
    outcome = write(path, *messages, mode="merge")
    assert (outcome.error, outcome.states) == (None, [1] * len(messages))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_replace_is_the_input_and_nothing_else(tmp_path: Path) -> None:
    """Rows and fields that the input does not have leave the file; a removal takes back what came before it."""
    path = tmp_path / "stock.csv"
    write(path, variant(1, 1, title="Cup"), variant(2, 2), variant(3, 3))
    outcome = write(path, schema(REMOVALS), variant(1, 1), variant(2, 2), variant(4, 4), removal(4))
    assert outcome.error is None
    assert path.read_text() == f"{HEADER}e1,1,v1\ne2,2,v2\n"
    write(path, variant(3, 3), mode="merge")
    assert lines(path) == ["e1,1,v1", "e2,2,v2", "e3,3,v3"]


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_text_stays_as_it_is(mode: str, tmp_path: Path) -> None:
    """An id that begins as a formula does is an id."""
    path = tmp_path / "stock.csv"
    ids = ["-A1", "+B", "=C", "@D", "'E"]
    write(path, *(record(externalId=one, vendorSku=one) for one in ids), mode=mode)
    with path.open(newline="") as file:
        assert sorted(row["externalId"] for row in csv.DictReader(file)) == sorted(ids)


def test_numbers_have_no_exponent(tmp_path: Path) -> None:
    """A price keeps its digits, and one that was written with an exponent is written out."""
    path = tmp_path / "stock.csv"
    texts = [
        f'{{"type": "RECORD", "stream": "inventory_feed_variants", "record": {{"externalId": "{number}",'
        f' "costPrice": {price}}}}}'
        for number, price in enumerate(["10.00", "1.5E+3", "12e-1"])
    ]
    write(path, *texts)
    assert lines(path) == ["0,10.00", "1,1500", "2,1.2"]


@pytest.mark.parametrize("mode", ["replace", "merge"])
@pytest.mark.parametrize(
    ("kept", "percent", "is_written"),
    [
        pytest.param(2, 50, True, id="half"),
        pytest.param(1, 50, False, id="more-than-half"),
        pytest.param(1, 75, True, id="allowed"),
        pytest.param(3, 0, False, id="none-allowed"),
        pytest.param(0, 100, False, id="empty"),
    ],
)
def test_a_file_that_shrinks_is_refused(
    mode: str, kept: int, percent: int, *, is_written: bool, tmp_path: Path
) -> None:
    """The old file stays, no STATE comes out, and the error says how many rows would be left."""
    path = tmp_path / "stock.csv"
    write(path, *(variant(number, 1) for number in range(4)), mode=mode)
    old = path.read_text()
    numbers = range(kept) if mode == "replace" else range(kept, 4)
    messages = [variant(number, 1) if mode == "replace" else removal(number) for number in numbers]
    for _ in range(2):  # a refused run leaves nothing behind that lets the next one pass
        outcome = write(path, schema(REMOVALS), *messages, state(1), mode=mode, feed_shrink_percent=percent)
        if is_written:
            assert (outcome.error, outcome.states, len(lines(path))) == (None, [1], kept)
        else:
            assert (code_of(outcome), outcome.states, path.read_text()) == (78, [], old)
            assert "4 rows before" in str(outcome.error) or f"from 4 to {kept}" in str(outcome.error)


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_an_empty_inventory_is_never_written(mode: str, tmp_path: Path) -> None:
    """Also where there was no file, and whatever is allowed to be lost."""
    path = tmp_path / "stock.csv"
    assert code_of(write(path, state(1), mode=mode, feed_shrink_percent=100)) == 78
    assert not path.exists()


FOREIGN = {
    "csv": f"{HEADER}" + "".join(f'e{number},1,"a ""quoted""\n\nname"\n' for number in range(4)),
    "csv-open-end": "\ufeffid;qty\r\na;1\r\nb;2\r\nc;3\r\nd;4",
    "json": json.dumps({"note": "[{", "rows": [{"id": '"}', "tags": [{"a": 1}]}] * 4}),
    "xml": "<?xml version='1.0'?><all><v><id>1</id></v><v/><v/><v a='&lt;'/></all>",
}


@pytest.mark.parametrize("form", FOREIGN)
def test_the_rows_of_a_file_of_others_are_counted(form: str, tmp_path: Path) -> None:
    """Replace guards the first file, too, whoever wrote it and in which format."""
    path = tmp_path / "stock"
    path.write_text(FOREIGN[form], encoding="utf-8")
    outcome = write(path, variant(1, 1))
    assert "from 4 to 1" in str(outcome.error)
    assert write(path, variant(1, 1), variant(2, 2)).error is None
    assert lines(path) == ["e1,1,v1", "e2,2,v2"]


@pytest.mark.parametrize(
    "text", ['[{"a": 1}, {"b', "<all><v></all>", 'a,b\n"c,d\n', "[1, {"], ids=["json", "xml", "csv", "cut"]
)
def test_a_file_whose_rows_cannot_be_counted_is_not_replaced(text: str, tmp_path: Path) -> None:
    """It is not known what would be lost, so the user must say that it does not matter."""
    path = tmp_path / "stock"
    path.write_text(text)
    assert "cannot be counted" in str(write(path, variant(1, 1)).error)
    assert path.read_text() == text
    assert write(path, variant(1, 1), feed_shrink_percent=100).error is None


def damage(tmp_path: Path, how: str) -> None:
    """Make the store unfit for the file."""
    store = store_of(tmp_path)
    if how == "lost":
        store.unlink()
    elif how == "other-file":
        (tmp_path / "stock.csv").write_text(f"{HEADER}e1,7,v1\n")
    elif how == "garbage":
        store.write_bytes(b"garbage" * 1000)
    elif how == "cut":
        store.write_bytes(store.read_bytes()[:9000])
    else:
        with sqlite3.connect(store) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()


@pytest.mark.parametrize("how", ["lost", "other-file", "garbage", "cut", "version"])
def test_a_file_that_the_store_does_not_know_is_not_merged_into(how: str, tmp_path: Path) -> None:
    """The error says the cure, and the cure works: one run that replaces, then merge goes on."""
    path = tmp_path / "stock.csv"
    write(path, *(variant(number, 1) for number in range(100)), mode="merge")
    damage(tmp_path, how)
    before = path.read_text()
    outcome = write(path, variant(1, 2), state(1), mode="merge")
    assert (code_of(outcome), outcome.states, path.read_text()) == (78, [], before)
    assert "Run once with feed_mode replace" in str(outcome.error)
    assert write(path, variant(1, 1), variant(2, 2), feed_shrink_percent=100).error is None
    assert write(path, variant(2, 3), mode="merge").error is None
    assert lines(path) == ["e1,1,v1", "e2,3,v2"]
    assert store_of(tmp_path).stat().st_mode & 0o777 == 0o600


def test_a_file_that_disappeared_is_not_replaced_by_a_delta(tmp_path: Path) -> None:
    """Without a file the input is the inventory, but not one that has lost most of its rows."""
    path = tmp_path / "stock.csv"
    write(path, *(variant(number, 1) for number in range(10)), mode="merge")
    path.unlink()
    outcome = write(path, variant(1, 2), mode="merge")
    assert "from 10 to 1" in str(outcome.error)
    assert not path.exists()
    assert write(path, *(variant(number, 2) for number in range(6)), mode="merge").error is None
    assert lines(path) == [f"e{number},2,v{number}" for number in range(6)]


@pytest.mark.parametrize("mode", ["replace", "merge"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
def test_a_dry_run_makes_the_same_plan_and_writes_nothing(
    mode: str, is_first: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its figures are those of the run that follows, and neither file, store nor STATE is written."""
    caplog.set_level("INFO")
    path = tmp_path / "stock.csv"
    if not is_first:
        write(path, variant(1, 1), variant(2, 2), mode=mode)
    before = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    messages = [variant(1, 1), variant(2, 3), variant(4, 4), state(1)]
    planned = write(path, *messages, mode=mode, dry_run=True)
    assert (planned.error, planned.states) == (None, [])
    assert {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == before
    assert "would have 3 rows (" in caplog.text
    done = write(path, *messages, mode=mode)
    assert planned.of() == done.of()


def test_a_dry_run_refuses_what_the_run_refuses(tmp_path: Path) -> None:
    """A file that would shrink is found out without writing."""
    path = tmp_path / "stock.csv"
    write(path, *(variant(number, 1) for number in range(4)))
    assert code_of(write(path, variant(1, 1), dry_run=True)) == 78


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_two_runs_never_write_one_file_at_once(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one ends at once, and may be run again; afterwards it works."""
    monkeypatch.setattr("tap_jetti.target.feed_file.inventory_store.LOCK_SECONDS", 0.1)
    path = tmp_path / "stock.csv"
    write(path, variant(1, 1))
    with contextlib.closing(InventoryStore(store_of(tmp_path))):
        outcome = write(path, variant(1, 2), variant(2, 2), state(1), mode=mode)
        assert isinstance(outcome.error, StoreError)
        assert (code_of(outcome), outcome.states, lines(path)) == (75, [], ["e1,1,v1"])
    assert write(path, variant(1, 2), variant(2, 2), mode=mode).error is None


class Killed(BaseException):
    """What stands for the end of the process."""


@pytest.mark.parametrize("mode", ["replace", "merge"])
@pytest.mark.parametrize(
    ("place", "rows"),
    [
        pytest.param(f"{STORE}.announce", ["e1,1,v1"], id="before-the-store"),
        pytest.param(f"{LOCAL}.put", ["e1,1,v1"], id="before-the-file"),
        pytest.param(f"{STORE}.settle", ["e1,2,v1", "e2,2,v2"], id="after-the-file"),
    ],
)
def test_a_run_that_was_killed_is_continued(
    place: str, rows: list[str], mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is the old or the new one, the store knows it either way, and the same input comes again."""
    path = tmp_path / "stock.csv"
    write(path, variant(1, 1), mode=mode)
    messages = [variant(1, 2), variant(2, 2), state(1)]
    with monkeypatch.context() as patch:
        patch.setattr(place, lambda *_, **__: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            write(path, *messages, mode=mode)
    assert lines(path) == rows
    outcome = write(path, *messages, mode=mode)
    assert (outcome.error, outcome.states, lines(path)) == (None, [1], ["e1,2,v1", "e2,2,v2"])
    assert write(path, variant(3, 3), mode="merge").error is None


def test_a_rejected_record_leaves_the_file_or_its_row(tmp_path: Path) -> None:
    """The run stops without a file; set aside, the row keeps its values, the others are written, and the exit is 1."""
    path = tmp_path / "stock.csv"
    write(path, variant(1, 1), variant(2, 2), mode="merge")
    messages = [variant(1, -5), variant(2, 3), state(1)]
    outcome = write(path, *messages, mode="merge")
    assert (outcome.code, outcome.states, lines(path)) == (1, [], ["e1,1,v1", "e2,2,v2"])
    outcome = write(path, *messages, mode="merge", on_reject="set_aside", rejects_path=str(tmp_path / "rejects"))
    assert (outcome.code, outcome.states, lines(path)) == (1, [1], ["e1,1,v1", "e2,3,v2"])


def test_another_format_can_follow(tmp_path: Path) -> None:
    """The store holds values, not text; what the new format cannot hold is said."""
    path = tmp_path / "stock"
    write(path, variant(1, 1), variant(2, 2, description="\b"), mode="merge")
    assert write(path, variant(3, 3), mode="merge", feed_format="json").error is None
    assert [row["externalId"] for row in json.loads(path.read_text())] == ["e1", "e2", "e3"]
    outcome = write(path, variant(1, 2), mode="merge", feed_format="xml")
    assert "'e2' has a control character" in str(outcome.error)
    assert write(path, variant(2, 2, description="b"), mode="merge", feed_format="xml").error is None
    assert len(ET.fromstring(path.read_bytes())) == 3


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The file that it points to is replaced, with the mode that it had."""
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "stock.csv", tmp_path / "stock.csv"
    write(real, variant(1, 1))
    real.chmod(0o640)
    link.symlink_to(real)
    assert write(link, variant(1, 2), mode="merge").error is None
    assert link.is_symlink()
    assert lines(real) == ["e1,2,v1"]
    assert real.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["file/x.csv", "", "a" * 300, "pipe"])
def test_a_place_that_cannot_be_used_is_an_error(name: str, tmp_path: Path) -> None:
    """The error names the path, before any input is read."""
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(JettiError, match=re.escape(str(tmp_path / name))) as caught:
        write(tmp_path / name, variant(1, 1), state(1))
    assert caught.value.exit_code == 78


def test_other_actions_cannot_be_files(tmp_path: Path) -> None:
    """Only the inventory can be fetched."""
    outcome = write(tmp_path / "x.csv", schema("sales"))
    assert "delivery file writes inventory_feed_variants, inventory_feed_variant_removals only" in str(outcome.error)


@pytest.mark.parametrize(
    ("messages", "title"),
    [
        pytest.param([record(id=5, inventoryQuantity=3)], "externalId.missing", id="no-external-id"),
        pytest.param([variant(1, 2, inventoryFeedId=8)], "inventoryFeedId.mixed", id="not-the-feed-of-the-settings"),
        pytest.param(
            [schema(REMOVALS), record(REMOVALS, externalId="e1", inventoryFeedId=8)],
            "inventoryFeedId.mixed",
            id="removal",
        ),
    ],
)
def test_the_file_has_no_place_for_some_records(messages: list[Any], title: str, tmp_path: Path) -> None:
    """One file is one feed, and its rows have external ids: what else comes is refused, not mixed in."""
    path = tmp_path / "stock.csv"
    outcome = write(path, variant(1, 1, inventoryFeedId="7"), *messages)
    assert title in str(outcome.error)
    assert not path.exists()


def test_an_input_without_a_schema_leaves_the_old_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A tap that failed before it wrote anything must not empty the inventory."""
    path = tmp_path / "stock.csv"
    path.write_text("old")
    with jetti() as sandbox:
        assert deliver(sandbox, delivery="file", feed_path=str(path), feed_mode="replace").code == 0
    assert path.read_text() == "old"
    assert "no SCHEMA" in caplog.text
