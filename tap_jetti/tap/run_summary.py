"""The closing summary of a run in JSON, for whoever started it: the setting `summary_path`."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_jetti.client.stats import RequestStats
from tap_jetti.errors import Interrupted, OutputError, SettingsError
from tap_jetti.facts.redaction import Redactor
from tap_jetti.process.command import exit_code_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Iterator


@dataclass
class StreamFigures:
    """What became of one selected stream.

    Attributes:
        outcome: `not started`, `complete`, `failed` or `interrupted`.
        proof: `proven`, `trusted` or `unproven` if it is complete, otherwise None.
        rows: The rows that were written.
        seconds: The time from its begin to its end.
        invalid_values: The values that did not fit the schema.
    """

    outcome: str = "not started"
    proof: str | None = None
    rows: int = 0
    seconds: float = 0.0
    invalid_values: int = 0


@dataclass
class RunSummary:
    """The figures of a run, which others add to while it goes on.

    Attributes:
        streams: The selected streams by name, in their order.
        stats: The requests of the run.
        causes: Why streams failed, by stream.
        redactor: What must not be in the summary.
    """

    streams: dict[str, StreamFigures] = field(default_factory=dict)
    stats: RequestStats = field(default_factory=RequestStats)
    causes: dict[str, str] = field(default_factory=dict)
    redactor: Redactor = field(default_factory=Redactor)

    def as_dict(self, error: BaseException | None) -> dict[str, Any]:
        """Return the summary of a run that ended with this error, or without one."""
        streams = {name: asdict(figures) for name, figures in self.streams.items()}
        for figures in streams.values():
            figures["seconds"] = round(figures["seconds"], 3)
        return {
            "outcome": _outcome_of(error),
            "exit_code": exit_code_of(error),
            "cause": self._cause_of(error),
            "streams": streams,
            "gets": self.stats.gets,
            "refused": self.stats.refused,
            "retries": self.stats.retries,
            "waited_seconds": round(self.stats.waited, 3),
            "invalid_values": sum(figures.invalid_values for figures in self.streams.values()),
        }

    def _cause_of(self, error: BaseException | None) -> str | None:
        if error is None:
            return None
        if isinstance(error, SystemExit):
            text = " ".join(f"{stream}: {cause}" for stream, cause in self.causes.items())
        elif isinstance(error, Interrupted):
            text = f"Stopped by {signal.Signals(error.signum or signal.SIGTERM).name}."
        else:
            text = str(error) or type(error).__name__
        return self.redactor.clean(text)


def summary_file(setting: object, inputs: Iterable[str] = ()) -> Path | None:
    """The file that the setting `summary_path` names, before the setting has been validated.

    Args:
        setting: The setting.
        inputs: The paths of the files that the run reads.

    Raises:
        SettingsError: It is no path, or one of the inputs, which a run must not replace.
    """
    if not isinstance(setting, str) or not setting.strip():
        return None
    try:
        path = Path(setting).expanduser()
        # A link stays, and what it leads to is replaced.
        path = path.resolve() if _is_replaceable(path) else path
        is_input = any(path.samefile(file) for file in inputs if path.exists() and Path(file).exists())
    except (OSError, RuntimeError, ValueError) as error:  # too long, of an unknown user, with a NUL
        raise SettingsError(f"summary_path is not a path that can be used: {error}.") from error
    if is_input:
        raise SettingsError(f"summary_path {path} is a file that this run reads. Set another path.")
    return path


@contextmanager
def closing_summary(path: Path | None, logger: logging.Logger) -> Iterator[RunSummary]:
    """Write the summary of the run that goes on in the body of this, however it ends.

    The file is replaced in one step. That of an earlier run is removed first, so that a run that is killed cannot be
    mistaken for it.

    Args:
        path: The file. None: nothing is written.
        logger: Where it is reported that the file cannot be written, if the run has failed anyway.

    Raises:
        SettingsError: The file cannot be written, as is known before the run.
        OutputError: The run is complete, but its summary could not be written.
    """
    if path is not None:
        _prepare(path)
    summary = RunSummary()
    try:
        yield summary
    except BaseException as error:
        if path is not None:
            try:
                _write(path, summary.as_dict(error))
            except OSError as failure:
                logger.error("%s", _message(path, failure))  # noqa: TRY400 - no traceback
        raise
    if path is not None:
        try:
            _write(path, summary.as_dict(None))
        except OSError as failure:
            raise OutputError(_message(path, failure)) from failure


def _outcome_of(error: BaseException | None) -> str:
    if error is None:
        return "complete"
    if isinstance(error, Interrupted):
        return "interrupted"
    return "incomplete" if isinstance(error, SystemExit) else "failed"


def _prepare(path: Path) -> None:
    """Remove the summary of an earlier run, and find out whether this one can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if _is_replaceable(path):
            path.unlink(missing_ok=True)
            _temporary(path).touch()
            _temporary(path).unlink()
    except OSError as error:
        raise SettingsError(_message(path, error)) from error


def _write(path: Path, summary: dict[str, Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        # The run has ended, and its exit code is known.
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)
    text = json.dumps(summary) + "\n"
    if not _is_replaceable(path):
        path.write_text(text, encoding="utf-8")
        return
    with _temporary(path).open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    _temporary(path).replace(path)


def _is_replaceable(path: Path) -> bool:
    """Whether the path is a file or free, and not a pipe or a device, which must be written to as they are."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _message(path: Path, error: OSError) -> str:
    return f"summary_path {path} cannot be written: {error.strerror or error}."
