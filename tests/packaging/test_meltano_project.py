from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import yaml

from tap_jetti.facts import resources

PROJECT = yaml.safe_load((Path(__file__).resolve().parents[2] / "meltano.yml").read_text("utf-8"))
EXAMPLE = yaml.safe_load((Path(__file__).resolve().parents[2] / "examples/meltano/meltano.yml").read_text("utf-8"))
PLUGINS = {plugin["name"]: plugin for plugins in PROJECT["plugins"].values() for plugin in plugins}
KINDS = {
    "string": {"string"},
    "number": {"integer"},  # a decimal that comes from an environment variable fails in Meltano
    "integer": {"integer"},
    "boolean": {"boolean"},
    "object": {"object"},
    "array": {"array"},
}
COMMANDS = {"tap-jetti": ("tap_jetti.tap.tap", "TapJetti"), "target-jetti": ("tap_jetti.target.target", "TargetJetti")}


@pytest.fixture(params=COMMANDS)
def declared(request):
    """What meltano.yml and the plug-in itself say of its settings: both by name."""
    module, name = COMMANDS[request.param]
    return PLUGINS[request.param], getattr(import_module(module), name).full_schema()


def kinds(facts):
    """The kinds of Meltano that fit a setting."""
    if facts.get("format") == "date-time":
        return {"date_iso8601"}
    if "enum" in facts:
        return {"options"}
    types = [facts["type"]] if isinstance(facts["type"], str) else facts["type"]
    return set().union(*(KINDS[kind] for kind in types if kind != "null"))


def test_settings_are_the_plugins_own(declared):
    """Meltano knows each setting of a plug-in, and no other."""
    plugin, own = declared

    assert [setting["name"] for setting in plugin["settings"]] == list(own["properties"])


def test_the_example_declares_all_settings():
    """A setting that is not declared would be ignored where it comes from the environment."""
    (plugin,) = EXAMPLE["plugins"]["extractors"]
    own = import_module("tap_jetti.tap").TapJetti.full_schema()["properties"]
    assert {setting["name"]: setting.get("sensitive", False) for setting in plugin["settings"]} == {
        name: facts.get("secret", False) for name, facts in own.items()
    }


def test_settings_have_the_plugins_own_kinds(declared):
    """Kind, choices and secrecy of each setting are what the plug-in says, and each one is described."""
    plugin, own = declared
    for setting in plugin["settings"]:
        facts = own["properties"].get(setting["name"])
        if facts is None:
            continue  # the test above names it
        assert setting["kind"] in kinds(facts), setting["name"]
        assert setting.get("sensitive", False) == facts.get("secret", False), setting["name"]
        assert [option["value"] for option in setting.get("options", [])] == [
            choice for choice in facts.get("enum", []) if choice is not None
        ], setting["name"]
        assert setting["label"], setting["name"]
        assert setting["description"], setting["name"]


def test_required_settings_are_the_plugins_own(declared):
    """Meltano asks for what the plug-in cannot do without."""
    plugin, own = declared

    assert plugin["settings_group_validation"] == [own["required"]]


def test_selection_is_the_taps_own():
    """Meltano, which would select all streams, selects those that are selected by default."""
    assert sorted(PLUGINS["tap-jetti"]["select"]) == [f"{name}.*" for name in resources.selected_by_default()]


@pytest.mark.parametrize("name", PLUGINS)
def test_needs_no_hub(name):
    """Every plug-in is described here in full, and is not installed by Meltano."""
    assert PLUGINS[name]["namespace"] == name.replace("-", "_")
    assert PLUGINS[name]["executable"]
    assert "pip_url" not in PLUGINS[name]


def test_reports_to_nobody():
    """Meltano sends no statistics and needs no uv."""
    assert PROJECT["send_anonymous_usage_stats"] is False
    assert PROJECT["venv"]["backend"] == "virtualenv"
