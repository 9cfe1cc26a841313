"""Runs a reader and measures it: wall time, CPU, peak memory, and whether it read all rows."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from environments import CACHE, HERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

LAUNCHER_PATIENCE = 10.0
MEGABYTE = 1e6


@dataclass(frozen=True)
class Run:
    """One process of a reader, from its start to its end.

    Attributes:
        failure: What went wrong, or None.
        started: Seconds since the epoch.
        ended: The same clock.
        cpu: Seconds of processor time, of all its threads and children.
        peak: Peak memory, in MB.
        ids: The ids of the rows that it gave, by stream; empty if they were not kept.
        fields: The smallest number of fields that are not null in a record; None without records.
    """

    failure: str | None
    started: float
    ended: float
    cpu: float
    peak: float
    ids: Mapping[str, set[int]]
    fields: int | None

    @property
    def wall(self) -> float:
        """Seconds from start to end."""
        return self.ended - self.started

    @property
    def rows(self) -> dict[str, int]:
        """The number of different rows that it gave, by stream."""
        return {stream: len(ids) for stream, ids in self.ids.items()}


class Process:
    """A running reader, in a folder of its own."""

    def __init__(self, *, seconds: float, keep_rows: bool, folder: Path | None = None) -> None:
        """Make the folder.

        Args:
            seconds: After so many seconds the process is stopped.
            keep_rows: Whether its output is kept and counted; otherwise it is discarded.
            folder: The folder of an earlier run, with its state, which is kept. None: a temporary one.
        """
        (CACHE / "runs").mkdir(parents=True, exist_ok=True)
        self.folder = folder or Path(tempfile.mkdtemp(dir=CACHE / "runs"))
        self._keeps_folder = folder is not None
        self._seconds = seconds
        self._keep_rows = keep_rows
        self._launcher: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Return the process."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the process if it still runs, and remove its temporary folder."""
        if self._launcher is not None and self._launcher.poll() is None:
            self._launcher.terminate()
            self._launcher.wait(LAUNCHER_PATIENCE)
        if not self._keeps_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        """Start a command with a minimal environment."""
        kept = {name: text for name, text in os.environ.items() if name in {"PATH", "LANG", "TMPDIR", "TZ"}}
        output = self.folder / "output" if self._keep_rows else Path(os.devnull)
        options: list[str | Path] = [self.folder / "report", output, self.folder / "errors", str(self._seconds)]
        launcher: list[str | Path] = [sys.executable, "-I", "-S", HERE / "launch.py"]
        self._launcher = subprocess.Popen(
            [*launcher, *options, *command],
            env={**kept, "HOME": str(self.folder), **environment},
            cwd=self.folder,
        )

    def finish(self) -> Run:
        """Wait for the end of the process and return its figures."""
        if self._launcher is None:
            raise RuntimeError("The process was not started.")
        self._launcher.wait(self._seconds + LAUNCHER_PATIENCE)
        facts = json.loads((self.folder / "report").read_text(encoding="ascii"))
        failure = None
        if facts["out_of_time"]:
            failure = f"timed out after {self._seconds:g} s"
        elif facts["code"]:
            failure = f"exit code {facts['code']}: {self._last_words()}"
        return Run(
            failure,
            facts["started"],
            facts["ended"],
            facts["cpu"],
            facts["peak"] / MEGABYTE,
            self._ids() if self._keep_rows else {},
            min(map(_filled, _messages(self.folder / "output")), default=None) if self._keep_rows else None,
        )

    def _last_words(self) -> str:
        """The last line of its errors, or the last error in Airbyte's messages."""
        words = (self.folder / "errors").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        output = self.folder / "output"
        if output.exists():
            with output.open(encoding="utf-8", errors="replace") as lines:
                traces = [line for line in lines if line.startswith('{"type":"TRACE"') and '"stack_trace"' in line]
            words += [json.loads(line)["trace"]["error"]["internal_message"] or "" for line in traces[:1]]
        return words[-1][:200].replace("|", "/") if words else "no message"

    def _ids(self) -> dict[str, set[int]]:
        ids = defaultdict[str, set[int]](set)
        for stream, row in _messages(self.folder / "output"):
            ids[stream].add(int(row["id"]))
        for stream, row_id in _loaded(self.folder / "loaded" / "jetti"):
            ids[stream].add(row_id)
        return dict(ids)


def state_of(output: Path) -> object:
    """The state for the next run: the last one of a tap, or the last one of each stream of an Airbyte source."""
    state: object = None
    by_stream: dict[str, object] = {}
    with output.open(encoding="utf-8") as lines:
        for line in lines:
            message = json.loads(line) if '"STATE"' in line else {}
            if message.get("type") == "STATE":
                state = message.get("value")
                if "state" in message:
                    by_stream[message["state"]["stream"]["stream_descriptor"]["name"]] = message["state"]
    return list(by_stream.values()) or state


def _filled(message: tuple[str, dict[str, Any]]) -> int:
    return sum(value is not None for value in message[1].values())


def _messages(output: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Stream and row of each record among Singer or Airbyte messages."""
    with output.open(encoding="utf-8") as lines:
        for line in lines:
            if '"RECORD"' in line:
                message = json.loads(line)
                record: dict[str, Any] = message["record"]
                yield message.get("stream") or record["stream"], record.get("data", record)


def _loaded(folder: Path) -> Iterator[tuple[str, int]]:
    """Stream and id of each row in dlt's files, without its own tables and those of nested lists."""
    files: Iterable[Path] = folder.glob("*/*.jsonl*") if folder.exists() else ()
    for file in files:
        if "__" not in file.parent.name and not file.parent.name.startswith("_dlt"):
            opened = gzip.open if file.suffix == ".gz" else open
            with opened(file, "rt", encoding="utf-8") as lines:
                yield from ((file.parent.name, int(json.loads(line)["id"])) for line in lines)
