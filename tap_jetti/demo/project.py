"""The Meltano project of the demo, in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TAP = "tap-jetti"
WAREHOUSE = "target-warehouse"

TIMEOUT_SECONDS = 600
"""Maximum duration of one command, in seconds."""

_LOADER = Path("tap_jetti/sync/warehouse/__main__.py")
_SETTINGS_OF_OTHERS = ("MELTANO_", "TAP_JETTI_", "TARGET_JETTI_", "TARGET_WAREHOUSE_")
_LAST_LINES = 5
_SUMMARY = re.compile(r"Summary: (\{.*\})")


def project_file() -> Path:
    """Return the path of ``meltano.yml``: beside this file in a wheel, in the top folder of a checkout."""
    here = Path(__file__).resolve()
    shipped = here.with_name("meltano.yml")
    return shipped if shipped.is_file() else here.parents[2] / "meltano.yml"


class Project:
    """A new Meltano project. It uses the commands of the Python environment that runs the demo.

    Args:
        folder: The folder of the project. The state and the warehouse of an earlier demo in it are removed.
        settings: The connection settings of tap and target, by name.
        inbound_url: The base of the inbound API, for the target.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object], *, inbound_url: str) -> None:
        self.folder = folder.resolve()
        self.warehouse = self.folder / "jetti.duckdb"
        self._runs = 0
        shutil.rmtree(self.folder / ".meltano", ignore_errors=True)
        self.warehouse.unlink(missing_ok=True)
        loader = self.folder / _LOADER
        loader.parent.mkdir(parents=True, exist_ok=True)
        loader.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tap_jetti.sync.warehouse "$@"\n', "utf-8")
        loader.chmod(0o755)
        shutil.copyfile(project_file(), self.folder / "meltano.yml")
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        self._meltano = shutil.which("meltano", path=path) or "meltano"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS_OF_OTHERS)},
            "PATH": path,
            "MELTANO_CLI_DISABLE_VERSION_CHECK": "true",
            "MELTANO_CLI_LOG_FORMAT": "uncolored",
            "TARGET_WAREHOUSE_PATH": str(self.warehouse),
            "TARGET_JETTI_INBOUND_URL": inbound_url,
            **{
                f"{plugin}_JETTI_{name.upper()}": str(value)
                for name, value in (
                    *settings.items(),
                    ("rate_limit_store", f"sqlite:///{self.folder / 'rate-limit.db'}"),
                )
                for plugin in ("TAP", "TARGET")
            },
        }

    def run(self, extractor: str, loader: str) -> float:
        """Sync an extractor to a loader. Returns the duration in seconds.

        Raises:
            ClickException: Meltano failed. The message names its log file.
        """
        begin = time.monotonic()
        self._execute(f"meltano run {extractor} {loader}", [self._meltano, "run", extractor, loader], b"")
        return time.monotonic() - begin

    def push(self, messages: bytes) -> dict[str, Any]:
        """Send Singer messages to ``target-jetti``. Returns its summary.

        Raises:
            ClickException: The target failed. The message names its log file.
        """
        command = [sys.executable, "-c", "from tap_jetti.target.target import main; main()", "--config", "ENV"]
        log = self._execute("target-jetti", command, messages)
        found = _SUMMARY.findall(log.read_text("utf-8", "replace"))
        if not found:
            raise click.ClickException(f"target-jetti logged no summary. See {log}.")
        summary: dict[str, Any] = json.loads(found[-1])
        return summary

    def _execute(self, what: str, command: Sequence[str], messages: bytes) -> Path:
        """Run a command. Returns the path of its log file."""
        self._runs += 1
        log = self.folder / f"run-{self._runs}.log"
        with log.open("wb") as lines:
            try:
                code: int | None = subprocess.run(  # noqa: S603 - a plug-in of meltano.yml
                    command,
                    check=False,
                    cwd=self.folder,
                    env=self._environment,
                    input=messages,
                    stdout=lines,
                    stderr=subprocess.STDOUT,
                    timeout=TIMEOUT_SECONDS,
                ).returncode
            except subprocess.TimeoutExpired:
                code = None
        if code:
            last = "\n".join(log.read_text("utf-8", "replace").rstrip().splitlines()[-_LAST_LINES:])
            raise click.ClickException(f"{what} failed with exit code {code}.\n{last}\nFull log: {log}")
        if code is None:
            raise click.ClickException(f"{what} did not finish within {TIMEOUT_SECONDS} s. Log: {log}")
        return log
