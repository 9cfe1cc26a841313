"""The generated parts of files say what the code does."""

from __future__ import annotations

import pytest
import yaml

import generate
import meltano_plugins
import readme_tables


@pytest.mark.parametrize("name", generate.FILES)
def test_a_generated_file_is_up_to_date(name: str) -> None:
    """A file says what the code does; `make generate` brings it up to date."""
    text = (generate.ROOT / name).read_text(encoding="utf-8")
    assert generate.FILES[name](text) == text


def test_what_is_written_by_hand_stays() -> None:
    """Only the text between the marks is replaced, in meltano.yml as in the README."""
    begins = [meltano_plugins.BEGIN.format(plugin) for plugin in ("tap-jetti", "target-jetti")]
    project = "".join(f"# before\n{begin}    stale: 1\n{meltano_plugins.END}    config: {{}}\n" for begin in begins)
    rendered = meltano_plugins.rendered(project)
    assert "stale" not in rendered
    assert rendered.count("# before\n") == rendered.count("    config: {}\n") == 2
    assert meltano_plugins.rendered(rendered) == rendered


@pytest.mark.parametrize("render", [meltano_plugins.rendered, readme_tables.rendered])
def test_a_missing_place_is_an_error(render) -> None:
    """A mark that was edited away is named, rather than the file being left out of date."""
    with pytest.raises(ValueError, match="must have"):
        render("Nothing is generated here.\n")


@pytest.mark.parametrize(
    "text", ["Plain words.", "a: b", "no", "1", "'quoted' \"twice\"", "# not a comment", "{a}, [b] — ü", "100% of it"]
)
def test_descriptions_are_quoted_where_yaml_needs_it(text: str) -> None:
    """A description reads back from YAML as the text that it is."""
    assert yaml.safe_load(f"key: {meltano_plugins._scalar(text)}") == {"key": text}
