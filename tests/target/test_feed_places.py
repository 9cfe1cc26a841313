"""Where the feed file can be: any URL that fsspec supports, without credentials in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from target_runs import deliver, jetti, schema, state, variant

from tap_jetti.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from target_runs import Outcome


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a state directory of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def write(url: str, *messages: Any, mode: str = "replace", **settings: Any) -> Outcome:
    """Run the target with a feed file on a SCHEMA and other messages."""
    with jetti() as sandbox:
        return deliver(sandbox, schema(), *messages, delivery="file", feed_path=url, feed_mode=mode, **settings)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        pytest.param("nowhere://host/x.csv", "Protocol not known", id="unknown"),
        pytest.param("oci://bucket/x.csv", "ocifs", id="package-missing"),
        pytest.param("ftp://host:ftp/x.csv", "invalid host or port", id="port"),
        pytest.param("ftp:///x.csv", "URL of a file on a host", id="no-host"),
        pytest.param("sftp://host/a%0Ab.csv", "URL of a file on a host", id="line-end"),
        pytest.param("ftp://host", "must be the path or URL of a file", id="no-file"),
        pytest.param("ftp://host/folder/", "must be the path or URL of a file", id="folder"),
        pytest.param("{directory}", "is a directory", id="directory"),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_the_input_is_read(url: str, text: str, tmp_path: Path) -> None:
    """The error names what is missing."""
    with pytest.raises(SettingsError, match=text):
        write(url.format(directory=tmp_path))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://bob:Geh31m@h/x.csv",
        "ftp://bob:Geh31m/Pw@h/x.csv",
        "ftp://bob:Geh31m#Pw@h/x.csv",
        "ftp://bob:Geh31m?Pw@h/x.csv",
        "ftp://bob:Geh@31m/P@w@h/x.csv",
        "ftps://bob:#Geh31m@h:990/x.csv",
        "sftp://bob:/Geh31m@h/x.csv",
        "SFTP://bob:Geh31m@h/",
        "s3://Geh31m@bucket/x.csv",
    ],
)
def test_credentials_in_the_url_are_refused_and_not_shown(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever characters a password has, and whatever else is wrong with the URL."""
    with pytest.raises(SettingsError, match="credentials") as caught:
        write(url)
    shown = str(caught.value) + caplog.text
    assert not [part for part in ("Geh", "31m", "Pw", "P@w", "bob") if part in shown]


@pytest.mark.parametrize("url", ["~/x.csv", "file://{home}/x.csv", "local://{home}/x.csv", "{home}/folder/../x.csv"])
def test_a_file_has_several_names(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them have one store."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert write(str(tmp_path / "x.csv"), variant(1, 1)).error is None
    assert write(url.format(home=tmp_path), variant(2, 2), mode="merge").error is None
    assert (tmp_path / "x.csv").read_text().splitlines()[1:] == ["e1,1,v1", "e2,2,v2"]


def test_a_file_in_memory_says_that_any_url_will_do() -> None:
    """The file is put beside its place and moved there, whatever kind of place it is."""
    fsspec = pytest.importorskip("fsspec")

    for quantity in (1, 2):
        outcome = write("memory://feeds/stock.csv", variant(1, quantity), state(1), mode="merge")
        assert (outcome.error, outcome.states) == (None, [1])
    system = fsspec.filesystem("memory")
    assert system.cat("/feeds/stock.csv") == b"externalId,inventoryQuantity,vendorSku\ne1,2,v1\n"
    assert system.ls("/feeds", detail=False) == ["/feeds/stock.csv"]
