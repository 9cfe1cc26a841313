"""The processes that `jetti sync` starts: in sessions of their own, so that no signal to a group reaches them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import tap_jetti
from tap_jetti.errors import EXIT_CONFIGURATION, EXIT_PERMISSION, EXIT_RETRY, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MEANINGFUL = frozenset({EXIT_RETRY, EXIT_PERMISSION, EXIT_CONFIGURATION})


def own_python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package in this environment, whatever PATH and the current folder hold.

    Args:
        module: A module with a function `main`.
        *arguments: The arguments of its command line.
    """
    root = str(Path(tap_jetti.__file__).resolve().parent.parent)
    # Without the empty entry, which is the current folder: a folder tap_jetti there would be taken for this package.
    program = f"import sys; sys.path[:] = [*filter(None, sys.path), {root!r}]; import {module} as module; module.main()"
    return [sys.executable, "-c", program, *arguments]


class Child:
    """A process in a session of its own.

    Args:
        name: What it is called in messages: the tap or the loader.
        command: Its command.
        environment: Its environment.
        stderr: Where its log goes. None: where that of this process goes.
        kept_open: Descriptors that it inherits.

    Raises:
        SettingsError: The command cannot be started.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stderr: IO[bytes] | None = None,
        kept_open: Iterable[int] = (),
    ) -> None:
        self.name = name
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the command of the user, or one's own
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                pass_fds=tuple(kept_open),
                start_new_session=True,
            )
        except OSError as error:
            raise SettingsError(f"Cannot start {name}: {command[0]}: {error.strerror}.") from error
        assert self._process.stdin  # noqa: S101 - it is a pipe
        assert self._process.stdout  # noqa: S101 - it is a pipe
        self.stdin: IO[bytes] = self._process.stdin
        self.stdout: IO[bytes] = self._process.stdout

    @property
    def returncode(self) -> int | None:
        """The exit code; minus the signal that killed it; None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end, but no longer than this. Returns whether it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.returncode is not None

    def terminate(self) -> None:
        """Ask it to end in order."""
        if self.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it and all that it has started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it if it still runs, and close the pipes."""
        if self.returncode is None:
            self.kill()
            self._process.wait()
        for pipe in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    @property
    def exit_code(self) -> int:
        """What its end means for a retry: the code if it says so; 75 if a signal killed it, such as out of memory."""
        code = self.returncode or 0
        if code < 0:
            return EXIT_RETRY
        return code if code in {0, *_MEANINGFUL} else 1

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        code = self.returncode or 0
        if code >= 0:
            return f"{self.name} ended with exit code {code}"
        return f"{self.name} was killed by {signal.Signals(-code).name}"
