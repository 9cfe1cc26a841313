"""Runs of `jetti sync` as a process, with its files in a folder of the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runs import REPOSITORY, config_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_jetti.sandbox import Sandbox

PLAIN_LOADER = Path(__file__).with_name("plain_loader.py")
JETTI = [sys.executable, "-c", "from tap_jetti.cli import main; main()"]
DEADLINE = 60.0
STREAMS = ("sale_items", "sales")
ROWS = 900


@dataclass
class Ended:
    """How a run ended."""

    code: int
    log: str
    summary: dict[str, Any] = field(default_factory=dict)
    stdout: str = ""


@dataclass
class Syncs:
    """Starts `jetti sync`.

    Attributes:
        folder: The folder of all files.
        sandbox: What is read.
        settings: Further settings of the tap.
    """

    folder: Path
    sandbox: Sandbox
    settings: dict[str, Any] = field(default_factory=dict)

    def loader(self, *faults: str) -> list[str]:
        """The arguments for the plain loader."""
        return ["--loader", f"{sys.executable} {PLAIN_LOADER} {self.folder} {' '.join(faults)}"]

    def start(self, *arguments: str, stdin: Any = None, **more: Any) -> subprocess.Popen[str]:
        """Start a sync in a process group of its own."""
        config = self.folder / "tap.json"
        config.write_text(json.dumps(config_for(self.sandbox, **self.settings)), encoding="utf-8")
        return self.run_jetti(
            "sync", "--config", str(config), "--summary", str(self.folder / "summary.json"), *arguments, **more
        )

    def run_jetti(
        self, *arguments: str, environment: dict[str, str] | None = None, **more: Any
    ) -> subprocess.Popen[str]:
        """Start any command of `jetti`."""
        (self.folder / "summary.json").unlink(missing_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TAP_JETTI_")}
        return subprocess.Popen(
            [*JETTI, *arguments],
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "start_new_session": True,
                **more,
            },
            text=True,
            encoding="utf-8",
            cwd=self.folder,
            env={
                **kept,
                "PYTHONPATH": str(REPOSITORY),
                "XDG_STATE_HOME": str(self.folder / "user"),
                **(environment or {}),
            },
        )

    def finish(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for the end of a run."""
        stdout, log = process.communicate(timeout=DEADLINE)
        path = self.folder / "summary.json"
        summary = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return Ended(process.returncode, log or "", summary, stdout or "")

    def run(self, *arguments: str, **more: Any) -> Ended:
        """Run a sync to its end."""
        with self.start(*arguments, **more) as process:
            return self.finish(process)

    def jetti(self, *arguments: str, **more: Any) -> Ended:
        """Run any command of `jetti` to its end."""
        with self.run_jetti(*arguments, **more) as process:
            return self.finish(process)

    def lines(self) -> int:
        """The records that the plain loader has stored, those stored twice included."""
        try:
            return (self.folder / "rows.jsonl").read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    def stored(self) -> dict[str, dict[int, str]]:
        """The newest `updatedAt` of each row that the plain loader has stored, by stream and id."""
        found: dict[str, dict[int, str]] = {}
        try:
            content = (self.folder / "rows.jsonl").read_bytes()
        except FileNotFoundError:
            return {}
        for line in content.split(b"\n")[:-1]:
            message = json.loads(line)
            found.setdefault(message["stream"], {})[message["record"]["id"]] = message["record"].get("updatedAt", "")
        return found

    def state(self, url: str = "state.json") -> dict[str, str]:
        """The bookmarks of a state, by stream."""
        ended = self.jetti("state", "show", url)
        bookmarks = json.loads(ended.stdout)["bookmarks"] if ended.code == 0 else {}
        return {
            stream: found["replication_key_value"]
            for stream, found in bookmarks.items()
            if "replication_key_value" in found
        }


def children(pid: int) -> list[int]:
    """The processes that a process has started: first the loader, then the tap."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> Any:
    """Wait until a condition holds, or a process has ended."""
    give_up = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < give_up, "it never happened"
        if process is not None and process.poll() is not None:
            return None
        time.sleep(0.02)
    return found


def signal_group(process: subprocess.Popen[str], signum: int = signal.SIGTERM) -> None:
    """Send a signal to the whole process group of a sync, as schedulers do."""
    os.killpg(process.pid, signum)


def rows_of(sandbox: Sandbox, streams: Sequence[str]) -> dict[str, dict[int, str]]:
    """The `updatedAt` of each row of a sandbox, by stream and id."""
    return {stream: {row["id"]: row["updatedAt"] for row in sandbox.rows(stream)} for stream in streams}
