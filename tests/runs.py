"""What tests share: sessions without a rate limit, catalogs, and runs of the tap."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tap_jetti.client.hosts import Host
from tap_jetti.client.rate_limit import MemoryStore, RateLimiter
from tap_jetti.client.session import JettiSession

if TYPE_CHECKING:
    from tap_jetti.client.clock import VirtualClock
    from tap_jetti.sandbox import Sandbox

REPOSITORY = Path(__file__).resolve().parent.parent

TOKEN = "sandbox-token"

UNLIMITED = {"rate_limit": 1_000_000, "rate_limit_burst": 1_000_000, "rate_limit_store": "memory://"}
"""Settings with which a tap never waits for the rate limit."""

LOGGER = logging.getLogger("tests")

settings.register_profile(
    "jetti",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
settings.load_profile("jetti")

EXAMPLES = int(os.environ.get("JETTI_EXAMPLES", "1"))
"""The long properties try so many times as many examples as usual, for a nightly run."""


def unlimited_session(sandbox: Sandbox, clock: VirtualClock, **arguments: Any) -> JettiSession:
    """A session whose waits take no time."""
    limiter = RateLimiter(MemoryStore(clock), rate=1e9, burst=1e9, clock=clock)
    api = Host.api(sandbox.api_url, token=sandbox.token, limiter=limiter)
    return JettiSession(**{"api": api, "clock": clock, "timeout": 10, "logger": LOGGER, **arguments})


@dataclass
class Output:
    """What a run of the tap wrote and how it ended."""

    lines: list[str]
    errors: str = ""
    code: int = 0
    messages: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        """Parse the messages; the last line of a killed run may be cut and is skipped."""
        self.messages = []
        for index, line in enumerate(self.lines):
            try:
                self.messages.append(json.loads(line))
            except ValueError:
                if self.code >= 0 or index < len(self.lines) - 1:
                    raise

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one type."""
        return [message for message in self.messages if message["type"] == kind]

    def records(self, stream: str | None = None) -> list[dict[str, Any]]:
        """The records of one stream, or of all."""
        return [found["record"] for found in self.of("RECORD") if stream in {None, found["stream"]}]

    def ids(self, stream: str) -> list[int]:
        """The ids of a stream's records, in their order."""
        return [record["id"] for record in self.records(stream)]

    def counts(self) -> Counter[str]:
        """The number of records by stream."""
        return Counter(found["stream"] for found in self.of("RECORD"))

    @property
    def states(self) -> list[dict[str, Any]]:
        """The STATE messages' values."""
        return [message["value"] for message in self.of("STATE")]

    @property
    def state(self) -> dict[str, Any]:
        """The last state that was written."""
        return self.states[-1] if self.states else {}

    def bookmark(self, stream: str) -> str | None:
        """The bookmark of a stream in the last state."""
        found: str | None = self.state.get("bookmarks", {}).get(stream, {}).get("replication_key_value")
        return found

    def bookmarks(self, stream: str) -> list[str]:
        """The bookmarks of a stream in all states, in their order."""
        every = (state.get("bookmarks", {}).get(stream, {}).get("replication_key_value") for state in self.states)
        return [bookmark for bookmark in every if bookmark]


def lines_of(text: str) -> list[str]:
    """The lines of an output as a target reads them, split only at newlines."""
    return [line for line in text.split("\n") if line]


def config_for(sandbox: Sandbox, **settings: Any) -> dict[str, Any]:
    """Settings for a tap that reads a sandbox and never waits for the rate limit."""
    return {"api_url": sandbox.api_url, "api_token": sandbox.token, "retry_seconds": 2, **UNLIMITED, **settings}


def catalog_of(*streams: str, config: dict[str, Any] | None = None) -> dict[str, Any]:
    """The tap's own catalog with only these streams selected."""
    from tap_jetti.tap.tap import TapJetti  # noqa: PLC0415 - half a second that client tests do without

    tap = TapJetti(config=config or {"api_token": TOKEN, **UNLIMITED}, parse_env_config=False)
    catalog: dict[str, Any] = json.loads(json.dumps(tap.catalog_dict))
    for entry in catalog["streams"]:
        root(entry)["selected"] = entry["stream"] in streams
    return {"streams": [entry for entry in catalog["streams"] if entry["stream"] in streams]}


def root(entry: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a catalog entry's stream."""
    found: dict[str, Any] = next(one["metadata"] for one in entry["metadata"] if one["breadcrumb"] == [])
    return found


def select_only(catalog: dict[str, Any], stream: str, fields: set[str]) -> dict[str, Any]:
    """Deselect all fields of a stream but these."""
    entry = next(one for one in catalog["streams"] if one["stream"] == stream)
    for one in entry["metadata"]:
        if one["breadcrumb"]:
            one["metadata"]["selected"] = one["breadcrumb"][1] in fields
    return catalog


class Stdout(io.StringIO):
    """A stdout that takes text and bytes, as the SDK writes both."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer: Any = self

    def write(self, text: str | bytes) -> int:
        """Write either."""
        super().write(text if isinstance(text, str) else bytes(text).decode())
        return len(text)


def run_here(
    config: dict[str, Any],
    *,
    streams: tuple[str, ...] = (),
    catalog: dict[str, Any] | None = None,
    state: dict[str, Any] | None = None,
    clock: Any = None,
    error: type[BaseException] | tuple[type[BaseException], ...] | None = None,
) -> Output:
    """Run the tap in this process: everything except the command line.

    Args:
        config: Its settings.
        streams: The streams to select; without any, those that are selected by default.
        catalog: The catalog, instead of `streams`.
        state: The last state of an earlier run.
        clock: The clock of the tap.
        error: The error that the run must raise.
    """
    from tap_jetti.tap.tap import TapJetti  # noqa: PLC0415 - see `catalog_of`

    if streams:
        catalog = catalog_of(*streams, config=config)
    stdout, code = Stdout(), 0
    with contextlib.redirect_stdout(stdout):
        tap = TapJetti(
            config=config,
            catalog=json.loads(json.dumps(catalog)) if catalog else None,
            state=json.loads(json.dumps(state)) if state else None,
            parse_env_config=False,
            clock=clock,
        )
        if error is None:
            try:
                tap.run()
            except SystemExit as end:
                code = int(end.code or 0)
        else:
            with pytest.raises(error):
                tap.run()
    return Output(stdout.getvalue().split("\n")[:-1], code=code)


@dataclass
class Commands:
    """Runs ``tap-jetti`` as a process, with its files in a directory of the test."""

    directory: Path

    def start(
        self,
        config: dict[str, Any] | str | None,
        *arguments: str,
        streams: tuple[str, ...] = (),
        catalog: Any = None,
        state: Any = None,
        environment: dict[str, str] | None = None,
        script: str = "from tap_jetti.cli import tap; tap()",
        has_input: bool = True,
        stdout: IO[str] | int = subprocess.PIPE,
        stderr: IO[str] | int = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start the tap. A config that is a text is written to its file unchanged."""
        command = [sys.executable, "-c", script]
        if streams:
            catalog = catalog_of(*streams)
        for flag, content in (("config", config), ("catalog", catalog), ("state", state)):
            if content is not None:
                path = self.directory / f"{flag}.json"
                path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
                command += [f"--{flag}", str(path)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TAP_JETTI_")}
        paths = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.Popen(
            [*command, *arguments],
            stdin=None if has_input else subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            cwd=self.directory,
            env={**kept, "PYTHONPATH": paths, "XDG_STATE_HOME": str(self.directory), **(environment or {})},
        )

    def run(self, config: dict[str, Any] | str | None, *arguments: str, **more: Any) -> Output:
        """Run the tap to its end."""
        with self.start(config, *arguments, **more) as process:
            return finish(process)


def finish(process: subprocess.Popen[str]) -> Output:
    """Wait for a started tap and return its output."""
    stdout, stderr = process.communicate(timeout=60)
    return Output(stdout.split("\n")[:-1], stderr, process.returncode)
