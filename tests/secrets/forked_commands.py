"""Runs many commands, each in a process forked from one that has imported everything: twenty times as fast."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENTRY_POINTS = {"tap-jetti": "tap", "target-jetti": "target", "jetti": "main"}


@dataclass(frozen=True)
class Run:
    """How a command ended, and what it wrote.

    Attributes:
        code: Its exit code.
        stdout: Its standard output.
        stderr: Its standard error.
        command_line: What the process list showed of it.
    """

    code: int
    stdout: bytes
    stderr: bytes
    command_line: bytes


class ForkedCommands:
    """Starts commands, one after the other."""

    def __init__(self, pipe: subprocess.Popen[str]) -> None:
        self._pipe = pipe

    def run(
        self,
        command: str,
        *arguments: str,
        directory: Path,
        environment: Mapping[str, str],
        stdin: str = "",
        stdout: str | None = None,
    ) -> Run:
        """Run a command to its end.

        Args:
            command: One of `ENTRY_POINTS`.
            *arguments: Its command line.
            directory: Where it runs. Its output is written beside it.
            environment: All of its environment.
            stdin: Its input.
            stdout: The file that takes its output, if that is to fail.
        """
        files = {name: directory.with_name(f"{directory.name}.{name}") for name in ("stdin", "stdout", "stderr")}
        files["stdin"].write_text(stdin)
        job = {
            "entry": ENTRY_POINTS[command],
            "argv": [command, *arguments],
            "cwd": str(directory),
            "environment": dict(environment),
            "files": {**{name: str(path) for name, path in files.items()}, **({"stdout": stdout} if stdout else {})},
        }
        requests, replies = cast("IO[str]", self._pipe.stdin), cast("IO[str]", self._pipe.stdout)
        requests.write(json.dumps(job) + "\n")
        requests.flush()
        code, command_line = json.loads(replies.readline())
        written = b"" if stdout else files["stdout"].read_bytes()
        return Run(code, written, files["stderr"].read_bytes(), bytes.fromhex(command_line))


@contextlib.contextmanager
def forked_commands() -> Iterator[ForkedCommands]:
    """Start the process that forks."""
    repository = Path(__file__).resolve().parent.parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(repository), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as pipe:
        yield ForkedCommands(pipe)
        cast("IO[str]", pipe.stdin).close()


def _serve() -> None:
    from tap_jetti import cli  # noqa: PLC0415 - the tests that start this process import it, too, but need no commands
    from tap_jetti.tap import tap  # noqa: F401, PLC0415
    from tap_jetti.target import target  # noqa: F401, PLC0415

    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if not child:
            _become(job, cli)
        command_line = Path(f"/proc/{child}/cmdline")
        shown = command_line.read_bytes() if command_line.exists() else b""
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps([os.waitstatus_to_exitcode(status), shown.hex()]) + "\n")
        sys.stdout.flush()


def _become(job: dict[str, Any], cli: Any) -> NoReturn:
    """Turn this process into the command."""
    code: Any = 1
    try:
        os.chdir(job["cwd"])
        os.environ.clear()
        os.environ.update(job["environment"])
        for number, (name, flags) in enumerate(
            [("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY | os.O_CREAT), ("stderr", os.O_WRONLY | os.O_CREAT)]
        ):
            os.dup2(os.open(job["files"][name], flags, 0o600), number)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.argv = job["argv"]
        getattr(cli, job["entry"])()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
