"""The servers that the readers read from, each in its own process."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from environments import HERE, python_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

PATIENCE = 10.0
"""Seconds for a process to start or to end."""


class Server:
    """A process that obeys JSON lines and stops at the end of its standard input."""

    def __init__(self, python: str | Path, script: str) -> None:
        """Choose what to run."""
        self._command = [str(python), str(HERE / script)]
        self._process: subprocess.Popen[str] | None = None
        self.api_url = ""

    @classmethod
    def fixture(cls) -> Self:
        """The very fast server."""
        return cls(sys.executable, "fixture_server.py")

    @classmethod
    def sandbox(cls) -> Self:
        """The project's sandbox."""
        return cls(python_of("tap_jetti"), "sandbox_server.py")

    def __enter__(self) -> Self:
        """Start the server."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.api_url = str(self._reply())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        if self._process is not None:
            _end(self._process)

    def ask(self, do: str, **order: object) -> Any:  # noqa: ANN401 - any JSON
        """Give an order and return the answer."""
        process = self._running()
        if process.stdin is not None:
            process.stdin.write(json.dumps({"do": do, **order}) + "\n")
            process.stdin.flush()
        return self._reply()

    def _reply(self) -> Any:  # noqa: ANN401 - any JSON
        process = self._running()
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError(f"{self._command[-1]} stopped; its messages are above.")
        return json.loads(line)["reply"]

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("The server must be used in a with statement.")
        return self._process


class Redis:
    """A temporary Redis on a free port, without persistence."""

    def __init__(self) -> None:
        """Find the program."""
        self._program = shutil.which("redis-server")
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="bench-redis-")
        self.url = ""

    @property
    def is_available(self) -> bool:
        """Whether redis-server is installed."""
        return self._program is not None

    def __enter__(self) -> Self:
        """Start Redis and wait until it listens."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", self._folder.name]
        self._process = subprocess.Popen(
            [self._program or "redis-server", "--port", str(port), *options], stdout=subprocess.DEVNULL
        )
        self.url = f"redis://127.0.0.1:{port}/0"
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            _end(self._process)
        self._folder.cleanup()


def _end(process: subprocess.Popen[Any]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
