"""One environment per reader, installed from its pinned requirements into ``.cache/bench``."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = ROOT / ".cache" / "bench"

MOST_SECONDS = 600
"""The most seconds that an installation may take."""


class UnavailableError(Exception):
    """A reader cannot be installed on this machine."""


def python_of(name: str) -> Path:
    """The interpreter of an environment."""
    return CACHE / name / "bin" / "python"


def prepare(name: str) -> None:
    """Create an environment, unless it exists and is up to date.

    Raises:
        UnavailableError: The installation failed or took too long.
    """
    if name == "tap_jetti":
        lock = ROOT / "requirements" / "runtime.txt"
        steps = [["--requirement", str(lock)], ["--no-deps", str(ROOT)]]
        inputs = [lock, ROOT / "pyproject.toml", *_sources()]
    else:
        own = HERE / name / "requirements.txt"
        steps, inputs = [["--requirement", str(own)]], [own]
    stamp = CACHE / name / "stamp"
    wanted = _digest(inputs)
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return
    print(f"Installing {name} ...", flush=True)
    try:
        _run([sys.executable, "-m", "venv", "--clear", str(CACHE / name)])
        for step in steps:
            _run([str(python_of(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *step])
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise UnavailableError(f"{name} cannot be installed: {said[-1] if said else error}") from error
    stamp.write_text(wanted, encoding="ascii")


def versions(name: str) -> dict[str, str]:
    """The versions of the packages in an environment."""
    listed = _run([str(python_of(name)), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"])
    return {package["name"].lower(): package["version"] for package in json.loads(listed)}


def _sources() -> list[Path]:
    files = [*(ROOT / "tap_jetti").rglob("*.py"), *(ROOT / "schemas").glob("*.json")]
    return sorted(files)


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _run(command: list[str]) -> str:
    environment = {name: text for name, text in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=MOST_SECONDS, env=environment
    ).stdout
