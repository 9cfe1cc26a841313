"""The screen of `jetti sync` on a terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from sync_runs import ROWS, rows_of, wait_for
from tap_jetti.sync.screen import Screen

if TYPE_CHECKING:
    from sync_runs import Syncs

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def shown(*reports: dict[str, Any], height: int = 24) -> list[str]:
    """The lines of the screen after these reports."""
    console = Console(file=io.StringIO(), width=120, height=height, force_terminal=True, legacy_windows=False)
    screen = Screen("state.log", console)
    for report in reports:
        screen.take(report)
    with console.capture() as capture:
        console.print(screen.render())
    os.close(screen.pipe)
    screen._reports.close()
    return [line.rstrip() for line in ESCAPE.sub("", capture.get()).splitlines()]


def test_a_line_per_stream() -> None:
    """Each stream has a bar, rows, rate and time left; below stands how much of the rate limit is used."""
    figures = {"rows": 500, "total": 2000, "rows_per_second": 99.6, "seconds_left": 15.1, "limit_share": 0.987}
    lines = shown(
        {"streams": ["customers", "sales", "variants", "vendors"]},
        {"stream": "customers", "rows": 1234, "outcome": "complete", "proof": "proven"},
        {"stream": "sales", **figures},
        {"stream": "vendors", "rows": 3, "outcome": "failed"},
    )
    bar = "━" * 20
    assert [re.sub(" +", " ", line.replace("╸", "━").replace("╺", "━")) for line in lines] == [
        f"✓ customers {bar} 1,234 proven",
        f"> sales {bar} 500 of 2,000 100/s 15 s left",
        " variants",
        "✗ vendors " + lines[3].split()[2] + " 3 failed",
        "1 of 4 streams 1,737 rows limit 99% used log: state.log",
    ]


def test_more_streams_than_lines() -> None:
    """If the terminal is too small, streams that are complete go first, then those that wait longest."""
    names = [f"stream_{at:02}" for at in range(30)]
    lines = shown(
        {"streams": names},
        *({"stream": name, "rows": 1, "outcome": "complete"} for name in names[:10]),
        {"stream": names[10], "rows": 5},
        height=12,
    )
    assert [line.split()[-1] if at else line.split()[1] for at, line in enumerate(lines[:-1])] == [
        names[10],
        *names[11:19],
    ]
    assert "21 not shown" in lines[-1]


@pytest.mark.parametrize("token", ["right", "wrong"])
def test_a_terminal_shows_the_screen_and_a_file_gets_the_log(syncs: Syncs, token: str) -> None:
    """On a terminal messages go to a file beside the state. What ends the run stands on the terminal, too."""
    if token == "wrong":
        syncs.settings["api_token"] = token
    master, slave = pty.openpty()
    with syncs.start(
        "--to", "duckdb:///w.duckdb", stderr=slave, stdout=slave, environment={"TERM": "xterm"}
    ) as process:
        os.close(slave)
        output = b""
        while True:
            try:
                output += os.read(master, 65536)
            except OSError:  # the terminal was closed at the end
                break
        process.wait()
    os.close(master)
    text = ESCAPE.sub("", output.decode())
    log = (syncs.folder / "w.duckdb.log").read_text()

    assert process.returncode == (0 if token == "right" else 77), text
    assert ("proof=proven" in log) == (token == "right")
    assert "stream=sales" not in text
    if token == "right":
        assert f"2 of 2 streams  {2 * ROWS:,} rows" in text
        assert "outcome=complete exit_code=0" in text
    else:
        assert "The tap ended with exit code 77: " in text
        assert "wrong" not in text + log


def test_ctrl_c_on_a_terminal_ends_in_order(syncs: Syncs) -> None:
    """Ctrl-C reaches the sync alone: the loader stores what was read, and the next run goes on from there."""
    syncs.settings.update(rate_limit=12, rate_limit_burst=1, concurrency=1)
    with syncs.start(*syncs.loader(), "--state", "state.json", stderr=subprocess.PIPE) as process:
        wait_for(lambda: syncs.lines() > ROWS / 2, process)
        os.killpg(process.pid, signal.SIGINT)
        ended = syncs.finish(process)
    assert ended.code == 130, ended.log
    assert "Traceback" not in ended.log
    assert syncs.run(*syncs.loader(), "--state", "state.json").code == 0
    assert syncs.stored() == rows_of(syncs.sandbox, ("sale_items", "sales"))
