from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[2]
LOCKS = ("runtime", "dev", "demo")
ALONE = ("target-postgres", "duckdb-2", "audit")
"""The locks of environments of their own."""
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(lock):
    """The requirements of a lock, each with its hashes."""
    text = (CHECKOUT / "requirements" / f"{lock}.txt").read_text("utf-8").replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def versions(lock):
    """The versions that a lock allows of each package, with the markers."""
    requirements = [Requirement(HASH.sub("", entry)) for entry in entries(lock)]
    return {(one.name, str(one.specifier), str(one.marker)) for one in requirements}


@pytest.mark.parametrize("lock", [*LOCKS, *ALONE])
def test_every_line_is_one_version_with_hashes(lock):
    """A lock has exact versions with hashes, and no address of an index."""
    for entry in entries(lock):
        requirement = Requirement(HASH.sub("", entry))
        (specifier,) = requirement.specifier

        assert specifier.operator == "=="
        assert requirement.url is None
        assert HASH.search(entry)
        assert "//" not in entry


def test_locks_agree():
    """All locks have the same versions, so that one environment can hold several of them."""
    chosen: dict[tuple[str, str], set[str]] = {}
    for lock in LOCKS:
        for name, specifier, _ in versions(lock):
            chosen.setdefault((lock, name), set()).add(specifier)
    for (lock, name), specifiers in chosen.items():
        for other in LOCKS:
            assert chosen.get((other, name), specifiers) == specifiers, (lock, other, name)


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_what_the_package_needs(lock):
    """Each lock has all dependencies of the package, in versions that it accepts."""
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    locked: dict[str, list[str]] = {}
    for name, specifier, _ in versions(lock):
        locked.setdefault(name, []).append(specifier.removeprefix("=="))

    for dependency in map(Requirement, project["dependencies"]):
        assert all(dependency.specifier.contains(version) for version in locked[dependency.name]), dependency
