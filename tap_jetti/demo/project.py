"""The Meltano project of the demo: a folder of its own, with the settings of this run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

TAP = "tap-jetti"
WAREHOUSE = "target-warehouse"

PATIENCE = 600
"""Seconds that one run may take."""

_LOADER = Path("tap_jetti/demo/loader.py")
_SETTINGS_OF_OTHERS = ("MELTANO_", "TAP_JETTI_", "TARGET_JETTI_", "TARGET_WAREHOUSE_")
_LAST_LINES = 5


def project_file() -> Path:
    """The ``meltano.yml`` of tap-jetti: in a wheel beside this file, in a checkout at its top."""
    here = Path(__file__).resolve()
    shipped = here.with_name("meltano.yml")
    return shipped if shipped.is_file() else here.parents[2] / "meltano.yml"


class Project:
    """A fresh Meltano project, with the commands of the Python that runs this.

    Args:
        folder: Where it is made; what an earlier demo left there is removed.
        settings: The tap's settings by name.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        self.folder = folder.resolve()
        self.warehouse = self.folder / "jetti.duckdb"
        self._runs = 0
        shutil.rmtree(self.folder / ".meltano", ignore_errors=True)
        self.warehouse.unlink(missing_ok=True)
        loader = self.folder / _LOADER
        loader.parent.mkdir(parents=True, exist_ok=True)
        loader.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tap_jetti.demo.loader "$@"\n', "utf-8")
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
            "TAP_JETTI_RATE_LIMIT_STORE": f"sqlite:///{self.folder / 'rate-limit.db'}",
            **{f"TAP_JETTI_{name.upper()}": str(value) for name, value in settings.items()},
        }

    def run(self, extractor: str, loader: str) -> float:
        """Move what is new from an extractor to a loader; answers the seconds it took.

        Raises:
            ClickException: Meltano failed. The message names its log.
        """
        self._runs += 1
        log = self.folder / f"meltano-{self._runs}.log"
        begin = time.monotonic()
        with log.open("wb") as lines:
            try:
                code: int | None = subprocess.run(  # noqa: S603 - the plug-ins of meltano.yml
                    [self._meltano, "run", extractor, loader],
                    check=False,
                    cwd=self.folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=lines,
                    stderr=subprocess.STDOUT,
                    timeout=PATIENCE,
                ).returncode
            except subprocess.TimeoutExpired:
                code = None
        if code:
            last = "\n".join(log.read_text("utf-8", "replace").rstrip().splitlines()[-_LAST_LINES:])
            raise click.ClickException(f"meltano run {extractor} {loader} ended with {code}.\n{last}\nAll of it: {log}")
        if code is None:
            raise click.ClickException(f"meltano run {extractor} {loader} took longer than {PATIENCE} s. See {log}.")
        return time.monotonic() - begin
