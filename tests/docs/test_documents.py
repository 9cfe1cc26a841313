"""The documents name files and dependencies that exist."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tap_jetti import errors

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tap_jetti"
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md"))
)
DRAWINGS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.svg"))

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LABEL = re.compile(r'<text class="file"[^>]*>([^<]+)</text>')
PATH = re.compile(r"(?:tap_jetti|tests|docs|schemas|examples|benchmarks|requirements)/[\w./-]*")


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of the headings of a document."""
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def test_each_error_has_its_section() -> None:
    """Under its anchor, so that a message leads to it."""
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    classes = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.JettiError)}
    assert {kind.anchor() for kind in classes - {errors.JettiError}} <= anchors(text)
    for kind in classes - {errors.JettiError}:
        section = text.partition(f"### {kind.anchor().replace('-', ' ').capitalize()}\n")[2].partition("\n#")[0]
        assert f"Exit {kind.exit_code}." in section or "The base of the errors" in section, kind.__name__


def missing_from(document: str, text: str) -> list[str]:
    """The links and paths in a document that lead nowhere."""
    folder = (ROOT / document).parent
    missing = []
    for link in LINK.findall(text):
        target, _, fragment = link.partition("#")
        if "://" in target:
            continue
        file = folder / target
        has_target = file.exists()
        if has_target and fragment:
            has_target = fragment in anchors(file.read_text(encoding="utf-8") if target else text)
        if not has_target:
            missing.append(link)
    for code in CODE.findall(text):
        missing += [path for path in PATH.findall(code) if not (ROOT / path).exists() and f"{path}<" not in code]
    return missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_in_a_document_exists(document: str) -> None:
    """Links and paths in the documents lead to files of the checkout, and anchors to headings."""
    assert not missing_from(document, (ROOT / document).read_text(encoding="utf-8"))


def test_a_path_that_does_not_exist_is_found() -> None:
    """The check sees a wrong link, a wrong anchor and a wrong path in code, and no placeholder."""
    links = "[a](README.md) [b](gone.md) [c](#here) [d](#there) [e](README.md#gone)"
    text = f"# Here\n{links} `tests/gone.py` `schemas/<stream>.json`\n"

    assert missing_from("README.md", text) == ["gone.md", "#there", "README.md#gone", "tests/gone.py"]


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_every_file_in_a_drawing_exists(drawing: str) -> None:
    """Each file that a drawing names is in the package."""
    labels = LABEL.findall((ROOT / drawing).read_text(encoding="utf-8"))
    files = [word for label in labels for word in label.split() if re.fullmatch(r"[\w/]+(\.py|/)", word)]

    assert files
    assert not [file for file in files if not any(PACKAGE.rglob(file))]


def test_the_slow_tests_of_make_quick_exist() -> None:
    """The Makefile names no test file that was renamed: it would be quick again without anybody noticing."""
    listed = re.search(r"^SLOW := \\\n((?:  .+\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed is not None
    files = listed[1].replace("\\", "").split()

    assert files
    assert not [file for file in files if not (ROOT / file).is_file()]


def test_every_dependency_has_a_reason() -> None:
    """The README's table says why each direct dependency is needed."""
    tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [need for extra, needs in project["optional-dependencies"].items() if extra != "all" for need in needs]
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Dependencies, and why")[2]
    named = set(re.findall(r"[\w-]+", "\n".join(line.split("|")[1] for line in table.splitlines() if "|" in line)))

    assert {Requirement(need).name for need in (*project["dependencies"], *extras)} <= named
