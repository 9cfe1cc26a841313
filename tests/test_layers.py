"""The import direction of the package, drawn here and held: typing imports count, and there are no cycles.

::

    facts, errors <- client <- reading <- process <- tap | target <- sync | doctor | demo <- cli
    facts         <- sandbox                         (and cli, which imports its commands lazily)
    target/delivery, the engine, knows no action:    target/delivery <- target/actions
"""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tap_jetti"
LONGEST_MODULE = 400
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "facts": {"errors"},
    "client": {"facts", "errors"},
    "reading": {"facts", "errors", "client"},
    "process": {"facts", "errors", "client", "reading"},
    "tap": {"facts", "errors", "client", "reading", "process"},
    "target": {"facts", "errors", "client", "reading", "process"},
    "sandbox": {"facts"},
    "sync": {"facts", "errors", "client", "reading", "process", "tap", "target"},
    "demo": {"facts", "errors", "client", "reading", "process", "tap", "target", "sync", "sandbox"},
    "doctor": {"facts", "errors", "client", "reading", "process", "tap"},
    "cli": {"facts", "errors"},
}
"""The parts that each part may import, besides itself and the version in ``tap_jetti``."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name, without those of packages' ``__init__``."""
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))
    }


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of the package that a file imports, wherever in it, also only for typing."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
        for name in names:
            found |= {
                choice for choice in (name, f"{name}.__init__") if choice in known and choice != "tap_jetti.__init__"
            }
    return found


GRAPH = {name: imports_of(path, modules()) for name, path in modules().items()}


def part_of(module: str) -> str:
    """The part of the package that a module belongs to."""
    return module.split(".")[1]


@pytest.mark.parametrize("part", sorted({part_of(module) for module in GRAPH}))
def test_a_part_imports_only_what_it_is_built_on(part: str) -> None:
    """No module imports against the order drawn above, not even for typing."""
    wrong = [
        f"{module} imports {imported}"
        for module, all_imported in GRAPH.items()
        if part_of(module) == part
        for imported in all_imported
        if part_of(imported) not in {part, *ALLOWED[part]}
    ]
    assert not wrong


def test_the_engine_of_the_target_knows_no_action() -> None:
    """What delivers records imports no action: actions implement its protocols."""
    wrong = [
        f"{module} imports {imported}"
        for module, all_imported in GRAPH.items()
        if module.startswith("tap_jetti.target.delivery")
        for imported in all_imported
        if imported.startswith("tap_jetti.target.actions")
    ]
    assert not wrong


def test_there_is_no_import_cycle() -> None:
    """No module imports itself by way of others, typing imports counted."""
    assert not cycles(GRAPH)


def test_no_module_is_too_long() -> None:
    """A module is one idea, and one idea needs no more than 400 lines."""
    long = {
        name: lines
        for name, path in modules().items()
        if (lines := path.read_text("utf-8").count("\n")) > LONGEST_MODULE
    }
    assert not long


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import each other (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for following in graph[node]:
            if following not in index:
                visit(following)
                low[node] = min(low[node], low[following])
            elif following in stack:
                low[node] = min(low[node], index[following])
        if low[node] == index[node]:
            group: list[str] = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_the_search_for_cycles_finds_one() -> None:
    """The search sees a cycle of three, and none where there is none."""
    ring = defaultdict(set, {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert cycles(ring) == [["a", "b", "c"]]
    assert not cycles({"a": {"b"}, "b": set()})
