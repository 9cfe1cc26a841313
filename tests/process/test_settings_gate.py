"""Settings pass one gate: what is misspelt, does not fit or cannot be parsed is one line that names it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from tap_jetti.errors import SettingsError
from tap_jetti.process.command import read_object
from tap_jetti.tap import TapJetti
from tap_jetti.target import TargetJetti

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = {"api_token": "any", "rate_limit_store": "memory://"}
PLUGINS = pytest.mark.parametrize("plugin", [TapJetti, TargetJetti], ids=["tap", "target"])


@PLUGINS
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"api_tokn": "x"}, "Unknown setting api_tokn. Did you mean api_token?"),
        ({"rate-limit": 2}, "Did you mean rate_limit?"),
        ({"Timeout": 2}, "Did you mean timeout?"),
        ({"stream_map": {}}, "Did you mean stream_maps?"),
        ({"rate_limit": "fast"}, "rate_limit must be a number, not fast"),
        ({"rate_limit": 0}, "rate_limit must be at least 0.001, not 0"),
        ({"timeout": float("nan")}, "timeout must be a number"),
        ({"timeout": "nan"}, "timeout must be a number, not nan"),
        ({"timeout": "1_000"}, "timeout must be a number"),
        ({"timeout": True}, "timeout must be a number, not true"),
        ({"concurrency": 0}, "concurrency must be at least 1, not 0"),
        ({"concurrency": 65}, "concurrency must be at most 64, not 65"),
        ({"concurrency": "2.5"}, "concurrency must be an integer, not 2.5"),
        ({"timeout": 1e300}, "timeout must be at most 86400, not 1e+300"),
        ({"timeout": float("inf")}, "timeout must be"),
        ({"retry_seconds": 10**30}, "retry_seconds must be at most 2592000"),
        ({"rate_limit": 1e-300}, "rate_limit must be at least 0.001"),
        ({"rate_limit_burst": 1e300}, "rate_limit_burst must be at most 1000000000, not"),
        ({"rate_limit_fallback": "none"}, 'rate_limit_fallback must be one of "half", "fail", not none'),
        ({"user_agent": "x\x1b[31m", "timeout": "\x1b[31m"}, r"not \x1b[31m"),
    ],
    ids=str,
)
def test_a_setting_that_does_not_fit_is_named(plugin: Any, settings: dict[str, Any], words: str) -> None:
    """The error names the setting, what it must be, and what it was."""
    with pytest.raises(SettingsError) as caught:
        plugin(config={**TOKEN, **settings})
    assert words in str(caught.value)
    assert caught.value.exit_code == 78


def test_a_misspelt_setting_of_the_target_does_not_make_it_write() -> None:
    """`dry_runn` is an error, not a run that writes."""
    with pytest.raises(SettingsError, match="Did you mean dry_run"):
        TargetJetti(config={**TOKEN, "dry_runn": True})


def test_several_faults_are_one_line() -> None:
    """All of them are named at once."""
    with pytest.raises(SettingsError) as caught:
        TapJetti(config={**TOKEN, "rate_limit": 0, "page_size": "many"})
    assert "rate_limit" in str(caught.value)
    assert "page_size" in str(caught.value)


def test_a_secret_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    """A token of the wrong type is named and not shown."""
    with pytest.raises(SettingsError) as caught:
        TapJetti(config={"api_token": ["hidden-word"]})
    assert "api_token must be text" in str(caught.value)
    assert "hidden-word" not in str(caught.value) + caplog.text


@PLUGINS
def test_an_unknown_setting_of_others_is_a_warning(plugin: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Orchestrators add names of their own, which are ignored and said."""
    with caplog.at_level(logging.WARNING):
        plugin(config={**TOKEN, "__meltano_marker": 1})
    assert "Unknown setting __meltano_marker is ignored." in caplog.text


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("rate_limit", "1.5", 1.5),
        ("concurrency", " 4 ", 4),
        ("concurrency", "4.0", 4),
        ("id_snapshots", '["sales"]', ["sales"]),
        ("id_snapshots", "sales, products", ["sales", "products"]),
        ("include", '{"sales": [{"model": "SaleItem"}]}', {"sales": [{"model": "SaleItem"}]}),
        ("verify_counts", "auto", "auto"),
        ("verify_counts", "true", "auto"),
        ("page_size", "", None),
        ("timeout", "  ", 60),
    ],
)
def test_text_of_the_environment_is_parsed(
    name: str, text: str, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers, lists and objects come as text, and an empty variable is not set; in a file the same."""
    monkeypatch.setenv("TAP_JETTI_API_TOKEN", "any")
    monkeypatch.setenv(f"TAP_JETTI_{name.upper()}", text)
    assert TapJetti(parse_env_config=True).config.get(name) == expected
    assert TapJetti(config={**TOKEN, name: text}).config.get(name) == expected


@pytest.mark.parametrize("text", ['["sales"', '{"a": 1}', "[sales]"])
def test_json_that_is_malformed_is_no_list(text: str) -> None:
    """Text that begins as JSON is not split at its commas."""
    with pytest.raises(SettingsError, match="id_snapshots must be a list"):
        TapJetti(config={**TOKEN, "id_snapshots": text})


@PLUGINS
def test_variables_of_others_are_no_settings(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Meltano and the SDK use under the same prefix is neither reported nor taken for a misspelt setting."""
    prefix = plugin.environment_prefix()
    monkeypatch.setenv(f"{prefix}API_TOKEN", "any")
    monkeypatch.setenv(f"{prefix}RATE_LIMIT_STORE", "memory://")
    for name in ("PIP_URL", "_SELECT", "LOGLEVEL", "EXECUTABLE"):
        monkeypatch.setenv(prefix + name, "x" if name != "LOGLEVEL" else "INFO")
    plugin(parse_env_config=True)


@PLUGINS
def test_null_is_not_set(plugin: Any) -> None:
    """A setting that is null, as tools write those that nobody set, has its default."""
    schema = plugin.full_schema()["properties"]
    config = plugin(config={**dict.fromkeys(schema), **TOKEN}).config
    defaults = {name: facts["default"] for name, facts in schema.items() if "default" in facts}
    assert {name: config.get(name) for name in defaults} == defaults | {
        name: TOKEN[name] for name in defaults if name in TOKEN
    }


def test_verify_counts_of_the_environment_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text `auto` is not taken for false."""
    monkeypatch.setenv("TAP_JETTI_API_TOKEN", "any")
    for text, expected in (("auto", "auto"), ("true", "auto"), ("false", "never"), ("always", "always")):
        monkeypatch.setenv("TAP_JETTI_VERIFY_COUNTS", text)
        assert TapJetti(parse_env_config=True).config["verify_counts"] == expected


@pytest.mark.parametrize(
    ("plugin", "prefix", "name", "near"),
    [(TapJetti, "TAP_JETTI_", "STRAT_DATE", "start_date"), (TargetJetti, "TARGET_JETTI_", "DRY_RUNN", "dry_run")],
    ids=["tap", "target"],
)
def test_a_misspelt_variable_is_an_error(
    plugin: Any, prefix: str, name: str, near: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable with the prefix that is nearly a setting is named with it."""
    monkeypatch.setenv(f"{prefix}API_TOKEN", "any")
    monkeypatch.setenv(f"{prefix}{name}", "2020-01-01")
    with pytest.raises(SettingsError, match=f"Did you mean {near}"):
        plugin(parse_env_config=True)
    plugin(config=TOKEN)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_a_file_in_the_encodings_of_windows(encoding: str, tmp_path: Path) -> None:
    """A byte order mark, and UTF-16, as editors and shells of Windows write them, are understood."""
    path = tmp_path / "config.json"
    path.write_text('{"user_agent": "é"}', encoding=encoding)
    with path.open(encoding="utf-8") as file:
        assert read_object(file, "config") == {"user_agent": "é"}


def test_an_empty_file_is_said(tmp_path: Path) -> None:
    """An empty file, as a shell leaves it where a command failed, is no empty object."""
    path = tmp_path / "state.json"
    path.write_text("\n")
    with path.open(encoding="utf-8") as file, pytest.raises(SettingsError, match="is empty"):
        read_object(file, "state")
