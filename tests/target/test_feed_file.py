"""The pull feed: a file that is complete or not there, and says what was received."""

from __future__ import annotations

import csv
import io
import json
import threading
import warnings
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_runs import deliver, jetti, record, schema, state, variant

from tap_jetti.errors import SettingsError
from tap_jetti.target.feed_file.formats import as_csv, as_json, as_xml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

XML_TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"))
TEXT = st.one_of(XML_TEXT, st.sampled_from(["=1+1", "-5", "+a", "@x", "'", '"', 'a"b,c\nd', "\r\n", "\t=x", "  "]))
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
def test_csv_says_the_rows_and_no_formula(rows: list[dict[str, Any]]) -> None:
    """Quotes, line ends, unicode and decimals come back; no text cell begins as a formula does."""
    text = b"".join(as_csv(rows, COLUMNS)).decode()
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    for cell in [one[name] for one in found for name in ("externalId", "description")]:
        assert not cell.startswith(("=", "@", "\t", "\r"))
        assert cell[:1] not in {"+", "-"} or cell[1:2].isdigit()
    unquoted = [
        {name: value[1:] if value[:1] == "'" else value or None for name, value in one.items()} for one in found
    ]
    assert [typed(one) for one in unquoted] == [{name: row[name] for name in COLUMNS} for row in rows]


@given(ROWS)
def test_json_says_the_rows(rows: list[dict[str, Any]]) -> None:
    """Decimals keep their digits."""
    text = b"".join(as_json(rows, COLUMNS))
    assert json.loads(text, parse_float=Decimal, parse_int=Decimal) == rows


@given(ROWS)
def test_xml_says_the_rows(rows: list[dict[str, Any]]) -> None:
    """Markup, carriage returns and unicode come back; null is an element left out."""
    found = ET.fromstring(b"".join(as_xml(rows, COLUMNS)))
    read = [typed({cell.tag: cell.text for cell in one}) for one in found]
    assert read == [{name: row[name] for name in COLUMNS} for row in rows]


def test_the_file_is_in_order_with_the_last_row_of_each_key(tmp_path: Path) -> None:
    """Whatever the order of arrival, the file is the same and whole, and STATE follows it."""
    path = tmp_path / "feeds" / "stock.csv"
    messages = [variant(2, 2), variant(1, 9), variant(1, 1), variant(3, 3)]
    with jetti() as sandbox:
        for order in (messages, messages[1:] + messages[:1]):
            outcome = deliver(sandbox, schema(), *order, state(1), delivery="file", feed_path=str(path), max_updates=1)
            assert (outcome.error, outcome.states) == (None, [1])
            assert path.read_text() == "externalId,inventoryQuantity,vendorSku\ne1,1,v1\ne2,2,v2\ne3,3,v3\n"
        assert len(sandbox.requests) == 0
    assert [one.name for one in path.parent.iterdir()] == ["stock.csv"]


@pytest.mark.parametrize("form", ["csv", "json", "xml"])
def test_a_broken_input_leaves_the_old_file(form: str, tmp_path: Path) -> None:
    """Half an inventory would be taken for all of it: the file stays, no STATE comes out, the run fails."""
    path = tmp_path / "stock"
    path.write_text("old")
    with jetti() as sandbox:
        outcome = deliver(
            sandbox, schema(), variant(1, 1), state(1), "torn", delivery="file", feed_path=str(path), feed_format=form
        )
        assert (outcome.code, outcome.states, path.read_text()) == (1, [], "old")


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The error names the path, and no STATE comes out."""
    (tmp_path / "file").write_text("")
    with jetti() as sandbox:
        outcome = deliver(
            sandbox, schema(), variant(1, 1), state(1), delivery="file", feed_path=str(tmp_path / "file" / "x.csv")
        )
        assert isinstance(outcome.error, OSError)
        assert outcome.states == []


def test_other_actions_cannot_be_files(tmp_path: Path) -> None:
    """Only the inventory can be fetched."""
    with jetti() as sandbox:
        outcome = deliver(sandbox, schema("sales"), delivery="file", feed_path=str(tmp_path / "x.csv"))
        assert "delivery file writes inventory_feed_variants only" in str(outcome.error)


@pytest.mark.parametrize(
    ("messages", "title"),
    [
        pytest.param([record(id=5, inventoryQuantity=3)], "externalId.missing", id="no-external-id"),
        pytest.param([variant(1, 2, inventoryFeedId=8)], "inventoryFeedId.mixed", id="not-the-feed-of-the-settings"),
    ],
)
def test_the_file_has_no_place_for_some_records(messages: list[Any], title: str, tmp_path: Path) -> None:
    """One file is one feed, and its rows have external ids: what else comes is refused, not mixed in."""
    with jetti() as sandbox:
        path = tmp_path / "stock.csv"
        outcome = deliver(
            sandbox, schema(), variant(1, 1, inventoryFeedId="7"), *messages, delivery="file", feed_path=str(path)
        )
        assert title in str(outcome.error)
        assert not path.exists()


def test_an_input_without_a_schema_leaves_the_old_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A tap that failed before it wrote anything must not empty the inventory."""
    path = tmp_path / "stock.csv"
    path.write_text("old")
    with jetti() as sandbox:
        assert deliver(sandbox, delivery="file", feed_path=str(path)).code == 0
        assert path.read_text() == "old"
        assert "no SCHEMA" in caplog.text
        deliver(sandbox, schema(), delivery="file", feed_path=str(path))
        assert path.read_text() == "externalId\n"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        pytest.param("nowhere://host/x.csv", "Protocol not known", id="unknown"),
        pytest.param("oci://bucket/x.csv", "ocifs", id="package-missing"),
        pytest.param("{directory}", "is a directory", id="directory"),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_the_input_is_read(url: str, text: str, tmp_path: Path) -> None:
    """The error names the package that is missing."""
    with jetti() as sandbox, pytest.raises(SettingsError, match=text):
        deliver(sandbox, schema(), delivery="file", feed_path=url.format(directory=tmp_path))


def test_a_file_in_memory_says_that_any_url_will_do() -> None:
    """The file is put beside its place and moved there, whatever kind of place it is."""
    import fsspec  # noqa: PLC0415 - a quarter of a second

    with jetti() as sandbox:
        deliver(sandbox, schema(), variant(1, 1), delivery="file", feed_path="memory://feeds/stock.csv")
        system = fsspec.filesystem("memory")
        assert system.cat("/feeds/stock.csv") == b"externalId,inventoryQuantity,vendorSku\ne1,1,v1\n"
        assert system.ls("/feeds", detail=False) == ["/feeds/stock.csv"]


@contextmanager
def ftp_server(root: Path) -> Iterator[int]:
    """A real FTP server with one user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it stands on asyncore
        from pyftpdlib.authorizers import DummyAuthorizer  # noqa: PLC0415
        from pyftpdlib.handlers import FTPHandler  # noqa: PLC0415
        from pyftpdlib.servers import FTPServer  # noqa: PLC0415
    authorizer = DummyAuthorizer()
    authorizer.add_user("jetti", "pass-not-to-be-shown", str(root), perm="elradfmwMT")
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer})
    server = FTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"timeout": 0.05, "handle_exit": False})
    thread.start()
    try:
        yield server.address[1]
    finally:
        server.close_all()
        thread.join()


def test_the_file_goes_to_an_ftp_server_with_credentials_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It replaces the old one, nothing is left beside it, and the password is nowhere in the log."""
    import fsspec.config  # noqa: PLC0415 - read from the environment when it is imported

    root = tmp_path / "ftp"
    root.mkdir()
    monkeypatch.setitem(fsspec.config.conf, "ftp", {"username": "jetti", "password": "pass-not-to-be-shown"})
    with ftp_server(root) as port, jetti() as sandbox:
        url = f"ftp://127.0.0.1:{port}/stock.csv"
        for quantity in (1, 2):
            outcome = deliver(sandbox, schema(), variant(1, quantity), state(1), delivery="file", feed_path=url)
            assert (outcome.error, outcome.states) == (None, [1])
            assert (root / "stock.csv").read_text().splitlines()[1:] == [f"e1,{quantity},v1"]
    assert [one.name for one in root.iterdir()] == ["stock.csv"]
    assert "pass-not-to-be-shown" not in caplog.text


def test_wrong_credentials_are_an_error_that_does_not_show_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The error names the place, and no STATE comes out."""
    import fsspec.config  # noqa: PLC0415 - read from the environment when it is imported

    monkeypatch.setitem(fsspec.config.conf, "ftp", {"username": "jetti", "password": "wrong-not-to-be-shown"})
    with ftp_server(tmp_path) as port, jetti() as sandbox:
        url = f"ftp://127.0.0.1:{port}/stock.csv"
        outcome = deliver(sandbox, schema(), variant(1, 1), state(1), delivery="file", feed_path=url)
    assert isinstance(outcome.error, OSError)
    assert outcome.states == []
    assert url in str(outcome.error)
    assert "not-to-be-shown" not in str(outcome.error) + caplog.text
