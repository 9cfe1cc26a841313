from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[2]
LOCKS = ("runtime", "dev", "demo")
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


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_one_version_with_hashes(lock):
    """A lock holds exact versions and their hashes, and no address of any index."""
    for entry in entries(lock):
        requirement = Requirement(HASH.sub("", entry))
        (specifier,) = requirement.specifier

        assert specifier.operator == "=="
        assert requirement.url is None
        assert HASH.search(entry)
        assert "//" not in entry


def test_locks_agree():
    """An environment can hold several locks, since all of them choose the same versions."""
    chosen: dict[tuple[str, str], set[str]] = {}
    for lock in LOCKS:
        for name, specifier, _ in versions(lock):
            chosen.setdefault((lock, name), set()).add(specifier)
    for (lock, name), specifiers in chosen.items():
        for other in LOCKS:
            assert chosen.get((other, name), specifiers) == specifiers, (lock, other, name)


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_what_the_package_needs(lock):
    """No dependency of the package is missing from a lock or too old in it."""
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    locked: dict[str, list[str]] = {}
    for name, specifier, _ in versions(lock):
        locked.setdefault(name, []).append(specifier.removeprefix("=="))

    for dependency in map(Requirement, project["dependencies"]):
        assert all(dependency.specifier.contains(version) for version in locked[dependency.name]), dependency
