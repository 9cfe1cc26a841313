"""The readers that are compared: how each is configured and started."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from environments import CACHE, HERE, python_of
from fixture import PAGE, TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from measuring import Process

WITHOUT_LIMIT = 1_000_000
"""The rate limit of tap-jetti where the server has none."""


@dataclass(frozen=True)
class Job:
    """What a reader is asked to read.

    Attributes:
        api_url: The server.
        streams: The resources in snake_case.
        rate: Units per second that the server allows, or None.
        capacity: Units that its bucket holds.
        scale: How many times as fast as real time the clock runs; pauses are divided by it.
        home: The folder through which the processes of one machine share their rate limit; None: they do not.
        store: The setting `rate_limit_store` of tap-jetti.
        token: The API token.
        page_size: Rows per page that the reader asks for.
        is_adaptive: Whether tap-jetti chooses the size of its pages itself, as by default.
        state: The file with the state of the run before; None: there was none.
    """

    api_url: str
    streams: tuple[str, ...]
    rate: float | None = None
    capacity: float = 0.0
    scale: float = 1.0
    home: str | None = None
    store: str | None = None
    token: str = TOKEN
    page_size: int = PAGE
    is_adaptive: bool = False
    state: str | None = None


Command = tuple[list[str | Path], dict[str, str]]


@dataclass(frozen=True)
class Reader:
    """One of the readers that are compared.

    Attributes:
        name: Its folder here and its environment.
        title: Its name in the tables.
        package: The package whose version is shown.
        prepare: Writes its files into a folder and says how to start it.
    """

    name: str
    title: str
    package: str
    prepare: Callable[[Job, Path], Command]

    def start(self, process: Process, job: Job) -> None:
        """Start it with a job."""
        command, environment = self.prepare(job, process.folder)
        process.start(command, environment)


def _program() -> Path:
    return python_of("tap_jetti").with_name("tap-jetti")


@cache
def _catalogue() -> list[dict[str, Any]]:
    """The tap's own catalog with all streams."""
    found = subprocess.run([str(_program()), "--discover"], check=True, capture_output=True, timeout=60)
    streams: list[dict[str, Any]] = json.loads(found.stdout)["streams"]
    return streams


def _tap_jetti(job: Job, folder: Path) -> Command:
    wanted = [stream for stream in _catalogue() if stream["tap_stream_id"] in job.streams]
    for stream in wanted:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = True
    config: dict[str, Any] = {"api_url": job.api_url, "api_token": job.token}
    config |= {} if job.is_adaptive else {"page_size": job.page_size}
    if job.rate is None:
        config |= {"rate_limit": WITHOUT_LIMIT, "rate_limit_burst": WITHOUT_LIMIT, "rate_limit_store": "memory://"}
    else:
        config |= {"rate_limit": _whole(job.rate), "rate_limit_burst": _whole(job.capacity)}
        config |= {"rate_limit_store": job.store} if job.store else {}
    files = {"config": config, "catalog": {"streams": wanted}}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    options = [option for name in files for option in (f"--{name}", folder / f"{name}.json")]
    options += ["--state", Path(job.state)] if job.state else []
    return [_program(), *options], {"XDG_STATE_HOME": job.home or str(folder)}


def _whole(number: float) -> float:
    return int(number) if number == int(number) else number


def _job_file(job: Job, folder: Path) -> Path:
    file = folder / "job.json"
    file.write_text(json.dumps(asdict(job)), encoding="utf-8")
    return file


def _singer_sdk_plain(job: Job, folder: Path) -> Command:
    program = [python_of("singer_sdk_plain"), HERE / "singer_sdk_plain" / "tap.py", "--config", _job_file(job, folder)]
    return [*program, *(["--state", job.state] if job.state else [])], {}


def _dlt_rest_api(job: Job, folder: Path) -> Command:
    environment = {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__REQUEST_BACKOFF_FACTOR": f"{1 / job.scale:g}",
        "DLT_DATA_DIR": str(folder),
    }
    return [python_of("dlt_rest_api"), HERE / "dlt_rest_api" / "read.py", _job_file(job, folder), folder], environment


def _airbyte_cdk(job: Job, folder: Path) -> Command:
    return [python_of("airbyte_cdk"), HERE / "airbyte_cdk" / "read.py", _job_file(job, folder), folder], {}


def _floor(job: Job, folder: Path) -> Command:
    return [python_of("floor"), HERE / "floor" / "read.py", _job_file(job, folder)], {}


TAP_JETTI = Reader("tap_jetti", "tap-jetti", "tap-jetti", _tap_jetti)
ADAPTIVE = Reader(
    "tap_jetti",
    "tap-jetti, larger pages",
    "tap-jetti",
    lambda job, folder: _tap_jetti(replace(job, is_adaptive=True), folder),
)
"""tap-jetti with its default page size, for the parts in which it otherwise asks for pages of 100 rows."""
PLAIN = Reader("singer_sdk_plain", "plain singer-sdk", "singer-sdk", _singer_sdk_plain)
DLT = Reader("dlt_rest_api", "dlt rest_api", "dlt", _dlt_rest_api)
AIRBYTE = Reader("airbyte_cdk", "Airbyte low-code", "airbyte-cdk", _airbyte_cdk)
FLOOR = Reader("floor", "floor: requests + orjson", "orjson", _floor)

READERS = (TAP_JETTI, PLAIN, DLT, AIRBYTE, FLOOR)


def start_raw(process: Process, job: Job, pages: int) -> None:
    """Start the client that only asks for pages and discards them."""
    process.start([python_of("floor"), HERE / "floor" / "raw.py", _job_file(job, process.folder), str(pages)], {})


def is_installed(reader: Reader) -> bool:
    """Whether its environment exists."""
    return (CACHE / reader.name / "stamp").exists()
